"""Files of triage in a run's folder: what was learnt, classifier, bound and verdict; and the run's promise."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from uniner_dist.run.run import Run
from uniner_dist.storage.control_files import (
    ControlFileError,
    PromptsSummary,
    TriageBound,
    TriageLearnt,
    TriagePlan,
    TriageVerdict,
    read_control,
)
from uniner_dist.storage.filesystem import exists, read_bytes, write_bytes
from uniner_dist.triage.bound import Promise
from uniner_dist.triage.classifier import Classifier
from uniner_dist.triage.features import BITS


def promise_of(run: Run) -> Promise:
    """Return the guarantee that the run makes on what it skips.

    Args:
        run: a run whose triage is on.
    """
    config = run.config.triage
    assert config.max_missed is not None
    return Promise(config.max_missed, config.max_missed_of_type, include_rare=config.rare_types == "include")


def plan_of(run: Run) -> TriagePlan | None:
    """Return the part of the run's present plan that triage decided; None without triage, or before stage 1 is done.

    Args:
        run: the run whose summary of stage 1 is read.

    Raises:
        ControlFileError: the summary is damaged.
    """
    if not run.config.triage.is_on or not exists(run.layout.shards):
        return None
    return read_control(run.layout.prompts_summary, PromptsSummary).triage


def read_learnt(run: Run) -> TriageLearnt | None:
    """Return what was learnt from the answers to the sample; None while it has not been asked.

    Args:
        run: the run whose folder is read.

    Raises:
        ControlFileError: the file is damaged, or of other questions.
    """
    if not exists(run.layout.triage_learnt):
        return None
    learnt = read_control(run.layout.triage_learnt, TriageLearnt)
    if not len(learnt.caps) == len(learnt.floors) == len(learnt.rare) == len(run.config.questions.asked):
        raise ControlFileError(f"{run.layout.triage_learnt}: is of other questions; remove {run.layout.triage}")
    return learnt


def read_bound(run: Run) -> TriageBound | None:
    """Return which prompts may be skipped; None while not all prompts of the calibration have been asked.

    Args:
        run: the run whose folder is read.

    Raises:
        ControlFileError: the file is damaged, or of other questions.
    """
    if not exists(run.layout.triage_bound):
        return None
    bound = read_control(run.layout.triage_bound, TriageBound)
    if not len(bound.thresholds) == len(bound.rare) == len(run.config.questions.asked):
        raise ControlFileError(f"{run.layout.triage_bound}: is of other questions; remove {run.layout.triage}")
    return bound


def read_verdict(run: Run) -> TriageVerdict | None:
    """Return the result of the check of the present bound; None before the check, or where it was of another bound.

    Args:
        run: the run whose folder is read.

    Raises:
        ControlFileError: the file or that of the bound is damaged, or the bound is of other questions.
    """
    bound = read_bound(run)
    if bound is None or not exists(run.layout.triage_verdict):
        return None
    verdict = read_control(run.layout.triage_verdict, TriageVerdict)
    return verdict if verdict.salt == bound.salt else None


def write_classifier(run: Run, classifier: Classifier) -> str:
    """Write the weights of a classifier into the run's folder.

    Args:
        run: the run that has learnt it.
        classifier: one logistic regression per question, in the order in which the questions are asked.

    Returns:
        The hash that names the file: 32 hex digits of the SHA-256 of its bytes.
    """
    flat = pa.array(np.ascontiguousarray(classifier.weights.T).reshape(-1))
    weights = pa.FixedSizeListArray.from_arrays(flat, 1 << BITS)
    table = pa.table({"weights": weights, "intercept": pa.array(classifier.intercepts)})
    buffer: Any = pa.BufferOutputStream()
    pq.write_table(table, buffer, compression="zstd")
    data = bytes(buffer.getvalue())
    name = hashlib.sha256(data).hexdigest()[:32]
    write_bytes(run.layout.triage_classifier(name), data)
    return name


def read_classifier(run: Run, bound: TriageBound | TriageLearnt) -> Classifier:
    """Return the classifier that a bound was found with.

    Args:
        run: the run whose folder is read.
        bound: names the file by its hash.

    Raises:
        FileNotFoundError: the file is gone.
        ControlFileError: its bytes do not have that hash.
    """
    path = run.layout.triage_classifier(bound.classifier)
    data = read_bytes(path)
    if hashlib.sha256(data).hexdigest()[:32] != bound.classifier:
        raise ControlFileError(f"{path}: is damaged or not ours; remove {run.layout.triage} and plan the run again")
    table = pq.ParquetFile(pa.BufferReader(data)).read(use_threads=False)
    weights = table["weights"].combine_chunks().flatten().to_numpy().reshape(-1, 1 << BITS)
    return Classifier(np.ascontiguousarray(weights.T), table["intercept"].to_numpy())
