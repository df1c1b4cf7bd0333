"""All plans of a run with triage, file by file, without Spark and Ray: what is asked, skipped, checked and kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from uniner_dist.annotations.answers import AnswerReader
from uniner_dist.annotations.triage_check import CheckCounter
from uniner_dist.completions.launch import replica_spec
from uniner_dist.completions.replica.files import cached_answers
from uniner_dist.completions.replica.rows import fill_in
from uniner_dist.completions.stage import is_complete
from uniner_dist.completions.work import WorkItem
from uniner_dist.config.loading import validate_tree
from uniner_dist.core.hashing import passage_id
from uniner_dist.core.merge import PassageAnswer, merge_passages
from uniner_dist.core.outcomes import Outcome
from uniner_dist.core.spans import Entity
from uniner_dist.errors import StageError
from uniner_dist.maintenance.erase_shards import erase_from_shards
from uniner_dist.pipeline.preflight import open_run
from uniner_dist.pipeline.triage import is_sampling, learn_if_due, require_whole_plan
from uniner_dist.prompts.packing import Packing
from uniner_dist.prompts.selection import (
    CALIBRATE,
    AllButSkipped,
    Calibrating,
    Everything,
    Flags,
    SampleOnly,
    Selected,
    Selection,
)
from uniner_dist.prompts.shard_writer import ShardWriter
from uniner_dist.run.run import Run
from uniner_dist.run.triage import read_bound, read_classifier, read_learnt
from uniner_dist.schemas import COMPLETIONS, SHARDS
from uniner_dist.storage.commit import always
from uniner_dist.storage.filesystem import exists, list_names, remove, write_bytes, write_json
from uniner_dist.storage.shards import (
    any_skipped,
    committed_shards,
    is_open,
    read_completions,
    read_prompts,
    read_shards,
    read_stamp,
    reopen_unanswered,
    write_completions,
    write_shards,
)
from uniner_dist.storage.stage_files import is_whole
from uniner_dist.triage.draw import Draw

_ASKS = ("person", "place")
_CELL = pa.struct(
    [
        *(pa.field(name, pa.string()) for name in ("output", "finish_reason")),
        *(pa.field(name, pa.int32()) for name in ("ask", "prompt_tokens", "completion_tokens")),
    ]
)
#: Answers so far, as a store has them.
Known = dict[tuple[str, str], str]


def _texts() -> list[str]:
    """Every third names a person; no text names a place."""
    return [f"Paula met Erik {i} times." if i % 3 == 0 else f"it rained on day {i}." for i in range(900)]


def _answer(text: str, ask: str) -> str:
    return ' ["Paula"]' if ask == "person" and "Paula" in text else " []"


@pytest.fixture
def run(tmp_path: Path) -> Run:
    (tmp_path / "corpus").mkdir()
    pq.write_table(pa.table({"doc_id": ["1"], "text": ["a"]}), tmp_path / "corpus/part-0.parquet")
    tree = {"corpus": {"path": f"{tmp_path}/corpus"}, "output": {"path": f"{tmp_path}/out"}, "types": ",".join(_ASKS)}
    triage = {"max_missed": 0.2, "max_missed_of_type": 0.2, "rare_types": "include"}
    return open_run(validate_tree(tree | {"triage": triage})).under(1)


def _plan(run: Run, selection: Selection, known: Known, facts: dict[str, object]) -> None:
    """What stage 1 leaves."""
    ids = sorted((passage_id(text), text) for text in _texts())
    cells = [
        [
            {"ask": n, "output": known[one, ask], "finish_reason": "stop", "prompt_tokens": 1, "completion_tokens": 1}
            for n, ask in enumerate(_ASKS)
            if (one, ask) in known
        ]
        for one, _ in ids
    ]
    columns = {
        "bucket": pa.array([0] * len(ids), pa.int32()),
        "passage_id": pa.array([one for one, _ in ids]),
        "text": pa.array([text for _, text in ids]),
        "cells": pa.array(cells, pa.list_(_CELL)),
    }
    writer = ShardWriter(run.layout, run.fingerprint, _ASKS, Packing(1, 2_000, 2, 1, (1, 1)), selection)
    rows = [row for one in writer(iter([pa.RecordBatch.from_pydict(columns)])) for row in one.to_pylist()]
    counts = dict.fromkeys(("rows", "documents", "passages", "unique_passages", "prompts"), 900)
    counts |= dict.fromkeys(("prompts_known", "prompts_to_ask", "shards"), 0)
    write_json(run.layout.prompts_summary, counts | {"rejects": {}, "triage": facts})
    write_shards(run.layout, pa.Table.from_pylist(rows, schema=SHARDS))


def _complete(run: Run, known: Known) -> Counter[tuple[str, str]]:
    """Answer what is open, as a replica does; returns what was asked."""
    asked: Counter[tuple[str, str]] = Counter()
    for shard in sorted(set(read_shards(run.layout)["shard"].to_pylist()) - committed_shards(run.layout)):
        prompts, path = read_prompts(run.layout, shard), run.layout.known_file(shard)
        before = read_completions(path, shard, run.fingerprint) if exists(path) else None
        todo = (prompts if before is None else prompts.filter(is_open(before))).to_pylist()
        rows = []
        for row in todo:
            known[row["passage_id"], row["entity_type"]] = output = _answer(row["text"], row["entity_type"])
            asked[row["text"], row["entity_type"]] += 1
            rows.append({name: row[name] for name in ("passage_id", "entity_type")} | _COUNTS | {"output": output})
        table = pa.Table.from_pylist(rows, schema=COMPLETIONS)
        table = table if before is None else fill_in(before, table)
        write_completions(run.layout.completions_file(shard), shard, run.fingerprint, table)
    return asked


_COUNTS = {
    "finish_reason": "stop",
    "reused": False,
    **dict.fromkeys(("prompt_tokens", "cached_tokens", "completion_tokens"), 1),
}


_SAMPLE = {"phase": "sample", "salt": "s", "learning": 0.2, "cells": 1800}


def _learn(run: Run, known: Known) -> Counter[tuple[str, str]]:
    """The first plan, its answers, and what is learnt from them."""
    _plan(run, SampleOnly(Draw("s"), 0.2), known, _SAMPLE)
    asked = _complete(run, known)
    learn_if_due(run, lambda _: None, always)
    return asked


def _plan_calibration(run: Run, known: Known) -> None:
    """The second plan."""
    learnt = read_learnt(run)
    assert learnt is not None
    classifier = read_classifier(run, learnt)
    rule = Calibrating(Draw("s"), _ASKS, lambda: classifier, 0.2, learnt.calibration, learnt.floors)
    _plan(run, rule, known, _SAMPLE | {"phase": "calibrate"})


def _all_plans(run: Run, known: Known) -> Counter[tuple[str, str]]:
    asked = _learn(run, known)
    _plan_calibration(run, known)
    asked += _complete(run, known)
    learn_if_due(run, lambda _: None, always)
    bound = read_bound(run)
    assert bound is not None
    classifier = read_classifier(run, bound)
    rule = AllButSkipped(Draw("s"), _ASKS, lambda: classifier, 0.2, bound.thresholds, bound.check)
    _plan(run, rule, known, {"phase": "bound", "salt": "s", "cells": 1800})
    return asked + _complete(run, known)


def _answers(run: Run) -> Iterator[tuple[str, str, Any]]:
    reader = AnswerReader(run.layout, run.fingerprint, run.config.questions, scores=False)
    for shard in read_shards(run.layout)["shard"].to_pylist():
        for row in reader.read(shard).to_pylist():
            yield from ((row["passage_id"], ask, one) for ask, one in zip(_ASKS, row["answers"], strict=True))


def test_every_prompt_is_asked_once_or_skipped_with_its_score(run: Run) -> None:
    known: Known = {}
    asked = _all_plans(run, known)
    assert max(asked.values()) == 1
    outcomes: Counter[str] = Counter()
    texts = {passage_id(text): text for text in _texts()}
    for one, ask, found in _answers(run):
        outcome = "none" if found is None else str(found["outcome"])
        outcomes[outcome] += 1
        if outcome == "skipped":
            assert (texts[one], ask) not in asked
            assert 0 < found["score"] < 0.5
            assert found["entities"] == []
        else:
            assert (outcome == "found") == ("Paula" in texts[one] and ask == "person")
    assert outcomes["skipped"] + len(asked) == outcomes.total() == 1800
    assert outcomes["skipped"] > 600
    assert outcomes["found"] == 300
    rows = read_shards(run.layout)
    assert sum(rows["skipped"].to_pylist()) == outcomes["skipped"]
    stamps = [read_stamp(run.layout.completions_file(shard)) for shard in rows["shard"].to_pylist()]
    assert sum(int(stamp["skipped"]) for stamp in stamps) == outcomes["skipped"]
    assert {stamp["unanswered"] for stamp in stamps} == {"0"}


class _PersonsOnly:
    """Skips one of two questions."""

    is_partial = False

    def select(self, passages: pa.Table, missing: Flags) -> Selected:
        asked = missing & (np.array(_ASKS) == "person")
        return Selected(asked, np.zeros(missing.shape, np.float32), np.zeros_like(missing))


@pytest.mark.parametrize("damaged", [True, False], ids=["damaged", "gone"])
def test_what_was_skipped_is_not_asked_when_the_file_that_says_so_is_lost(
    damaged: bool, run: Run, capfd: pytest.CaptureFixture[str]
) -> None:
    def lose(shard: str) -> pa.Table | None:
        path, spec = run.layout.known_file(shard), replica_spec(run)
        item, prompts = WorkItem(shard, known=True), read_prompts(run.layout, shard)
        assert cached_answers(spec, item, prompts) is not None
        if damaged:
            write_bytes(path, b"PAR1")
        else:
            remove(path)
        return cached_answers(spec, item, prompts)

    _plan(run, _PersonsOnly(), {}, _SAMPLE)
    shard = read_shards(run.layout)["shard"][0].as_py()
    assert is_whole(run.layout)
    with pytest.raises(StageError, match=r"known\.parquet is gone or damaged, which said what triage has left out"):
        lose(shard)
    assert not is_whole(run.layout), "the next start plans it again"

    known = {(passage_id(text), "place"): " []" for text in _texts()}
    _plan(run, Everything(), known, _SAMPLE)
    shard = read_shards(run.layout)["shard"][0].as_py()
    assert lose(shard) is None, "nothing is skipped: all may be asked"
    assert is_whole(run.layout)
    assert f"shard {shard}" in capfd.readouterr().err


def test_the_check_counts_what_was_asked_only_for_it(run: Run) -> None:
    asked = _all_plans(run, {})
    bound = read_bound(run)
    checked = frozenset(name.removesuffix(".parquet") for name in list_names(run.layout.checks))
    counter = CheckCounter(run.layout, run.fingerprint, checked)
    counts: Counter[str] = Counter()
    for shard in read_shards(run.layout)["shard"].to_pylist():
        counts.update(counter.count(shard))
    assert counts["skipped"] == 1800 - len(asked)
    assert counts["filled"] + bound.sampled_filled == 300
    assert counts["hits"] == 0 < counts["checked"] <= 0.1 * counts["skipped"]
    assert bound.sampled == len(asked) - sum(read_shards(run.layout)["asked"].to_pylist())


def test_an_erasure_takes_passages_out_of_the_check_too(run: Run) -> None:
    _all_plans(run, {})
    files = [f"{run.layout.checks}/{name}" for name in list_names(run.layout.checks)]
    marks = [one for file in files for one in pq.read_table(file)["passage_id"].to_pylist()]
    gone = marks[0]
    assert len(set(marks)) > 1
    erase_from_shards(run, pa.array([gone]))
    left = [one for file in files if exists(file) for one in pq.ParquetFile(file).read()["passage_id"].to_pylist()]
    assert left == [one for one in marks if one != gone]


def test_skipped_prompts_are_opened_again_and_nothing_else(run: Run) -> None:
    known: Known = {}
    asked = _all_plans(run, known)
    shards = read_shards(run.layout)["shard"].to_pylist()
    assert reopen_unanswered(run.layout, shards) == []
    assert any_skipped(run.layout, shards)
    assert reopen_unanswered(run.layout, shards, skipped=True)
    later = _complete(run, known)
    assert asked + later == Counter((text, ask) for text in _texts() for ask in _ASKS)
    assert not any_skipped(run.layout, shards)


@pytest.mark.parametrize("phase", ["sample", "calibrate"])
def test_a_sample_is_learnt_from_once_wherever_a_start_ends(run: Run, phase: str) -> None:
    known: Known = {}
    read = read_learnt if phase == "sample" else read_bound
    if phase == "sample":
        _plan(run, SampleOnly(Draw("s"), 0.2), known, _SAMPLE)
    else:
        _learn(run, known)
        _plan_calibration(run, known)
    assert is_sampling(run)
    learn_if_due(run, lambda _: None, always)
    assert read(run) is None, "not before all of it is answered"
    with pytest.raises(StageError, match="only a sample"):
        require_whole_plan(run)
    _complete(run, known)

    def stop() -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        learn_if_due(run, lambda _: None, stop)
    assert read(run) is None

    def stop_later() -> None:
        if read(run) is not None:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        learn_if_due(run, lambda _: None, stop_later)
    found = read(run)
    assert is_complete(run)
    learn_if_due(run, lambda _: None, always)
    assert read(run) == found
    assert not exists(run.layout.shards)


def test_a_passage_that_calibrates_is_asked_all_that_surely_is(run: Run) -> None:
    known: Known = {}
    learnt_from = {text for text, _ in _learn(run, known)}
    _plan_calibration(run, known)
    asked = _complete(run, known)
    drawn = Draw("s").cells([passage_id(text) for text in _texts()], _ASKS, CALIBRATE, read_learnt(run).calibration)
    for text, cells in zip(_texts(), drawn, strict=True):
        calibrates, received = cells.any() and text not in learnt_from, {ask for one, ask in asked if one == text}
        assert received >= ({ask for ask, cell in zip(_ASKS, cells, strict=True) if cell} if calibrates else set())
        assert calibrates or not received
        assert not calibrates or "Paula" not in text or "person" in received
    assert sum(ask == "place" for _, ask in asked) < 0.3 * 900


def test_what_failed_of_a_learning_passage_is_asked_and_never_skipped(run: Run) -> None:
    known: Known = {}
    learnt_from = {text for text, _ in _learn(run, known)}
    gone = sorted(learnt_from)[0]
    for ask in _ASKS:
        del known[passage_id(gone), ask]  # as if it had failed: the store has no answer
    learnt = read_learnt(run)
    assert learnt is not None
    classifier = read_classifier(run, learnt)
    rule = AllButSkipped(Draw("s"), _ASKS, lambda: classifier, 0.2, (1.0, 1.0), 0.0)
    _plan(run, rule, known, {"phase": "bound", "salt": "s", "cells": 1800})
    assert {text for text, _ in _complete(run, known)} == {gone}


def test_passages_that_were_skipped_are_never_taken_for_empty() -> None:
    ada = Entity("Ada", 0, 3, "exact", None)
    parts = {
        Outcome.FOUND: PassageAnswer(0, Outcome.FOUND, [ada], score=0.9),
        Outcome.NONE: PassageAnswer(0, Outcome.NONE, [], score=0.8),
        Outcome.SKIPPED: PassageAnswer(4, Outcome.SKIPPED, [], score=0.01),
        Outcome.TRUNCATED: PassageAnswer(0, Outcome.TRUNCATED, [], score=0.7),
    }
    expected = {
        (Outcome.FOUND, Outcome.SKIPPED): (Outcome.FOUND, 0.9),
        (Outcome.NONE, Outcome.SKIPPED): (Outcome.SKIPPED, 0.01),
        (Outcome.TRUNCATED, Outcome.SKIPPED): (Outcome.TRUNCATED, 0.7),
        (Outcome.FOUND, Outcome.NONE): (Outcome.FOUND, 0.8),
    }
    for kinds, (outcome, score) in expected.items():
        merged = merge_passages("Ada was there", [parts[kind] for kind in kinds])
        assert (merged.outcome, merged.score) == (outcome, score)
    two = [parts[Outcome.SKIPPED], PassageAnswer(9, Outcome.SKIPPED, [], score=0.03)]
    assert merge_passages("Ada was there", two).score == 0.03
    assert not Outcome.SKIPPED.is_failure
    assert not Outcome.SKIPPED.is_answer
