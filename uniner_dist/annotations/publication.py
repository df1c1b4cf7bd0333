"""Write, audit, flip: the audited annotations of a run become part of the output.

Enters: the run's staged annotations. Leaves: the output with this run's rows, and a marker that lists the run, written
last. Rows of (document of this run, label of this run) are replaced wherever they were, also in another folder. Rows
of other labels of these documents go if they were made of another text (or all of them, `output.other_types`). Rows
that earlier runs over the same corpus published go when the corpus no longer has their document
(`output.removed_documents`). Every other row stays exactly once. The output holds the dataset's files and the marker,
nothing else at any time.

A journal in the run's folder says which files come and go before the first one does, and the marker points to it, so
whoever publishes next to this output first finishes what a crash left half done. A run that is published changes
nothing when it is started again, unless a later publication has changed what it should hold (see `run.standing`).
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from uniner_dist.annotations.rewrite import Carried, carry_over
from uniner_dist.annotations.stage import read_staged
from uniner_dist.core.hashing import TEXT_DIGITS
from uniner_dist.errors import StageError, ThresholdError
from uniner_dist.run import provenance
from uniner_dist.run.run import Run
from uniner_dist.run.standing import claim_of, is_outdated, runs_over
from uniner_dist.schemas import SCHEMA_VERSION
from uniner_dist.spark.datasets import read_table
from uniner_dist.spark.stage import describe, stage
from uniner_dist.spark.types import arrow_schema
from uniner_dist.storage.commit import apply, lock_output
from uniner_dist.storage.containment import require_inside
from uniner_dist.storage.control_files import (
    AnnotationsSummary,
    FolderChange,
    Journal,
    Marker,
    PublishedRun,
    read_control,
    read_journal,
    write_control,
)
from uniner_dist.storage.filesystem import exists, find_files, join, remove, write_bytes
from uniner_dist.storage.layout import OutputLayout
from uniner_dist.storage.marker import next_order, read_marker, write_marker

#: Called before every step that others can see; raises when this process may not go on.
Check = Callable[[], None]


def _always() -> None:
    """The check of somebody who may always go on."""


def publish(spark: SparkSession, run: Run, again: bool = False, check: Check = _always) -> PublishedRun:
    """Bring the staged annotations into the output.

    Args:
        again: replace the run's rows although it is published (its quarantined cells were asked again).
        check: called before every step that others can see; raises when this process may not go on.

    Returns:
        The run's entry in the marker: `published_at`, `rows`, `documents`, `files`, `rows_replaced`, `rows_removed`,
        `files_rewritten`, and what made them.

    Raises:
        StageError: an unfinished publication of another run cannot be repaired, storage failed, or a run that saw the
            corpus later has published.
        ThresholdError: more rows would go with their documents than `run.max_removed_fraction` allows.
    """
    output = run.config.output.path
    with lock_output(output):
        marker = read_marker(output) or new_marker(run)
        if again or run.id not in marker.runs or marker.publishing == run.layout.publication:
            if marker.publishing != run.layout.publication:
                marker = finish_other(output, marker, check)
            if not exists(run.layout.publication):
                check_present(run, marker)
                with stage(spark, "publish"):
                    plan = _plan(spark, run, marker)
                check()
                write_control(run.layout.publication, plan)
            marker = marker.model_copy(update={"types": _types(spark, run)})
            marker = flip(output, marker, run.layout.publication, check)
        check()
        _clean(run)
    return marker.runs[run.id]


def check_present(run: Run, marker: Marker | None) -> None:
    """Make sure that no run which saw the corpus later has published: the past is never published over the present.

    Raises:
        StageError: one has.
    """
    if is_outdated(marker, run.id, claim_of(run)):
        raise StageError(
            f"run {run.id}: nothing was published, because a later run over {run.config.corpus.path} was; the "
            "answers of this one are in the store. To publish the corpus as it is now, start annotate"
        )


def new_marker(run: Run) -> Marker:
    """Marker of an output that holds nothing yet."""
    return Marker(
        schema_version=SCHEMA_VERSION,
        id_column=run.config.corpus.id_column,
        partition_by=run.partition_by,
        carried=run.carried,
    )


def _types(spark: SparkSession, run: Run) -> dict[str, str]:
    """Spark's types of the id column and the carried ones, by name."""
    document = read_table(spark, run.layout.occurrences).schema["document"].dataType
    return {field.name: field.dataType.simpleString() for field in document.fields}  # type: ignore[attr-defined]


def finish_other(output: str, marker: Marker, check: Check = _always) -> Marker:
    """Finish what was cut off while it changed the output; returns the marker as it is then.

    Raises:
        StageError: its journal is gone.
    """
    begun = marker.publishing
    if begun is None:
        return marker
    if not exists(begun):
        raise StageError(
            f"output {output}: a publication was cut off and its journal {begun} is gone; "
            "restore that workdir, or publish to another output"
        )
    return flip(output, marker, begun, check)


def flip(output: str, marker: Marker, journal_path: str, check: Check = _always) -> Marker:
    """Make the journal's changes, those that are left, then list its run, if it is one's, in the marker.

    Raises:
        ControlFileError: the journal is damaged, or names a place outside of the output or of its own folder.
    """
    journal = read_journal(journal_path, output, marker)
    check()
    write_marker(output, marker.model_copy(update={"publishing": journal_path}))
    workplace = OutputLayout(output).workplace(journal.run_id)
    for change in journal.changes:
        check()
        for source in change.add.values():
            require_inside(source, journal_path.rpartition("/")[0], journal_path)
        apply(output, change, workplace)
    remove(workplace)
    check()
    runs = marker.runs
    if journal.entry is not None:
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        entry = journal.entry.model_copy(update={"published_at": at, "order": next_order(marker)})
        runs = runs | {journal.run_id: entry}
    done = marker.model_copy(update={"placeholder": journal.placeholder, "publishing": None, "runs": runs})
    write_marker(output, done)
    return done


def _clean(run: Run) -> None:
    """Remove what only served to get here; the output has the rows."""
    remove(run.layout.publishing)


def _plan(spark: SparkSession, run: Run, marker: Marker) -> Journal:
    """The journal: every file that comes and every file that goes."""
    output = run.config.output.path
    new = sorted(find_files(run.layout.staging, ".parquet"))
    earlier = marker.runs.get(run.id)
    times = (earlier.times_published if earlier is not None else 0) + 1
    stem = run.id if times == 1 else f"{run.id}.{times}"  # a file of the output is never overwritten
    present = sorted(find_files(output, ".parquet"))
    describe(spark, "find rows to replace")
    data = [file for file in present if file != marker.placeholder]
    met = _carry_over(spark, run, marker) if data else []
    _check_removed(run, met)
    carried = [entry for entry in met if entry.changed]
    add = {_renamed(file, f"{stem}-{i:05d}"): join(run.layout.staging, file) for i, file in enumerate(new)}
    add |= {_renamed_like(entry): entry.source for entry in carried if entry.source is not None}
    gone = [entry.file for entry in carried]
    placeholder = marker.placeholder
    if placeholder and new:
        gone, placeholder = [*gone, placeholder], None
    elif not new and not placeholder and all(entry.source is None for entry in carried) and len(carried) == len(data):
        placeholder = f"part-{run.id}-empty.parquet"
        add[placeholder] = _write_placeholder(spark, run)
    return Journal(
        run_id=run.id,
        changes=changes_by_folder(add, gone),
        placeholder=placeholder,
        entry=_entry(run, len(new), carried, times).model_copy(update=_met(run, met, earlier)),
    )


def _carry_over(spark: SparkSession, run: Run, marker: Marker) -> list[Carried]:
    removed = run.config.output.removed_documents
    selections = {"corpus": runs_over(marker, claim_of(run)), "keep": [], "all": None}
    remove(run.layout.rewritten)
    places = read_table(spark, run.layout.occurrences)
    doc_id = F.col("document").getField(run.config.corpus.id_column)
    text = F.substring(F.coalesce("text_hash", "passage_id"), 1, TEXT_DIGITS)
    ids = places.where("passage = 0").select(doc_id.alias("id"), text.alias("text_digest"))
    return carry_over(spark, run, ids, run.layout.rewritten, selections[removed])


def _check_removed(run: Run, carried: Sequence[Carried]) -> None:
    """A corpus that has lost most of its documents is more often a mistake than meant."""
    removed = sum(entry.removed for entry in carried)
    earlier = sum(entry.claimed for entry in carried)
    limit = run.config.run.max_removed_fraction
    if removed > limit * earlier:
        raise ThresholdError(
            f"nothing was published: {removed:,} of {earlier:,} rows that earlier runs over {run.config.corpus.path} "
            f"published are of documents that it no longer has, more than run.max_removed_fraction={limit:g} allows. "
            "If they are to go, raise it; if the output is to keep them, set output.removed_documents=keep"
        )


def _renamed(file: str, stem: str) -> str:
    folder, _, _ = file.rpartition("/")
    return f"{folder}/part-{stem}.parquet".lstrip("/")


def _renamed_like(entry: Carried) -> str:
    """The carry-over file's own name, in the folder of the file it stands for."""
    folder, name = entry.file.rpartition("/")[0], str(entry.source).rsplit("/", 1)[-1]
    return f"{folder}/{name}".lstrip("/")


def changes_by_folder(add: Mapping[str, str], gone: Iterable[str]) -> tuple[FolderChange, ...]:
    """The changes of each folder of the output.

    Args:
        add: file to appear, relative to the output → path to take it from.
        gone: files to go, relative to the output.
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


def _write_placeholder(spark: SparkSession, run: Run) -> str:
    """One file with all columns and no rows, so that a dataset without documents can still be read."""
    places = read_table(spark, run.layout.occurrences)
    schema: pa.Schema = arrow_schema(read_staged(spark, run, places).schema)
    buffer = io.BytesIO()
    pq.write_table(schema.empty_table(), buffer)
    path = run.layout.placeholder
    write_bytes(path, buffer.getvalue())
    return path


def _entry(run: Run, files: int, carried: Sequence[Carried], times: int) -> PublishedRun:
    summary = read_control(run.layout.annotations_summary, AnnotationsSummary)
    made = provenance.describe(run)
    return PublishedRun(
        **claim_of(run).entry(),
        rows=summary.rows,
        documents=summary.documents,
        files=files,
        text_column=run.config.corpus.text_column,
        rows_replaced=sum(entry.replaced for entry in carried),
        rows_removed=sum(entry.removed for entry in carried),
        rows_of_other_types_removed=sum(entry.edited for entry in carried),
        files_rewritten=len(carried),
        times_published=times,
        **made | {"engines": tuple(made["engines"])},
    )


def _met(run: Run, carried: Sequence[Carried], earlier: PublishedRun | None) -> dict[str, tuple[str, ...]]:
    """Whose rows the publication met, with those of the run's earlier publications."""
    changed = [entry for entry in carried if entry.changed]
    before = {"met": earlier.met, "touched": earlier.touched or ()} if earlier is not None else {}
    return {
        name: tuple(sorted({one for entry in entries for one in entry.runs} - {run.id} | set(before.get(name, ()))))
        for name, entries in (("met", carried), ("touched", changed))
    }
