"""Journals: a change of an output, written down before it begins, so that any process can finish it.

A journal counts if, and only if, the output's marker names it: from then on it is carried out to its end, by whichever
process changes the output next. One that the marker does not name is discarded: the output may have changed since it
was planned. Each step checks which files exist and does the rest, so a journal may be carried out again from any point.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

import pyarrow as pa

from uniner_dist.errors import StageError
from uniner_dist.run.run import LATEST, Run, load_run
from uniner_dist.spark.catalog_output import output_in_catalog
from uniner_dist.storage.commit import WAIT_S, Check, apply_change, remove_work_folders
from uniner_dist.storage.containment import require_inside
from uniner_dist.storage.control_files import FolderChange, Journal, Marker, read_journal
from uniner_dist.storage.filesystem import exists, find_files, join, remove
from uniner_dist.storage.layout import RunLayout
from uniner_dist.storage.lease import hold_lease
from uniner_dist.storage.marker import MarkerVersion, next_order, read_marker, read_marker_version, swap_marker
from uniner_dist.storage.marker_file import columns_of, placeholder_path
from uniner_dist.storage.place_layout import OutputLayout
from uniner_dist.storage.tables.commit import TableFormat, commit_files, commit_to
from uniner_dist.storage.tables.output_table import Change


def is_half_published(layout: RunLayout) -> bool:
    """Return whether the output of a run is being changed by a journal of this run, which needs the run's files.

    Args:
        layout: of the run's folder.
    """
    marker = read_marker(load_run(layout.workdir, layout.run_id).config.output.path)
    return marker is not None and (marker.publishing or "").startswith(layout.root + "/")


def finish_begun(output: str, before: MarkerVersion, workdir: str, token: str, check: Check) -> MarkerVersion:
    """Finish a change of the output that was cut off, and remove the files that it left next to the output.

    Args:
        output: path or URL of the published dataset.
        before: the marker as it was read under the lease; it names the journal, if a change was cut off.
        workdir: the caller's, in which the journal is.
        token: fencing token of the lease of the output in digits, see `carry_out`.
        check: called before every step that others can see; raises when this process may not go on.

    Returns:
        The marker as it is now; `before` itself if no change was cut off.

    Raises:
        ControlFileError: its journal is damaged, or names a place outside of the output or of its own folder.
        StageError: its journal is gone.
    """
    remove_work_folders(output, int(token))
    begun = before.marker.publishing
    if begun is None:
        return before
    if not exists(begun):
        raise StageError(
            f"output {output}: a publication was cut off and its journal {begun} is gone; "
            "restore that workdir, or publish to another output"
        )
    return _carry_out(output, before, begun, workdir, token, check)


def finish_publication(run: Run, check: Check) -> None:
    """Finish a publication of a run that was cut off, so that the output does not need the run's files any more.

    Args:
        run: any run, under its lease; nothing happens if its output is not being changed by it.
        check: called before every step that others can see; raises when this process may not go on.

    Raises:
        RunHeldError: another process changes the output and does not finish within `WAIT_S` seconds.
        StageError: the journal is gone, or storage failed.
    """
    output = run.config.output.path
    if not is_half_published(run.layout):
        return
    with hold_lease(OutputLayout(output), wait_s=WAIT_S) as lease:

        def may_go_on() -> None:
            check()
            lease.check()

        before = read_marker_version(output)
        if before is not None:
            finish_begun(output, before, run.layout.workdir, f"{lease.generation:06d}", may_go_on)


def carry_out(output: str, before: MarkerVersion, path: str, workdir: str, token: str, check: Check) -> MarkerVersion:
    """Name a journal in the marker, make its changes, and list its run, if it is one's.

    Args:
        output: path or URL of the published dataset.
        before: the marker that the journal was planned with.
        path: path or URL of the journal.
        workdir: the caller's, in which the journal is.
        token: fencing token of the lease of the output; it names the folder next to the output in which new content is
            built.
        check: called before every step that others can see; raises when this process may not go on.

    Returns:
        The marker after all changes; it names no journal any more.

    Raises:
        StageError: the marker is not the one of the plan any more, or storage failed.
    """
    check()
    columns = _columns(output, before, read_journal(path, output, before.marker, workdir))
    named = swap_marker(output, before, before.marker.model_copy(update={"publishing": path}), columns)
    return _carry_out(output, named, path, workdir, token, check)


def _carry_out(output: str, before: MarkerVersion, path: str, workdir: str, token: str, check: Check) -> MarkerVersion:
    journal = read_journal(path, output, before.marker, workdir)
    work_folder = OutputLayout(output).work_folder(f"{journal.run_id}-{token}")
    for change in journal.changes:
        for source in change.add.values():
            require_inside(source, path.rpartition("/")[0], path)
        if before.marker.table is None:
            apply_change(output, change, work_folder, check)
    if before.marker.table is not None:
        _carry_out_by_table(output, before.marker, before.marker.table, journal, work_folder, workdir, check)
    remove(work_folder)
    done: dict[str, object] = {"placeholder": journal.placeholder, "publishing": None}
    if journal.entry is not None:
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        entry = journal.entry.model_copy(update={"published_at": at, "order": next_order(before.marker)})
        done["runs"] = before.marker.runs | {journal.run_id: entry}
    columns = _columns(output, before, journal) if before.columns is None else before.columns
    check()
    return swap_marker(output, before, before.marker.model_copy(update=done), columns)


def _columns(output: str, before: MarkerVersion, journal: Journal) -> pa.Schema:
    """Columns of the output's files: as a publication writes them, else as the marker or any file has them."""
    new = [source for change in journal.changes for source in change.add.values()]
    if before.columns is not None and not (new and journal.entry is not None):
        return before.columns
    columns = columns_of(new[0] if new else join(output, min(find_files(output, ".parquet"))))
    return pa.schema([column for column in columns if column.name not in before.marker.partition_by])


def _carry_out_by_table(
    output: str, marker: Marker, table: TableFormat, journal: Journal, work_folder: str, workdir: str, check: Check
) -> None:
    """Add new files, exchange the live ones by one commit of the table, then remove the old: readers miss nothing."""
    for change in journal.changes:
        apply_change(output, change.model_copy(update={"remove": ()}), work_folder, check)
    check()
    added = [join(change.folder, name).lstrip("/") for change in journal.changes for name in change.add]
    gone = [join(change.folder, name).lstrip("/") for change in journal.changes for name in change.remove]
    names = [name for name in (marker.placeholder, journal.placeholder) if name is not None]
    empty = [*names, *(placeholder_path(marker.partition_by, name) for name in names)]
    times = journal.entry.times_published if journal.entry is not None else 0
    transaction = (f"uniner-dist {journal.run_id}", times) if times else None
    exchange = Change(added, gone, transaction, empty)
    if marker.catalog_table is None:
        commit_files(output, table, marker.partition_by, exchange)
    else:
        settings = load_run(workdir, LATEST).config.spark
        with output_in_catalog(table, marker.catalog_table, output, marker.partition_by, settings) as open_table:
            commit_to(open_table, output, exchange)
    for change in journal.changes:
        apply_change(output, change, work_folder, check)


def changes_by_folder(add: Mapping[str, str], gone: Iterable[str]) -> tuple[FolderChange, ...]:
    """Group changes of files by the folder of the output that they are in.

    Args:
        add: file to appear, relative to the output → path to take it from.
        gone: files to go, relative to the output.

    Returns:
        One entry per folder with a change, sorted by folder; the output itself is "".
    """
    folders: dict[str, tuple[dict[str, str], list[str]]] = {}
    for file, source in add.items():
        folder, _, name = file.rpartition("/")
        folders.setdefault(folder, ({}, []))[0][name] = source
    for file in gone:
        folder, _, name = file.rpartition("/")
        folders.setdefault(folder, ({}, []))[1].append(name)
    return tuple(
        FolderChange(folder=folder, add=added, remove=tuple(removed))
        for folder, (added, removed) in sorted(folders.items())
    )
