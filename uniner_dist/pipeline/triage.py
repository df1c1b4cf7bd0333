"""From the answers of a run's sample to its bound: the step between the two plans of a run with triage.

Enters: a run whose sample is answered. Leaves: the classifier, and `bound.json`, which appears once and says that the
run is to be planned again. In the driver are texts of the learning passages only, some thousands, and three numbers for
each calibration cell.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from uniner_dist.annotations.filled import is_filled
from uniner_dist.completions.stage import is_complete
from uniner_dist.errors import StageError, TriageBrokenError
from uniner_dist.prompts.selection import LEARN
from uniner_dist.reporting.triage import verdict_words
from uniner_dist.run.run import Run
from uniner_dist.run.triage import plan_of, promise_of, read_bound, write_classifier
from uniner_dist.storage.control_files import ControlFile, TriageBound, TriageVerdict, write_control
from uniner_dist.storage.control_files.records import TriagePlan
from uniner_dist.storage.filesystem import remove
from uniner_dist.storage.shards import (
    any_skipped,
    is_skipped,
    read_completions,
    read_prompts,
    read_shards,
    reopen_unanswered,
)
from uniner_dist.triage.bound import find_bound, find_caps, find_rare
from uniner_dist.triage.classifier import Classifier
from uniner_dist.triage.draw import Draw
from uniner_dist.triage.learning import learn, score_unseen
from uniner_dist.triage.sizes import check_share

Say = Callable[[str], None]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class _Shard:
    """Passages of a shard of the sample; masks are passages × questions.

    Attributes:
        filled: whether the answer is anything but the empty list.
        own: whether the prompt was asked for this sample.
        answered: whether its answer is in the store now.
    """

    ids: list[str]
    texts: list[str]
    filled: Flags
    own: Flags
    answered: Flags


def is_sampling(run: Run) -> bool:
    """Whether the run's plan has no more than the sample."""
    plan = plan_of(run)
    return plan is not None and plan.phase == "sample"


def require_whole_plan(run: Run) -> None:
    """Raises StageError when only the sample was planned yet."""
    if is_sampling(run):
        raise StageError(
            f"run {run.id}: only the sample of its triage is planned; run `completions`, then `prompts` with the same "
            "configuration again, which learns from it, and `completions` once more"
        )


def learn_if_due(run: Run, say: Say, check: Callable[[], None]) -> None:
    """Once the sample is answered, find the bound and take back the plan, so that stage 1 makes the next one.

    Args:
        check: raises when this process may not go on.
    """
    plan = plan_of(run)
    if plan is None or plan.phase != "sample" or not is_complete(run):
        return
    bound = read_bound(run)
    if bound is None or bound.salt != plan.salt:
        bound = _find(run, plan)
        check()
        write_control(run.layout.triage_bound, bound)
    allowed = sum(threshold >= 0 for threshold in bound.thresholds)
    say(
        f"triage: learnt from {bound.learning_passages:,} passages; of {bound.filled:,} calibration prompts that name "
        f"something {bound.missed:,} would be missed; {allowed:,} of {len(bound.thresholds):,} questions may be skipped"
    )
    check()
    for path in (run.layout.shards, run.layout.plan):
        remove(path)


def check_triage(spark: Any, run: Run, check: Callable[[], None], say: Say) -> dict[str, Any] | None:
    """What triage did and what its check says, for the report; None without triage.

    Raises:
        TriageBrokenError: more was missed than promised. As `triage.if_broken` has it, what was skipped is open again.
    """
    plan = plan_of(run)
    if plan is None:
        return None
    from uniner_dist.annotations.triage_check import judge_triage

    bound, verdict = read_bound(run), judge_triage(spark, run)
    if verdict is not None:
        say(f"triage: {verdict_words(verdict.model_dump(), run.config.triage.max_missed or 0)}")
    if verdict is not None and verdict.kept == "broken":
        _open_skipped(run, check)
    described = {name: value.model_dump(mode="json") for name, value in _parts(bound, verdict)}
    left_out = any_skipped(run.layout, read_shards(run.layout)["shard"].to_pylist())
    facts = {"plan": plan.model_dump(mode="json"), "left_out": left_out}
    return {"promise": run.config.triage.model_dump(mode="json"), **facts, **described}


def _parts(bound: TriageBound | None, verdict: TriageVerdict | None) -> Iterator[tuple[str, ControlFile]]:
    if bound is not None:
        yield "bound", bound
    if verdict is not None:
        yield "verdict", verdict


def _open_skipped(run: Run, check: Callable[[], None]) -> None:
    """A broken promise: raise, and before that have the skipped prompts asked, unless they have been."""
    words = f"run {run.id}: the check of its triage found more missed than triage.max_missed allows"
    shards = read_shards(run.layout)["shard"].to_pylist()
    if run.config.triage.if_broken == "stop":
        if any_skipped(run.layout, shards):
            raise TriageBrokenError(
                f"{words}; nothing was published. `uniner-dist retry --skipped` asks what was skipped, and publishes"
            )
        return
    reopened = reopen_unanswered(run.layout, shards, check, skipped=True)
    if reopened:
        raise TriageBrokenError(f"{words}; the skipped prompts of {len(reopened):,} shards are to be asked now")


def _find(run: Run, plan: TriagePlan) -> TriageBound:
    promise, draw, asks = promise_of(run), Draw(plan.salt), run.config.questions.asked
    learning = _learning_sample(run, plan, draw)
    texts, learnt = learning.texts, learning.filled
    classifier = learn(texts, learnt)
    rare = find_rare(learnt, round(plan.calibration * plan.cells / len(asks)), promise)
    caps = find_caps(score_unseen(texts, learnt), learnt, rare, promise)
    scores, questions, filled = _calibration_cells(run, plan, draw, classifier)
    bound = find_bound(scores, questions, filled, rare, promise, caps)
    skipped = float((scores <= np.asarray(bound.thresholds)[questions]).mean()) if len(scores) else 0.0
    share = float(filled.mean()) if len(filled) else 0.0
    return TriageBound(
        salt=plan.salt,
        classifier=write_classifier(run, classifier),
        thresholds=bound.thresholds,
        rare=bound.rare,
        learning_passages=len(texts),
        calibration_cells=len(scores),
        filled=bound.filled,
        missed=bound.missed,
        sampled=learning.asked,
        sampled_filled=learning.asked_filled,
        check=check_share(share, skipped, plan.cells, promise),
        cells=plan.cells,
    )


@dataclass(frozen=True)
class _Learning:
    """What is learnt from, in the order of the passages' ids, and counts of the whole sample.

    Attributes:
        filled: passages × questions.
        asked: prompts that were asked for the sample.
        asked_filled: those of them whose answer is in the store now and names something.
    """

    texts: list[str]
    filled: Flags
    asked: int
    asked_filled: int


def _learning_sample(run: Run, plan: TriagePlan, draw: Draw) -> _Learning:
    found: list[tuple[str, str, Flags]] = []
    asked = asked_filled = 0
    for shard in _shards(run):
        asked += int(shard.own.sum())
        asked_filled += int((shard.own & shard.filled & shard.answered).sum())
        places = np.flatnonzero(draw.passages(shard.ids, LEARN, plan.learning))
        found += [(shard.ids[place], shard.texts[place], shard.filled[place]) for place in places]
    found.sort(key=lambda one: one[0])
    filled = np.array([row for _, _, row in found], dtype=bool).reshape(len(found), len(run.config.questions.asked))
    return _Learning([text for _, text, _ in found], filled, asked, asked_filled)


def _calibration_cells(
    run: Run, plan: TriagePlan, draw: Draw, classifier: Classifier
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64], Flags]:
    """Score, question and answer of every cell that was asked to calibrate."""
    scores, questions, filled = [], [], []
    for shard in _shards(run):
        cells = shard.own & ~draw.passages(shard.ids, LEARN, plan.learning)[:, None]
        wanted = np.flatnonzero(cells.any(axis=1))
        scored = np.zeros(cells.shape, np.float32)
        scored[wanted] = classifier.score([shard.texts[place] for place in wanted])
        scores.append(scored[cells])
        questions.append(np.nonzero(cells)[1])
        filled.append(shard.filled[cells])
    none = np.zeros(0)
    return (
        np.concatenate([none.astype(np.float32), *scores]),
        np.concatenate([none.astype(np.int64), *questions]),
        np.concatenate([none.astype(bool), *filled]),
    )


def _shards(run: Run) -> Iterator[_Shard]:
    """The shards of the sample, one after the other."""
    asks = len(run.config.questions.asked)
    for name in sorted(read_shards(run.layout)["shard"].to_pylist()):
        prompts = read_prompts(run.layout, name)
        completions = read_completions(run.layout.completions_file(name), name, run.fingerprint, prompts.num_rows)
        first = np.arange(0, prompts.num_rows, asks)
        own = ~np.asarray(is_skipped(completions)) & ~np.asarray(completions["reused"])
        yield _Shard(
            ids=prompts["passage_id"].take(first).to_pylist(),
            texts=prompts["text"].take(first).to_pylist(),
            filled=np.asarray(is_filled(completions)).reshape(-1, asks),
            own=own.reshape(-1, asks),
            answered=np.asarray(completions["output"].is_valid()).reshape(-1, asks),
        )
