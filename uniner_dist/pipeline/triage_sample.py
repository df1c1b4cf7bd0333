"""The learning sample and the calibration cells of triage, read from the shards of a run one after the other.

Returns, of a run whose plan is a sample that is all answered, the texts of the learning passages and their answers as
masks, passages × questions; and three numbers for each calibration cell.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from uniner_dist.annotations.filled import is_filled
from uniner_dist.prompts.selection import LEARN, calibrates
from uniner_dist.run.run import Run
from uniner_dist.run.triage import read_classifier
from uniner_dist.storage.control_files import TriageLearnt
from uniner_dist.storage.control_files.records import TriagePlan
from uniner_dist.storage.shards import is_skipped, read_completions, read_prompts, read_shards
from uniner_dist.triage.draw import Draw

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


@dataclass(frozen=True)
class LearningSample:
    """The learning sample, in the order of passage ids, and counts of the whole sample.

    Attributes:
        filled: passages × questions.
        asked: prompts that were asked for the sample.
        asked_filled: those of them whose answer is in the store now and names something.
    """

    texts: list[str]
    filled: Flags
    asked: int
    asked_filled: int


def learning_sample(run: Run, plan: TriagePlan) -> LearningSample:
    """Read the passages of the learning sample, with their answers.

    Args:
        run: a run whose planned sample is all answered.
        plan: its plan, whose salt and learning fraction say which passages were drawn.

    Returns:
        The passages in the order of their ids, and counts of all prompts of the sample.
    """
    found: list[tuple[str, str, Flags]] = []
    asked = asked_filled = 0
    draw = Draw(plan.salt)
    for shard in _shards(run):
        asked += int(shard.own.sum())
        asked_filled += int((shard.own & shard.filled & shard.answered).sum())
        places = np.flatnonzero(draw.passages(shard.ids, LEARN, plan.learning))
        found += [(shard.ids[place], shard.texts[place], shard.filled[place]) for place in places]
    found.sort(key=lambda one: one[0])
    filled = np.array([row for _, _, row in found], dtype=bool).reshape(len(found), len(run.config.questions.asked))
    return LearningSample([text for _, text, _ in found], filled, asked, asked_filled)


@dataclass(frozen=True)
class Calibration:
    """Score, question and answer of every cell that calibrates, and counts of all that was asked with them.

    Attributes:
        asked: prompts that were asked.
        asked_filled: those of them whose answer is in the store now and names something.
    """

    scores: npt.NDArray[np.float32]
    questions: npt.NDArray[np.int64]
    filled: Flags
    asked: int
    asked_filled: int


def calibration_cells(run: Run, learnt: TriageLearnt) -> Calibration:
    """Read the calibration cells, and score their passages with the classifier.

    Args:
        run: a run whose planned calibrating prompts are all answered.
        learnt: what triage learnt from the sample; names the classifier, and which cells were drawn.

    Returns:
        One score, question (its index) and answer per cell, and counts of all prompts of the sample.
    """
    classifier, draw, asks = read_classifier(run, learnt), Draw(learnt.salt), run.config.questions.asked
    scores, questions, filled = [np.zeros(0, np.float32)], [np.zeros(0, np.int64)], [np.zeros(0, bool)]
    asked = asked_filled = 0
    for shard in _shards(run):
        asked += int(shard.own.sum())
        asked_filled += int((shard.own & shard.filled & shard.answered).sum())
        cells = shard.own & calibrates(draw, shard.ids, asks, learnt.learning, learnt.calibration)
        wanted = np.flatnonzero(cells.any(axis=1))
        scored = np.zeros(cells.shape, np.float32)
        scored[wanted] = classifier.score([shard.texts[place] for place in wanted])
        scores.append(scored[cells])
        questions.append(np.nonzero(cells)[1])
        filled.append(shard.filled[cells])
    return Calibration(np.concatenate(scores), np.concatenate(questions), np.concatenate(filled), asked, asked_filled)


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
