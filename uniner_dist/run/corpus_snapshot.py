"""The pinned corpus of a run: the footers of its files as they were when the run was first opened, read once.

Files of plain Parquet are listed again each time; as long as the listing is the same, so are the footers. Of a table
the version is pinned: the newest one when a run is first started, unless the configuration names one. A run that was
cut off resumes with its own.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Sequence
from dataclasses import replace

import pyarrow as pa

from uniner_dist import model
from uniner_dist.config.schema import Config
from uniner_dist.errors import ConfigError, StageError
from uniner_dist.run import identity as keys
from uniner_dist.run.publication_state import claim_of, is_outdated
from uniner_dist.run.run import Run, list_runs, load_run, with_absolute_paths
from uniner_dist.storage.control_files import LatestRun, PinnedFooters, PinnedRun, read_control, write_control
from uniner_dist.storage.filesystem import absolute, exists
from uniner_dist.storage.footers import Footers
from uniner_dist.storage.layout import RunLayout
from uniner_dist.storage.listing import Listing
from uniner_dist.storage.marker import read_marker
from uniner_dist.storage.place_layout import WorkdirLayout
from uniner_dist.storage.retries import StorageError
from uniner_dist.storage.snapshot import Snapshot, footers_of, from_pinned, to_pinned, with_footers
from uniner_dist.storage.table_names import is_table_name
from uniner_dist.storage.table_version import TableVersion
from uniner_dist.storage.tables.open import NEWEST, Wanted, open_corpus
from uniner_dist.storage.tables.present import require_files

log = logging.getLogger(__name__)


def corpus_columns(config: Config, partitions: Sequence[str]) -> tuple[str, ...]:
    """Return every column of the corpus that a run reads: the id first, then the carried columns, then the text.

    Args:
        config: the run's configuration.
        partitions: folder columns of the corpus.
    """
    corpus = config.corpus
    return tuple(dict.fromkeys([corpus.id_column, *config.carried(partitions), corpus.text_column]))


def look_at_corpus(config: Config) -> Snapshot:
    """Take a snapshot of the corpus as it is now.

    Footers are reused from the workdir's latest run if that read the same files. Of a table whose version the
    configuration does not name, the version of a run that was begun with this configuration and not published comes
    before the newest one.

    Args:
        config: as loaded; relative paths are resolved against the current folder.

    Returns:
        The corpus's files with the footers of the columns that a run reads.

    Raises:
        ConfigError: see `uniner_dist.storage.snapshot.take_snapshot`; or the version of an interrupted run is gone.
        StorageError: it cannot be told whether a run was interrupted.
    """
    try:
        path, wanted = absolute(config.corpus.path), Wanted.of(config.corpus)
    except ConfigError as error:
        raise ConfigError([f"corpus {problem}" for problem in error.problems]) from error
    listing = open_corpus(_place(path, config), wanted)
    if listing.table is not None and wanted == NEWEST:
        begun = _unfinished(config)
        if begun is not None and begun.corpus_version != listing.table.version:
            return _go_on(begun, listing.table)
    return _with_footers(listing, corpus_columns(config, listing.partitions), _latest(config.workdir_path))


def _place(path: str, config: Config) -> str:
    """Location of the corpus: a table of one of Spark's catalogs is looked up there."""
    if not is_table_name(path):
        return path
    from uniner_dist.spark.catalog import table_location

    return table_location(path, config.spark)


def _go_on(run: Run, newest: TableVersion) -> Snapshot:
    """Snapshot of the version that an interrupted run reads, though the table has a newer one now."""
    log.warning(
        "run %s resumes with %s, which it was begun with; the table has %s now, which the next run reads",
        run.id,
        run.corpus_version_text,
        newest.words,
    )
    try:
        snapshot = run_snapshot(run)
    except (ConfigError, StageError) as error:
        raise ConfigError(
            f"{error}. Run {run.id}, which was cut off, is of that version; to leave it behind, name another by "
            f"corpus.version, such as {newest.version.partition('.')[0]}, the newest"
        ) from error
    assert snapshot.table is not None
    return replace(snapshot, listing=replace(snapshot.listing, table=replace(snapshot.table, newest=False)))


def _unfinished(config: Config) -> Run | None:
    """The run that this configuration has begun and not published, if it still could be; the latest of several."""
    try:
        config, marker = with_absolute_paths(config), read_marker(config.output.path)
        fingerprint = keys.fingerprint(config, model.identify(config.model))
        names = [name for name in list_runs(config.workdir_path) if marker is None or name not in marker.runs]
    except (ConfigError, StorageError):  # other checks report problems of model or workdir
        return None
    begun = []
    for layout in (RunLayout(config.workdir_path, name) for name in names):
        with contextlib.suppress(ConfigError):  # a damaged run, which hides no other
            if exists(layout.config):
                pinned = read_control(layout.config, PinnedRun)
                if pinned.corpus_version and keys.run_id(config, fingerprint, pinned.snapshot or "") == layout.run_id:
                    begun.append(load_run(config.workdir_path, layout.run_id))
    found = [run for run in begun if not is_outdated(marker, run.id, claim_of(run))]
    return max(found, key=lambda run: run.opened_at, default=None)


def pin_corpus(run: Run, snapshot: Snapshot) -> None:
    """Store the footers in the run's folder, unless they are there already.

    Args:
        run: the run, whose folder exists.
        snapshot: its corpus, as `look_at_corpus` returned it.
    """
    columns = corpus_columns(run.config, snapshot.partitions)
    if _pinned(run.layout, snapshot.listing, columns) is None:
        write_control(run.layout.footers, to_pinned(snapshot, columns))


def run_snapshot(run: Run) -> Snapshot:
    """Return the snapshot of the run's corpus, of a table at the version that the run was opened with.

    Args:
        run: an opened run; footers that are pinned in its folder are not read again.

    Raises:
        ConfigError: the corpus, or that version of it, is gone or cannot be read.
        StageError: its files are not those that the run was opened with.
    """
    place = _place(run.config.corpus.path, run.config)
    listing = open_corpus(place, Wanted.of(run.config.corpus, run.corpus_version))
    if run.snapshot and run.snapshot != listing.digest:
        changed = "its files changed" if listing.table is None else "the table was made again"
        raise StageError(
            f"corpus {run.config.corpus.path}: {changed} after run {run.id} was opened; start the same "
            "command again, without --run: it opens a run over the corpus as it is now"
        )
    return _with_footers(listing, corpus_columns(run.config, listing.partitions), run.layout)


def _latest(workdir: str) -> RunLayout | None:
    with contextlib.suppress(ConfigError, StorageError):  # another check reports a workdir that cannot be read
        layout = WorkdirLayout(absolute(workdir))
        if exists(layout.latest):
            return RunLayout(layout.workdir, read_control(layout.latest, LatestRun).run_id)
    return None


def _with_footers(listing: Listing, columns: Sequence[str], layout: RunLayout | None) -> Snapshot:
    pinned = None if layout is None else _pinned(layout, listing, columns)
    if pinned is not None:
        require_files(listing)
    return with_footers(listing, pinned or footers_of(listing, columns))


def _pinned(layout: RunLayout, listing: Listing, columns: Sequence[str]) -> Footers | None:
    """The pinned footers of this listing; a damaged file counts as missing."""
    with contextlib.suppress(ConfigError, StorageError, ValueError, pa.ArrowException):
        if exists(layout.footers):
            pinned = read_control(layout.footers, PinnedFooters)
            if pinned.snapshot == listing.digest and pinned.columns == tuple(sorted(columns)):
                footers = from_pinned(pinned)
                return footers if len(footers.rows) == len(listing.files) else None
    return None
