"""What a run pins in its folder, and which run of a workdir was opened last."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator

from uniner_dist.storage.control_files.forms import (
    Count,
    Fingerprint,
    Name,
    PinnedVersion,
    RunId,
    Seconds,
    StoredBase,
    StoredSource,
)
from uniner_dist.storage.control_files.reading import ControlFile


def _resolved(config: dict[str, Any]) -> dict[str, Any]:
    """A text could name a file of types (`@PATH`), which would be opened; a resolved configuration has a list."""
    if not isinstance(config.get("types", []), list):
        raise ValueError("types is not a list")
    return config


class PinnedRun(ControlFile):
    """Identity and resolved configuration of a run.

    Attributes:
        snapshot: hash over the corpus's files, from which the run's id follows.
        corpus_real: path of the corpus without symbolic links.
        corpus_table, corpus_version: format and version of a table, see `storage.table_version.TableVersion`.
        opened_at: when the corpus was last found in this state, in seconds since the epoch.
        config: the resolved configuration, which is validated again when it is read.
    """

    run_id: RunId
    fingerprint: Fingerprint
    snapshot: Fingerprint | None = None
    corpus_real: StoredSource | None = None
    opened_at: Seconds = 0.0
    model_name: Name
    model_identity: Name
    corpus_base: StoredBase = ""
    corpus_files: Count
    corpus_bytes: Count
    corpus_partitions: tuple[Name, ...]
    corpus_table: Literal["Delta", "Iceberg"] | None = None
    corpus_version: PinnedVersion | None = None
    config: Annotated[dict[str, Any], AfterValidator(_resolved)]


class RetryState(ControlFile):
    """Progress of the retry of a run (`completions.retry`).

    Attributes:
        published: how often the run had been published when the retry began; None in files of earlier releases.
        reopened: whether all shards with unanswered prompts have been reopened.
        skipped: whether the prompts that triage has skipped are asked, instead of those that have failed.
    """

    published: Count | None = None
    reopened: bool = False
    skipped: bool = False


class LatestRun(ControlFile):
    """The run of a workdir that was opened last."""

    run_id: RunId
