"""The corpus of a run, pinned: what its files' footers said when the run was first opened, read once.

The files are listed anew each time; as long as the listing is the same, so are the footers.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import pyarrow as pa

from uniner_dist.config.schema import Config
from uniner_dist.errors import ConfigError, StageError
from uniner_dist.run.run import Run
from uniner_dist.storage.control_files import LatestRun, PinnedFooters, read_control, write_control
from uniner_dist.storage.filesystem import absolute, exists
from uniner_dist.storage.footers import Footers, read_footers
from uniner_dist.storage.layout import RunLayout
from uniner_dist.storage.listing import Listing, list_corpus
from uniner_dist.storage.place_layout import WorkdirLayout
from uniner_dist.storage.retries import StorageError
from uniner_dist.storage.snapshot import Snapshot, from_pinned, to_pinned, with_footers


def corpus_columns(config: Config, partitions: Sequence[str]) -> tuple[str, ...]:
    """Every column of the corpus that a run reads."""
    corpus = config.corpus
    return tuple(dict.fromkeys([corpus.id_column, *config.carried(partitions), corpus.text_column]))


def look_at_corpus(config: Config) -> Snapshot:
    """The corpus as it is now; its footers are taken from the workdir's latest run if that read the same files.

    Raises:
        ConfigError: see `uniner_dist.storage.snapshot.take_snapshot`.
    """
    listing = list_corpus(absolute(config.corpus.path))
    return _with_footers(listing, corpus_columns(config, listing.partitions), _latest(config.workdir_path))


def pin_corpus(run: Run, snapshot: Snapshot) -> None:
    """Keep what the footers say with the run."""
    columns = corpus_columns(run.config, snapshot.partitions)
    if _pinned(run.layout, snapshot.listing, columns) is None:
        write_control(run.layout.footers, to_pinned(snapshot, columns))


def run_snapshot(run: Run) -> Snapshot:
    """The corpus that the run is of.

    Raises:
        StageError: its files are not those that the run was opened with.
    """
    listing = list_corpus(run.config.corpus.path)
    if run.snapshot and run.snapshot != listing.digest:
        raise StageError(
            f"corpus {run.config.corpus.path}: its files changed after run {run.id} was opened; start the same "
            "command again, without --run: it opens a run over the corpus as it is now"
        )
    return _with_footers(listing, corpus_columns(run.config, listing.partitions), run.layout)


def _latest(workdir: str) -> RunLayout | None:
    with contextlib.suppress(ConfigError, StorageError):  # a workdir that cannot be read is another check's
        layout = WorkdirLayout(absolute(workdir))
        if exists(layout.latest):
            return RunLayout(layout.workdir, read_control(layout.latest, LatestRun).run_id)
    return None


def _with_footers(listing: Listing, columns: Sequence[str], layout: RunLayout | None) -> Snapshot:
    pinned = None if layout is None else _pinned(layout, listing, columns)
    return with_footers(listing, pinned or read_footers(listing, columns))


def _pinned(layout: RunLayout, listing: Listing, columns: Sequence[str]) -> Footers | None:
    """What is kept of this listing; a file that is damaged is as good as none."""
    with contextlib.suppress(ConfigError, StorageError, ValueError, pa.ArrowException):
        if exists(layout.footers):
            pinned = read_control(layout.footers, PinnedFooters)
            if pinned.snapshot == listing.digest and pinned.columns == tuple(sorted(columns)):
                footers = from_pinned(pinned)
                return footers if len(footers.rows) == len(listing.files) else None
    return None
