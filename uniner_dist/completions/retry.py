"""Retry of unanswered prompts: a journal that says how far an earlier start came.

From `begin_retry` to `end_retry` the journal exists, and a start that finds it continues: it first takes back the
commits of all shards with unanswered prompts (`reopen`, which may be done again as long as nothing was asked), then has
them asked, then publishes. If the run was published since the journal was written, only its removal is missing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from uniner_dist.completions.manifest import read_manifest
from uniner_dist.run.run import Run
from uniner_dist.storage.control_files import RetryState, read_control, write_control
from uniner_dist.storage.filesystem import exists, remove
from uniner_dist.storage.shards import reopen_unanswered


@dataclass(frozen=True)
class Retry:
    """How far a retry has come.

    Attributes:
        published: how often the run had been published when it began.
        reopened: whether all shards with unanswered prompts are open.
        skipped: whether what triage has left out is asked, and not what has failed.
    """

    published: int
    reopened: bool = False
    skipped: bool = False


def read_retry(run: Run) -> Retry | None:
    """Return the retry that is under way, None when there is none.

    Args:
        run: the run whose folder may have a journal.

    Raises:
        ControlFileError: the journal is damaged.
    """
    if not exists(run.layout.retry):
        return None
    stored = read_control(run.layout.retry, RetryState)
    return None if stored.published is None else Retry(stored.published, stored.reopened, stored.skipped)


def begin_retry(run: Run, published: int, skipped: bool = False) -> Retry:
    """Begin a retry by writing its journal.

    Args:
        run: the run whose quarantine is asked again; the state is stored in its folder.
        published: how often the run has been published.
        skipped: ask again what triage has left out, instead of what has failed.

    Returns:
        The state that was written, for `reopen`.
    """
    retry = Retry(published, skipped=skipped)
    write_control(run.layout.retry, RetryState(published=published, skipped=skipped))
    return retry


def reopen(run: Run, retry: Retry, check: Callable[[], None] = lambda: None) -> int:
    """Take back the commits of shards with unanswered prompts (refused, or killers), so that these are asked again.

    Args:
        run: the run whose committed shards are looked through.
        retry: the state that `begin_retry` stored; its `skipped` selects which prompts are reopened.
        check: called before each shard; raises when this process may not go on.

    Returns:
        The number of shards taken back; 0 when nothing is left to ask.
    """
    shards = (shard.name for shard in read_manifest(run))
    reopened = len(reopen_unanswered(run.layout, shards, check, retry.skipped))
    check()
    write_control(run.layout.retry, RetryState(published=retry.published, reopened=True, skipped=retry.skipped))
    return reopened


def end_retry(run: Run) -> None:
    """Remove the journal: everything that the retry has asked is published.

    Args:
        run: the run that `begin_retry` was called with.
    """
    remove(run.layout.retry)
