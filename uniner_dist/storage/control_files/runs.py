"""What a run pins in its folder, and which run of a workdir was opened last."""

from __future__ import annotations

from typing import Any

from uniner_dist.storage.control_files.forms import Count, Fingerprint, Name, RunId, StoredBase
from uniner_dist.storage.control_files.reading import ControlFile


class PinnedRun(ControlFile):
    """Identity and resolved configuration of a run.

    Attributes:
        snapshot: hash over the corpus's files, from which the run's id follows.
        config: the tree of the configuration, to be validated as any other.
    """

    run_id: RunId
    fingerprint: Fingerprint
    snapshot: Fingerprint | None = None
    model_name: Name
    model_identity: Name
    corpus_base: StoredBase = ""
    corpus_files: Count
    corpus_bytes: Count
    corpus_partitions: tuple[Name, ...]
    config: dict[str, Any]


class LatestRun(ControlFile):
    """The run of a workdir that was opened last."""

    run_id: RunId
