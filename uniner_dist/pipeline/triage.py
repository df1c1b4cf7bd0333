"""From the answers of a run's sample to its bound: the steps between the plans of a run with triage.

Writes the classifier and `learnt.json` once the sample is answered, then `bound.json` once the calibrating prompts are;
each is written once and says that the run is to be planned again. The driver holds texts of the learning passages only,
some thousands, and three numbers for each calibration cell.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from uniner_dist.completions.stage import is_complete
from uniner_dist.core.template import get_template
from uniner_dist.core.tokens import PromptTokenizer
from uniner_dist.errors import StageError, TriageBrokenError
from uniner_dist.model import load_tokenizer_json
from uniner_dist.pipeline.triage_sample import calibration_cells, learning_sample
from uniner_dist.reporting.triage import format_bound, format_learnt, format_verdict
from uniner_dist.run.run import Run
from uniner_dist.run.triage import plan_of, promise_of, read_bound, read_learnt, write_classifier
from uniner_dist.storage.control_files import (
    ReportedTriage,
    TriageBound,
    TriageLearnt,
    TriagePlan,
    TriagePromise,
    write_control,
)
from uniner_dist.storage.filesystem import remove
from uniner_dist.storage.shards import any_skipped, read_shards, reopen_unanswered
from uniner_dist.triage.bound import find_bound, find_caps, find_rare, foretell
from uniner_dist.triage.learning import learn, score_unseen
from uniner_dist.triage.saving import FLOOR_MARGIN, Prices, estimate_saving, why_all
from uniner_dist.triage.sizes import CHECKED_AT_MOST, calibration_share, check_share

Say = Callable[[str], None]


def is_sampling(run: Run) -> bool:
    """Return whether the run's plan is only a sample: what triage learns from, or what calibrates it.

    Args:
        run: at any stage; without triage, or without a plan, it is not sampling.
    """
    plan = plan_of(run)
    return plan is not None and plan.phase in ("sample", "calibrate")


def require_whole_plan(run: Run) -> None:
    """Check that not only a sample is planned.

    Args:
        run: at any stage.

    Raises:
        StageError: only a sample for its triage is planned; the message says how to continue.
    """
    if is_sampling(run):
        raise StageError(
            f"run {run.id}: only a sample for its triage is planned; run `completions`, then `prompts` with the same "
            "configuration again, which learns from it, until `prompts` has planned the whole run"
        )


def learn_if_due(run: Run, say: Say, check: Callable[[], None]) -> None:
    """Learn from the sample once it is answered, and take the plan back for the next one.

    Args:
        run: a run with triage on; others are left alone.
        say: called with each line of news.
        check: raises when this process may not go on.
    """
    plan = plan_of(run)
    if plan is None or not is_sampling(run) or not is_complete(run):
        return
    learnt = read_learnt(run)
    if plan.phase == "sample":
        if learnt is None or learnt.salt != plan.salt:
            learnt = _learn(run, plan)
            check()
            write_control(run.layout.triage_learnt, learnt)
        say(format_learnt(learnt))
    elif learnt is not None:  # or else the sample is drawn again
        bound = read_bound(run)
        if bound is None or bound.salt != plan.salt:
            bound = _find(run, learnt)
            check()
            write_control(run.layout.triage_bound, bound)
        say(format_bound(bound))
    check()
    for path in (run.layout.shards, run.layout.plan):
        remove(path)


def check_triage(spark: Any, run: Run, check: Callable[[], None], say: Say) -> ReportedTriage | None:
    """Check what triage has skipped, and return the figures for the report.

    Args:
        spark: session that counts the answers to the check's prompts.
        run: a run whose shards are all answered.
        check: called before shards are opened again; raises when this process may not go on.
        say: called with each line of news, the verdict among them.

    Returns:
        What triage promised, planned, learnt and found; None without triage.

    Raises:
        TriageBrokenError: more was missed than promised, and skipped prompts were not asked yet. Unless
            `triage.if_broken` is "stop", their shards are open again, and are to be answered before the next call.
    """
    plan = plan_of(run)
    if plan is None:
        return None
    from uniner_dist.annotations.triage_check import judge_triage

    learnt, bound, verdict = read_learnt(run), read_bound(run), judge_triage(spark, run)
    if verdict is not None:
        say(f"triage: {format_verdict(verdict, run.config.triage.max_missed or 0)}")
    if verdict is not None and verdict.kept == "broken":
        _open_skipped(run, check)
    return ReportedTriage(
        promise=TriagePromise.model_validate(run.config.triage.model_dump(mode="json")),
        plan=plan,
        left_out=any_skipped(run.layout, read_shards(run.layout)["shard"].to_pylist()),
        learnt=learnt,
        bound=bound,
        verdict=verdict,
    )


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


def _learn(run: Run, plan: TriagePlan) -> TriageLearnt:
    promise, questions = promise_of(run), len(run.config.questions.asked)
    sample = learning_sample(run, plan)
    texts, filled = sample.texts, sample.filled
    classifier = learn(texts, filled)
    share = float(filled.mean()) if filled.size else 0.0
    calibration = calibration_share(share, questions, plan.cells, promise, run.config.triage.sample_fraction)
    cells = calibration * plan.cells
    rare = find_rare(filled, round(cells / questions), promise)
    scores = score_unseen(texts, filled)
    caps = find_caps(scores, filled, rare, promise)
    expected, floors = (foretell(scores, filled, rare, caps, promise, cells, margin) for margin in (0.0, FLOOR_MARGIN))
    saving = estimate_saving(
        scores, expected, floors, (plan.learning, calibration, CHECKED_AT_MOST), _prices(run, texts)
    )
    why = why_all(calibration, saving)
    return TriageLearnt(
        salt=plan.salt,
        classifier=write_classifier(run, classifier),
        rare=rare,
        caps=caps,
        floors=floors,
        learning=plan.learning,
        learning_passages=len(texts),
        calibration=0.0 if why else calibration,
        why=why,
        sampled=sample.asked,
        sampled_filled=sample.asked_filled,
        cells=plan.cells,
        skipped=saving.prompts,
        saved=saving.tokens,
    )


def _prices(run: Run, texts: Sequence[str]) -> Prices:
    """Tokens of these passages' prompts, by the run's own tokenizer."""
    model = run.config.model
    tokenizer = PromptTokenizer.from_json(load_tokenizer_json(model), get_template(model.template))
    prefixes = tokenizer.prefix_ids(texts)
    # What the first and the last in order have in common, all have.
    pairs = zip(min(prefixes), max(prefixes), strict=False)
    shared = next((place for place, (one, other) in enumerate(pairs) if one != other), 0)
    lengths = np.array([len(ids) - shared for ids in prefixes], np.int64)
    return Prices(lengths, [len(tokenizer.suffix_ids(ask)) for ask in run.config.questions.asked])


def _find(run: Run, learnt: TriageLearnt) -> TriageBound:
    promise = promise_of(run)
    cells = calibration_cells(run, learnt)
    bound = find_bound(cells.scores, cells.questions, cells.filled, learnt.rare, promise, learnt.caps)
    below = cells.scores <= np.asarray(bound.thresholds)[cells.questions]
    skipped, share = (float(one.mean()) if len(one) else 0.0 for one in (below, cells.filled))
    return TriageBound(
        salt=learnt.salt,
        classifier=learnt.classifier,
        thresholds=bound.thresholds,
        rare=bound.rare,
        learning_passages=learnt.learning_passages,
        calibration_cells=len(cells.scores),
        filled=bound.filled,
        missed=bound.missed,
        sampled=learnt.sampled + cells.asked,
        sampled_filled=learnt.sampled_filled + cells.asked_filled,
        check=check_share(share, skipped, learnt.cells, promise),
        cells=learnt.cells,
    )
