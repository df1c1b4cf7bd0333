"""What triage has left in a run's folder: what was learnt, classifier, bound and verdict; and the run's promise."""

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
    """What the run promises; only where triage is on."""
    config = run.config.triage
    assert config.max_missed is not None
    return Promise(config.max_missed, config.max_missed_of_type, include_rare=config.rare_types == "include")


def plan_of(run: Run) -> TriagePlan | None:
    """What of triage the present plan is; None without triage, or before stage 1 is done."""
    if not run.config.triage.is_on or not exists(run.layout.shards):
        return None
    return read_control(run.layout.prompts_summary, PromptsSummary).triage


def read_learnt(run: Run) -> TriageLearnt | None:
    """What the sample has taught; None while it has not been asked.

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
    """What may be skipped; None while not all that calibrates has been asked.

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
    """What the check said of the present bound; None before that."""
    bound = read_bound(run)
    if bound is None or not exists(run.layout.triage_verdict):
        return None
    verdict = read_control(run.layout.triage_verdict, TriageVerdict)
    return verdict if verdict.salt == bound.salt else None


def write_classifier(run: Run, classifier: Classifier) -> str:
    """Write the weights; returns the hash that names their file."""
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
    """The weights that a bound was found with.

    Raises:
        ControlFileError: they are others.
    """
    path = run.layout.triage_classifier(bound.classifier)
    data = read_bytes(path)
    if hashlib.sha256(data).hexdigest()[:32] != bound.classifier:
        raise ControlFileError(f"{path}: is damaged or not ours; remove {run.layout.triage} and plan the run again")
    table = pq.ParquetFile(pa.BufferReader(data)).read(use_threads=False)
    weights = table["weights"].combine_chunks().flatten().to_numpy().reshape(-1, 1 << BITS)
    return Classifier(np.ascontiguousarray(weights.T), table["intercept"].to_numpy())
