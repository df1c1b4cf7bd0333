"""Write, audit, publish: the audited annotations of a run become part of the output.

Takes the run's staged annotations. Afterwards the output has this run's rows, and a marker that lists the run, written
last. Rows of (document of this run, label of this run) are replaced wherever they were, also in another folder. Rows of
other labels of these documents are removed if they were made of another text (or all of them, `output.other_types`).
Rows that earlier runs over the same corpus published are removed when the corpus no longer has their document
(`output.removed_documents`). Every other row stays exactly once. At any time the output holds the dataset's files and
the marker, nothing else.

A journal says which files are added and removed before the first one is, and the marker names it
(`annotations.journal`), so the next process that publishes to this output first finishes what a crash left half done. A
run that is published changes nothing when it is started again, unless a later publication has changed what it should
hold (see `run.publication_state`).
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import asdict, replace

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from uniner_dist.annotations.journal import carry_out, changes_by_folder, finish_begun
from uniner_dist.annotations.rewrite import RewrittenFile, rewrite_files
from uniner_dist.annotations.stage import read_staged
from uniner_dist.core.hashing import TEXT_DIGITS
from uniner_dist.errors import StageError, ThresholdError
from uniner_dist.run import provenance
from uniner_dist.run.publication_state import claim_of, is_outdated, runs_over
from uniner_dist.run.run import Run
from uniner_dist.schemas import SCHEMA_VERSION
from uniner_dist.spark.datasets import read_table
from uniner_dist.spark.stage import describe, stage
from uniner_dist.spark.types import arrow_schema, fields_of
from uniner_dist.storage.attempts import counted_files
from uniner_dist.storage.commit import WAIT_S, Check, always
from uniner_dist.storage.control_files import (
    AnnotationsSummary,
    Journal,
    Marker,
    PublishedRun,
    read_control,
    write_control,
)
from uniner_dist.storage.filesystem import exists, find_files, join, list_names, remove, write_bytes
from uniner_dist.storage.lease import hold_lease
from uniner_dist.storage.marker import MarkerVersion, read_marker_version
from uniner_dist.storage.marker_file import placeholder_path
from uniner_dist.storage.place_layout import OutputLayout
from uniner_dist.storage.stage_files import counting


def publish(spark: SparkSession, run: Run, again: bool = False, check: Check = always) -> PublishedRun:
    """Bring the staged annotations into the output.

    Args:
        spark: session that finds and rewrites the files of the output that hold rows to be replaced.
        run: a run whose annotations stage is complete; its configuration names the output.
        again: replace the run's rows although it is published (its quarantined cells were asked again).
        check: called before every step that others can see; raises when this process may not go on.

    Returns:
        The run's entry in the marker: `published_at`, `rows`, `documents`, `files`, `rows_replaced`, `rows_removed`,
        `files_rewritten`, and what made them.

    Raises:
        RunHeldError: another process changes the output and does not finish within `WAIT_S` seconds, or has taken over
            its lease.
        StageError: an unfinished publication of another run cannot be repaired, storage failed, or a run that saw the
            corpus later has published.
        ThresholdError: more rows would go with their documents than `run.max_removed_fraction` allows.
    """
    output = run.config.output.path
    with hold_lease(OutputLayout(output), wait_s=WAIT_S) as lease:

        def may_go_on() -> None:
            check()
            lease.check()

        workdir, token = run.layout.workdir, f"{lease.generation:06d}"
        before = read_marker_version(output) or MarkerVersion(new_marker(run))
        state = finish_begun(output, before, workdir, token, may_go_on)
        if exists(run.layout.staged) and (again or run.id not in state.marker.runs):
            remove(run.layout.publication)
            check_present(run, state.marker)
            with stage(spark, "publish"):
                plan = _plan(spark, run, state.marker)
                marker = state.marker.model_copy(update={"types": _types(spark, run)})
            may_go_on()
            write_control(run.layout.publication, plan)
            state = carry_out(output, replace(state, marker=marker), run.layout.publication, workdir, token, may_go_on)
        if run.id not in state.marker.runs:
            raise StageError(f"run {run.id}: nothing is staged; run the annotations stage again")
        may_go_on()
        remove_staged(run)
    return state.marker.runs[run.id]


def remove_staged(run: Run) -> None:
    """Remove the intermediate files of stage 3 that were made under this lease and earlier ones.

    Args:
        run: a published run, under its lease; folders of later leases stay.
    """
    for path in run.layout.between_stages_until_now(list_names(run.layout.publishing)):
        remove(path)


def check_present(run: Run, marker: Marker | None) -> None:
    """Make sure that no run which saw the corpus later has published: older rows never replace newer ones.

    Args:
        run: a run that is to be published.
        marker: of its output; None where nothing is published there yet.

    Raises:
        StageError: one has.
    """
    if is_outdated(marker, run.id, claim_of(run)):
        raise StageError(
            f"run {run.id}: nothing was published, because a later run over {run.config.corpus.path} was; the "
            "answers of this one are in the store. To publish the corpus as it is now, start annotate"
        )


def new_marker(run: Run) -> Marker:
    """Return the marker of an output that holds nothing yet.

    Args:
        run: its configuration decides the id column, carried columns, folder columns and format, which stay.
    """
    return Marker(
        schema_version=SCHEMA_VERSION,
        id_column=run.config.corpus.id_column,
        partition_by=run.partition_by,
        carried=run.carried,
        table=None if run.config.output.format == "parquet" else run.config.output.format,
        catalog_table=run.config.output.table,
    )


def _types(spark: SparkSession, run: Run) -> dict[str, str]:
    """Spark's types of the id column and the carried ones, by name."""
    occurrences = read_table(spark, counting(run.layout.occurrences))
    return {field.name: field.dataType.simpleString() for field in fields_of(occurrences, "document")}


def _plan(spark: SparkSession, run: Run, marker: Marker) -> Journal:
    """The journal: every file that is added and every file that is removed."""
    output = run.config.output.path
    new = sorted(counted_files(run.layout.staging))
    earlier = marker.runs.get(run.id)
    times = (earlier.times_published if earlier is not None else 0) + 1
    stem = run.id if times == 1 else f"{run.id}.{times}"  # a file of the output is never overwritten
    present = sorted(find_files(output, ".parquet"))
    describe(spark, "find rows to replace")
    held = [file for file in present if file.rpartition("/")[2] == marker.placeholder]
    data = [file for file in present if file not in held]
    met = _rewrite_files(spark, run, marker) if data else []
    _check_removed(run, met)
    carried = [entry for entry in met if entry.changed]
    add = {_renamed(file, f"{stem}-{i:05d}"): join(run.layout.staging, file) for i, file in enumerate(new)}
    add |= {_renamed_like(entry): entry.source for entry in carried if entry.source is not None}
    gone, placeholder = [entry.file for entry in carried], None
    if new or any(entry.source for entry in carried) or len(carried) < len(data):
        gone += held
    else:
        placeholder = f"part-{run.id}-empty.parquet"
        file = placeholder_path(marker.partition_by, placeholder)
        gone += [other for other in held if other != file]
        if file not in held:
            add[file] = _write_placeholder(spark, run)
    return Journal(
        run_id=run.id,
        changes=changes_by_folder(add, gone),
        placeholder=placeholder,
        entry=_entry(run, len(new), carried, times).model_copy(update=_met(run, met, earlier)),
    )


def _rewrite_files(spark: SparkSession, run: Run, marker: Marker) -> list[RewrittenFile]:
    removed = run.config.output.removed_documents
    selections = {"corpus": runs_over(marker, claim_of(run)), "keep": [], "all": None}
    remove(run.layout.rewritten)
    occurrences = read_table(spark, counting(run.layout.occurrences))
    doc_id = F.col("document").getField(run.config.corpus.id_column)
    text = F.substring(F.coalesce("text_hash", "passage_id"), 1, TEXT_DIGITS)
    ids = occurrences.where("passage = 0").select(doc_id.alias("id"), text.alias("text_digest"))
    return rewrite_files(spark, run, ids, run.layout.rewritten, selections[removed])


def _check_removed(run: Run, carried: Sequence[RewrittenFile]) -> None:
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


def _renamed_like(entry: RewrittenFile) -> str:
    """The carry-over file's own name, in the folder of the file that it replaces."""
    folder, name = entry.file.rpartition("/")[0], str(entry.source).rsplit("/", 1)[-1]
    return f"{folder}/{name}".lstrip("/")


def _write_placeholder(spark: SparkSession, run: Run) -> str:
    """One file with all columns and no rows, so that a dataset without documents can still be read."""
    occurrences = read_table(spark, counting(run.layout.occurrences))
    schema: pa.Schema = arrow_schema(read_staged(spark, run, occurrences).schema)
    schema = pa.schema([field for field in schema if field.name not in run.partition_by])
    buffer = io.BytesIO()
    pq.write_table(schema.empty_table(), buffer)
    path = run.layout.placeholder
    write_bytes(path, buffer.getvalue())
    return path


def _entry(run: Run, files: int, carried: Sequence[RewrittenFile], times: int) -> PublishedRun:
    summary = read_control(run.layout.staged, AnnotationsSummary)
    made = provenance.describe(run)
    return PublishedRun(
        **asdict(claim_of(run)),
        rows=summary.rows,
        documents=summary.documents,
        files=files,
        text_column=run.config.corpus.text_column,
        rows_replaced=sum(entry.replaced for entry in carried),
        rows_removed=sum(entry.removed for entry in carried),
        rows_of_other_types_removed=sum(entry.edited for entry in carried),
        files_rewritten=len(carried),
        times_published=times,
        **made.model_dump(),
    )


def _met(run: Run, carried: Sequence[RewrittenFile], earlier: PublishedRun | None) -> dict[str, tuple[str, ...]]:
    """Whose rows the publication met, with those of the run's earlier publications."""
    changed = [entry for entry in carried if entry.changed]
    before = {"met": earlier.met, "touched": earlier.touched or ()} if earlier is not None else {}
    return {
        name: tuple(sorted({one for entry in entries for one in entry.runs} - {run.id} | set(before.get(name, ()))))
        for name, entries in (("met", carried), ("touched", changed))
    }
