"""A run with triage beside a full one, cell by cell: what is skipped, asked once, checked, resumed and asked later."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.answering import Corpus, answer, rows_of
from uniner_dist.annotations.publication import publish
from uniner_dist.annotations.stage import write_annotations
from uniner_dist.completions.engine.scripted import scripted_answer
from uniner_dist.completions.retry import begin_retry, reopen
from uniner_dist.completions.stage import is_complete
from uniner_dist.errors import StageError, TriageBrokenError
from uniner_dist.pipeline.triage import check_triage, is_sampling, learn_if_due, require_whole_plan
from uniner_dist.prompts.stage import write_prompts
from uniner_dist.run.run import Run
from uniner_dist.run.triage import plan_of, read_bound, read_learnt, read_verdict
from uniner_dist.storage.commit import always
from uniner_dist.storage.control_files import TriageVerdict, write_control
from uniner_dist.storage.filesystem import read_json
from uniner_dist.storage.shards import read_shards

pytestmark = pytest.mark.spark

_ON: dict[str, Any] = {
    "triage.max_missed": 0.2,
    "triage.max_missed_of_type": 0.2,
    "triage.sample_fraction": 0.4,
    "types": "person,PLACE=xxx",
}
_COUNT = 900


def _quiet(_: str) -> None:
    pass


def _documents(count: int = _COUNT) -> dict[str, dict[str, str]]:
    """Every third names a person; nothing begins with the letter of the other question."""
    quiet = ["the weather was fine", "nobody came along", "it rained on and on", "all was well again"]
    rows = {}
    for i in range(count):
        text = f"Paula met Erik in Oslo {i} times." if i % 3 == 0 else f"on day {i} {quiet[i % 4]}."
        rows[f"d{i:04d}"] = {"text": text, "domain": "news"}
    return rows


def _until_answered(corpus: Corpus, run: Run, say: Callable[[str], None] = _quiet) -> Counter[tuple[str, str]]:
    """All plans of a run, answered; a start of the job that is repeated does only what is missing."""
    learn_if_due(run, say, always)
    write_prompts(corpus.spark, run)
    received = answer(run)
    if is_sampling(run):
        with pytest.raises(StageError, match="only a sample"):
            require_whole_plan(run)
        received += _until_answered(corpus, run, say)
    return received


def _published(corpus: Corpus, run: Run, again: bool = False) -> dict[tuple[str, str], dict[str, Any]]:
    write_annotations(corpus.spark, run, again)
    publish(corpus.spark, run, again)
    return {(row["doc_id"], row["entity_type"]): row for row in rows_of(run.config.output.path)}


def test_a_triaged_run_is_a_full_one_but_for_what_it_skips(corpus: Corpus) -> None:
    corpus.write(_documents())
    full = {(row["doc_id"], row["entity_type"]): row for row in corpus.full(types=_ON["types"], store=None)[0]}
    store = str(corpus.folder / "another-store")
    run = corpus.open(store=store, **{**_ON, "triage.rare_types": "include"})
    received = _until_answered(corpus, run)
    triage = check_triage(corpus.spark, run, always, _quiet)
    rows = _published(corpus, run)

    skipped = {cell for cell, row in rows.items() if row["outcome"] == "skipped"}
    assert max(received.values()) == 1
    assert len(received) + len(skipped) == len(full) == 2 * _COUNT
    assert len(skipped) > 0.4 * len(full)
    assert {cell: row for cell, row in full.items() if cell not in skipped} == {
        cell: row for cell, row in rows.items() if cell not in skipped
    }
    assert all(rows[cell]["entities"] == [] and 0 < rows[cell]["score"] < 0.5 for cell in skipped)
    filled = [cell for cell, row in full.items() if row["outcome"] != "none"]
    assert len(skipped.intersection(filled)) <= 0.2 * len(filled)

    verdict, bound = read_verdict(run), read_bound(run)
    assert triage is not None
    assert triage.verdict.kept == verdict.kept != "broken"
    assert (verdict.skipped, verdict.filled) == (len(skipped), len(filled))
    assert 0 < verdict.checked < len(received) - bound.sampled
    summary = read_json(run.layout.prompts_summary)
    assert summary["prompts_to_ask"] + summary["prompts_skipped"] + bound.sampled == summary["prompts"]
    assert summary["prompts_known"] == bound.sampled
    counted = read_json(run.layout.annotations_summary)
    assert counted["outcomes"]["skipped"] == len(skipped)
    assert counted["failed"] == counted["quarantined"] == 0

    # The store has real answers only: without triage, exactly what was skipped is asked.
    asked = corpus.open(store=store, types=_ON["types"], **{"output.path": str(corpus.folder / "without")})
    write_prompts(corpus.spark, asked)
    assert sum(read_shards(asked.layout)["asked"].to_pylist()) == len(skipped)
    # So does a retry of the run itself, which then is the full one.
    retry = begin_retry(run, 1, skipped=True)
    assert reopen(run, retry) > 0
    texts = {doc: one["text"] for doc, one in _documents().items()}
    asks = {"person": "person", "PLACE": "xxx"}
    assert answer(run) == Counter((texts[doc], asks[label]) for doc, label in skipped)
    assert _published(corpus, run, again=True) == full


@pytest.mark.slow
def test_kills_in_every_phase_repeat_only_what_was_in_flight(corpus: Corpus) -> None:
    corpus.write(_documents())

    class KilledError(Exception):
        pass

    def killed() -> None:
        raise KilledError

    run = corpus.open(**{**_ON, "triage.rare_types": "include"})
    received: Counter[tuple[str, str]] = Counter()
    for read in (read_learnt, read_bound):
        with pytest.raises(KilledError):
            write_prompts(corpus.spark, run, killed)
        write_prompts(corpus.spark, run)
        received += answer(run, shards=2)
        assert is_sampling(run)
        learn_if_due(run, _quiet, always)  # not yet
        assert read(run) is None
        received += answer(run)
        with pytest.raises(KilledError):
            learn_if_due(run, _quiet, killed)
        assert read(run) is None

        def killed_later(read: Callable[[Run], object] = read) -> None:
            if read(run) is not None:
                raise KilledError

        with pytest.raises(KilledError):
            learn_if_due(run, _quiet, killed_later)
        found = read(run)
        assert is_complete(run)
        assert is_sampling(run)
        learn_if_due(run, _quiet, always)
        assert read(run) == found
    with pytest.raises(KilledError):
        write_prompts(corpus.spark, run, killed)
    write_prompts(corpus.spark, run)
    received += answer(run, shards=1)
    received += _until_answered(corpus, run)
    check_triage(corpus.spark, run, always, _quiet)
    rows = _published(corpus, run)
    skipped = sum(row["outcome"] == "skipped" for row in rows.values())
    assert skipped > 0
    assert max(received.values()) == 1
    assert len(received) + skipped == 2 * _COUNT


@pytest.mark.slow
def test_a_broken_promise_asks_what_was_skipped(corpus: Corpus) -> None:
    corpus.write(_documents())
    run = corpus.open(**{**_ON, "triage.rare_types": "include"})
    received = _until_answered(corpus, run)
    bound = read_bound(run)
    shares: dict[str, float] = {"missed": 0.2, "low": 0.1, "high": 0.3}
    counts: dict[str, int] = dict.fromkeys(("skipped", "checked", "hits", "filled"), 9)
    broken = {"salt": bound.salt, "kept": "broken", **shares, **counts}
    write_control(run.layout.triage_verdict, TriageVerdict.model_validate(broken))
    with pytest.raises(TriageBrokenError, match="are to be asked now"):
        check_triage(corpus.spark, run, always, _quiet)
    assert not is_complete(run)
    received += answer(run)
    assert len(received) == received.total() == 2 * _COUNT
    check_triage(corpus.spark, run, always, _quiet)
    assert {row["outcome"] for row in _published(corpus, run).values()} == {"found", "none"}


@pytest.mark.slow
def test_a_run_too_small_asks_everything_and_says_so(corpus: Corpus) -> None:
    corpus.write(_documents(30))
    run = corpus.open(**_ON)
    assert len(_until_answered(corpus, run)) == 60
    plan = plan_of(run)
    assert plan.phase == "all"
    assert "too few" in str(plan.why)
    assert check_triage(corpus.spark, run, always, _quiet).plan.phase == "all"
    assert json.loads(json.dumps(read_json(run.layout.prompts_summary)))["prompts_to_ask"] == 60


@pytest.mark.slow
def test_types_that_never_or_hardly_occur_are_asked_unless_included(corpus: Corpus) -> None:
    documents = _documents()
    for name in ("d0100", "d0700"):
        documents[name]["text"] += " Quito was far."
    corpus.write(documents)
    run = corpus.open(**_ON | {"types": "person,PLACE=xxx,CITY=q"})
    received = _until_answered(corpus, run)
    assert read_bound(run).rare == (False, True, True)
    assert max(read_bound(run).thresholds[1:]) < 0 < read_bound(run).thresholds[0]
    assert [sum(ask == one for _, ask in received) for one in ("xxx", "q")] == [_COUNT, _COUNT]
    assert sum(question == "person" for _, question in received) < 800
    check_triage(corpus.spark, run, always, _quiet)
    rows = _published(corpus, run)
    assert [cell for cell, row in rows.items() if cell[1] == "CITY" and row["outcome"] == "found"] == [
        ("d0100", "CITY"),
        ("d0700", "CITY"),
    ]


@pytest.mark.slow
def test_a_second_run_promises_anew_of_documents_of_another_kind(corpus: Corpus) -> None:
    """What names something in the second kind of documents, the first run has learnt to be empty."""
    settings = {**_ON, "triage.rare_types": "include", "store": str(corpus.folder / "store")}
    first = _documents()
    corpus.write(first)
    run = corpus.open(**settings)
    _until_answered(corpus, run)
    check_triage(corpus.spark, run, always, _quiet)
    left_out = {cell for cell, row in _published(corpus, run).items() if row["outcome"] == "skipped"}

    def other(i: int) -> str:
        return f"the weather was fine on day {i}, said Nora." if i % 2 else f"Lima and Turin met {i} times."

    second = first | {f"e{i:04d}": {"text": other(i), "domain": "letters"} for i in range(_COUNT)}
    corpus.write(second)
    later = corpus.open(**settings)
    received = _until_answered(corpus, later)
    check_triage(corpus.spark, later, always, _quiet)
    rows = _published(corpus, later)
    learnt, bound = read_learnt(later), read_bound(later)
    assert bound.salt != read_bound(run).salt
    assert learnt.classifier != read_learnt(run).classifier
    # What is asked in the second run is all that the store lacks: new documents, and what the first run has left out.
    assert learnt.cells == 2 * _COUNT + len(left_out)
    labels = {"person": "person", "PLACE": "xxx"}
    full = {
        (doc, label): scripted_answer(one["text"], ask) for doc, one in second.items() for label, ask in labels.items()
    }
    for cell, row in rows.items():
        if row["outcome"] != "skipped":
            assert [entity["text"] for entity in row["entities"]] == json.loads(full[cell]), cell
    filled = {cell for cell in full if full[cell] != "[]" and (cell[0][0] == "e" or cell in left_out)}
    missed = [cell for cell in filled if rows[cell]["outcome"] == "skipped"]
    assert len(missed) <= 0.2 * len(filled)
    assert max(received.values()) == 1
