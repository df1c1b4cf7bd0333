"""Many draws of the calibration cells of one corpus, judged by an oracle that knows all answers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from uniner_dist.triage.bound import Promise, find_bound, find_rare


@dataclass(frozen=True)
class OracleCorpus:
    """Cells of a corpus.

    Attributes:
        scores: passages × questions, the probability that a classifier gives to a cell.
        filled: whether the cell is not empty.
        learnt: the same of the passages that the classifier has learnt from, which are others.
    """

    scores: npt.NDArray[np.float32]
    filled: npt.NDArray[np.bool_]
    learnt: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Drawn:
    """What came of one draw, as shares: of the cells that are not calibration cells, and of all filled ones."""

    skipped: float
    missed: float
    missed_of_type: npt.NDArray[np.float64]


def draws(
    corpus: OracleCorpus, promise: Promise, share: float, seeds: Iterable[int], whole_passages: bool = False
) -> Iterator[Drawn]:
    """One outcome per seed.

    Args:
        share: of the cells that are drawn to calibrate.
        whole_passages: draw all cells of a passage at once, as is wrong.
    """
    passages, kinds = corpus.filled.shape
    rare = find_rare(corpus.learnt, round(share * passages), promise)
    for seed in seeds:
        rng = np.random.default_rng(seed)
        drawn = rng.random(corpus.filled.shape) < share
        if whole_passages:
            drawn = np.repeat(rng.random((passages, 1)) < share, kinds, axis=1)
        yield _outcome(corpus, promise, rare, np.nonzero(drawn), ~drawn)


def draws_of_many(corpus: OracleCorpus, promise: Promise, cells: int, seeds: Iterable[int]) -> Iterator[Drawn]:
    """The same for a corpus so large that each of these cells stands for very many: drawn with replacement."""
    passages, kinds = corpus.filled.shape
    rare = find_rare(corpus.learnt, cells // kinds, promise)
    for seed in seeds:
        rng = np.random.default_rng(seed)
        places = rng.integers(0, passages, cells), rng.integers(0, kinds, cells)
        yield _outcome(corpus, promise, rare, places, np.ones_like(corpus.filled))


def _outcome(
    corpus: OracleCorpus,
    promise: Promise,
    rare: tuple[bool, ...],
    drawn: tuple[npt.NDArray[np.int64], ...],
    others: npt.NDArray[np.bool_],
) -> Drawn:
    scores, filled = corpus.scores, corpus.filled
    bound = find_bound(scores[drawn], drawn[1], filled[drawn], rare, promise)
    skipped = (scores <= np.asarray(bound.thresholds)) & others
    missed = skipped & filled
    of_type = missed.sum(axis=0) / np.maximum(filled.sum(axis=0), 1)
    return Drawn(skipped.sum() / others.sum(), missed.sum() / filled.sum(), of_type)


def synthetic_corpus(clustered: bool) -> OracleCorpus:
    """3,000 passages with 20 questions and honest scores; with clusters, 6 passages whose scores are all wrong."""
    rng = np.random.default_rng(7)
    scores = rng.beta(0.3, 3, size=(4_000, 20))
    filled = rng.random(scores.shape) < scores
    if clustered:
        wrong = rng.choice(3_000, 6, replace=False)
        filled[wrong], scores[wrong] = True, 1e-3
    return OracleCorpus(scores[:3_000].astype(np.float32), filled[:3_000], filled[3_000:])
