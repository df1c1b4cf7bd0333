"""Ranking quality and calibration of confidences.

Takes confidences with a verdict each; returns numbers and curves. Pure; no I/O.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from uniner_dist.evaluation.figures import ConfidenceSummary, CurvePoint, Ranking, ReliabilityBin

Values = npt.NDArray[Any]
Flags = npt.NDArray[np.bool_]

#: Most points of a curve that are kept: enough for a picture, little enough for a JSON file.
_CURVE_POINTS: Final = 100
_BINS: Final = 10


def rank_auc(scores: Sequence[float] | Values, right: Sequence[bool] | Flags) -> float | None:
    """Return the probability that a right answer has a higher confidence than a wrong one, ties counting half.

    This is the area under the ROC curve, computed as the Mann-Whitney U statistic over mean ranks. None if all are
    right or all are wrong.

    Args:
        scores: confidence of each answer; only their order matters.
        right: whether each answer is right; same length.
    """
    values, verdicts = np.asarray(scores, dtype=np.float64), np.asarray(right, dtype=bool)
    positive = int(verdicts.sum())
    negative = len(verdicts) - positive
    if not positive or not negative:
        return None
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    mean_ranks = last - (counts - 1) / 2  # ranks count from 1
    rank_sum = float(mean_ranks[inverse][verdicts].sum())
    return (rank_sum - positive * (positive + 1) / 2) / (positive * negative)


def auc_within_groups(
    scores: Sequence[float] | Values, right: Sequence[bool] | Flags, groups: Sequence[Any] | Values
) -> float | None:
    """Return `rank_auc` over those pairs of a right and a wrong answer that are of the same group.

    Pooled over entity types, a type that is often wrong and always sure hides the order within the others. This asks
    whether a threshold per type would sort the answers. None if no group has both a right and a wrong answer.

    Args:
        scores: confidence of each answer.
        right: whether each answer is right; same length.
        groups: entity type of each answer, or any other key; same length.
    """
    won = pairs = 0.0
    for values, verdicts in _by_group(scores, right, groups).values():
        auc = rank_auc(values, verdicts)
        if auc is not None:
            weight = int(verdicts.sum()) * int((~verdicts).sum())
            won, pairs = won + auc * weight, pairs + weight
    return won / pairs if pairs else None


def precision_coverage(scores: Sequence[float] | Values, right: Sequence[bool] | Flags) -> list[CurvePoint]:
    """Compute coverage and precision when only confidences of at least `threshold` are kept.

    Args:
        scores: confidence of each answer.
        right: whether each answer is right; same length.

    Returns:
        Points from the highest threshold to the lowest, one per distinct confidence, thinned out to a hundred; an empty
        list if there are no answers.
    """
    values, verdicts = np.asarray(scores, dtype=np.float64), np.asarray(right, dtype=np.float64)
    order = np.argsort(-values, kind="stable")
    values, correct = values[order], np.cumsum(verdicts[order])
    last = np.flatnonzero(np.append(values[1:] != values[:-1], True)) if len(values) else np.empty(0, dtype=np.int64)
    if len(last) > _CURVE_POINTS:
        last = last[np.unique(np.linspace(0, len(last) - 1, _CURVE_POINTS).round().astype(np.int64))]
    return [
        CurvePoint(
            threshold=float(values[i]),
            coverage=float(i + 1) / len(values),
            precision=float(correct[i]) / float(i + 1),
        )
        for i in last
    ]


def reliability(scores: Sequence[float] | Values, right: Sequence[bool] | Flags) -> list[ReliabilityBin]:
    """Return mean confidence and share of right answers in ten equally wide bins of confidence, without empty bins.

    Args:
        scores: confidence of each answer, in [0, 1]; 1 is in the last bin.
        right: whether each answer is right; same length.
    """
    values, verdicts = np.asarray(scores, dtype=np.float64), np.asarray(right, dtype=np.float64)
    bins: npt.NDArray[np.int64] = np.clip((values * _BINS).astype(np.int64), 0, _BINS - 1)
    return [
        ReliabilityBin(
            low=number / _BINS,
            high=(number + 1) / _BINS,
            n=int(inside.sum()),
            confidence=float(values[inside].mean()),
            right=float(verdicts[inside].mean()),
        )
        for number in range(_BINS)
        if (inside := bins == number).any()
    ]


def summarise_confidence(
    scores: Sequence[float] | Values,
    right: Sequence[bool] | Flags,
    types: Sequence[Any] | Values,
    names: Sequence[str] | None = None,
) -> ConfidenceSummary | None:
    """Summarise the confidences of one kind of answer (mentions, or answers that there is none).

    Args:
        scores: confidence of each answer, in [0, 1].
        right: whether each answer is right; same length.
        types: entity type of each answer, or the type's number in `names`; same length.
        names: entity types by their numbers; None where `types` holds the types themselves.

    Returns:
        Counts, AUC and curves of all answers, and counts and AUC of each type; None if there are no answers.
    """
    if not len(scores):
        return None
    whole, groups = _ranking(scores, right), _by_group(scores, right, types).items()
    return ConfidenceSummary(
        n=whole.n,
        right=whole.right,
        auc=whole.auc,
        auc_within_types=auc_within_groups(scores, right, types),
        curve=tuple(precision_coverage(scores, right)),
        reliability=tuple(reliability(scores, right)),
        by_type={key if names is None else names[key]: _ranking(*group) for key, group in groups},
    )


def _by_group(
    scores: Sequence[float] | Values, right: Sequence[bool] | Flags, groups: Sequence[Any] | Values
) -> dict[Any, tuple[Values, Flags]]:
    """Confidences and verdicts of each group, in order of first appearance."""
    values, verdicts = np.asarray(scores, dtype=np.float64), np.asarray(right, dtype=bool)
    names, first, inverse = np.unique(np.asarray(groups), return_index=True, return_inverse=True)
    order = np.argsort(inverse, kind="stable")
    parts = np.split(order, np.cumsum(np.bincount(inverse, minlength=len(names)))[:-1])
    return {names[at].item(): (values[parts[at]], verdicts[parts[at]]) for at in np.argsort(first)}


def _ranking(scores: Sequence[float] | Values, right: Sequence[bool] | Flags) -> Ranking:
    verdicts = np.asarray(right, dtype=bool)
    return Ranking(n=len(scores), right=float(verdicts.mean()), auc=rank_auc(scores, verdicts))
