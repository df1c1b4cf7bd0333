"""Write, audit, flip: the audited annotations of a run become part of the output.

Enters: the run's staged annotations. Leaves: the output with this run's rows, and a marker that lists the run, written
last. Rows of (document of this run, label of this run) are replaced wherever they stood, also in another folder. Rows
of this run's labels that earlier runs over the same corpus path published go as well when the corpus no longer has
their document (`output.removed_documents`). Every other row stays exactly once. The output holds the dataset's files
and the marker, nothing else at any time.

A journal in the run's folder says which files come and go before the first one does, and the marker points to it, so
whoever publishes next to this output first finishes what a crash left half done. A run that is published changes
nothing when it is started again, even if a run over another corpus has replaced some of its rows since: what was
published later stands. Only a later run over the same corpus makes a difference: then this one publishes anew, because
the corpus is again as it was (see `storage.marker.is_current`).
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import to_arrow_schema

from uniner_dist.annotations.rewrite import Carried, carry_over
from uniner_dist.annotations.stage import read_staged
from uniner_dist.errors import StageError, ThresholdError
from uniner_dist.run import provenance
from uniner_dist.run.run import Run
from uniner_dist.schemas import SCHEMA_VERSION
from uniner_dist.spark.datasets import read_table
from uniner_dist.spark.stage import describe, stage
from uniner_dist.storage.commit import FolderChange, apply, lock_output
from uniner_dist.storage.filesystem import exists, find_files, join, read_json, remove, write_bytes, write_json
from uniner_dist.storage.layout import OutputLayout
from uniner_dist.storage.marker import next_order, read_marker, runs_over, write_marker

#: Called before every step that others can see; raises when this process may not go on.
Check = Callable[[], None]


def _always() -> None:
    """The check of somebody who may always go on."""


def publish(spark: SparkSession, run: Run, again: bool = False, check: Check = _always) -> dict[str, Any]:
    """Bring the staged annotations into the output.

    Args:
        again: replace the run's rows although it is published (its quarantined cells were asked again).
        check: called before every step that others can see; raises when this process may not go on.

    Returns:
        The run's entry in the marker: `published_at`, `rows`, `documents`, `files`, `rows_replaced`, `rows_removed`,
        `files_rewritten`, and what made them.

    Raises:
        StageError: an unfinished publication of another run cannot be repaired, or storage failed.
        ThresholdError: more rows would go with their documents than `run.max_removed_fraction` allows.
    """
    output = run.config.output.path
    with lock_output(output):
        marker = read_marker(output) or new_marker(run)
        if again or run.id not in marker["runs"] or marker.get("publishing") == run.layout.publication:
            if marker.get("publishing") != run.layout.publication:
                marker = finish_other(output, marker, check)
            if not exists(run.layout.publication):
                with stage(spark, "publish"):
                    plan = _plan(spark, run, marker)
                check()
                write_json(run.layout.publication, plan)
            marker = flip(output, marker, run.layout.publication, check)
        check()
        _clean(run)
    published: dict[str, Any] = marker["runs"][run.id]
    return published


def new_marker(run: Run) -> dict[str, Any]:
    """Marker of an output that holds nothing yet."""
    return {
        "dataset": "uniner-dist annotations",
        "schema_version": SCHEMA_VERSION,
        "id_column": run.config.corpus.id_column,
        "partition_by": list(run.partition_by),
        "carried": list(run.carried),
        "runs": {},
    }


def finish_other(output: str, marker: dict[str, Any], check: Check = _always) -> dict[str, Any]:
    """Finish what was cut off while it changed the output; returns the marker as it is then.

    Raises:
        StageError: its journal is gone.
    """
    begun = marker.get("publishing")
    if begun is None:
        return marker
    if not exists(begun):
        raise StageError(
            f"output {output}: a publication was cut off and its journal {begun} is gone; "
            "restore that workdir, or publish to another output"
        )
    return flip(output, marker, begun, check)


def flip(output: str, marker: dict[str, Any], journal_path: str, check: Check = _always) -> dict[str, Any]:
    """Make the journal's changes, those that are left, then list its run, if it is one's, in the marker."""
    journal = read_json(journal_path)
    check()
    write_marker(output, marker | {"publishing": journal_path})
    workplace = OutputLayout(output).workplace(journal["run_id"])
    for change in journal["changes"]:
        check()
        apply(output, FolderChange.from_json(change), workplace)
    remove(workplace)
    check()
    done = marker | {"placeholder": journal["placeholder"]}
    if journal["entry"] is not None:
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        entry = journal["entry"] | {"published_at": at, "order": next_order(marker)}
        done["runs"] = marker["runs"] | {journal["run_id"]: entry}
    done.pop("publishing", None)
    write_marker(output, done)
    return done


def _clean(run: Run) -> None:
    """Remove what only served to get here; the output has the rows."""
    remove(run.layout.publishing)


def _plan(spark: SparkSession, run: Run, marker: Mapping[str, Any]) -> dict[str, Any]:
    """The journal: every file that comes and every file that goes."""
    output = run.config.output.path
    new = sorted(find_files(run.layout.staging, ".parquet"))
    times = marker["runs"].get(run.id, {}).get("times_published", 0) + 1
    stem = run.id if times == 1 else f"{run.id}.{times}"  # a file of the output is never overwritten
    present = sorted(find_files(output, ".parquet"))
    describe(spark, "find rows to replace")
    data = [file for file in present if file != marker.get("placeholder")]
    carried = _carry_over(spark, run, marker) if data else []
    _check_removed(run, carried)
    add = {_renamed(file, f"{stem}-{i:05d}"): join(run.layout.staging, file) for i, file in enumerate(new)}
    add |= {_renamed_like(entry): entry.source for entry in carried if entry.source is not None}
    gone = [entry.file for entry in carried]
    placeholder = marker.get("placeholder")
    if placeholder and new:
        gone, placeholder = [*gone, placeholder], None
    elif not new and not placeholder and all(entry.source is None for entry in carried) and len(carried) == len(data):
        placeholder = f"part-{run.id}-empty.parquet"
        add[placeholder] = _write_placeholder(spark, run)
    return {
        "run_id": run.id,
        "changes": [change.to_json() for change in changes_by_folder(add, gone)],
        "placeholder": placeholder,
        "entry": _entry(run, len(new), carried) | {"times_published": times},
    }


def _carry_over(spark: SparkSession, run: Run, marker: Mapping[str, Any]) -> list[Carried]:
    removed = run.config.output.removed_documents
    selections = {"corpus": runs_over(marker, run.config.corpus.path), "keep": [], "all": None}
    remove(run.layout.rewritten)
    places = read_table(spark, run.layout.occurrences)
    doc_id = F.col("document").getField(run.config.corpus.id_column)
    ids = places.where("passage = 0").select(doc_id.alias("id"))
    return carry_over(spark, run, ids, run.layout.rewritten, selections[removed])


def _check_removed(run: Run, carried: Sequence[Carried]) -> None:
    """A corpus that has lost most of its documents is more often a mistake than meant."""
    removed = sum(entry.removed for entry in carried)
    earlier = removed + sum(entry.replaced for entry in carried)
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


def changes_by_folder(add: Mapping[str, str], gone: Iterable[str]) -> Sequence[FolderChange]:
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
    return [FolderChange(folder, *folders[folder]) for folder in sorted(folders)]


def _write_placeholder(spark: SparkSession, run: Run) -> str:
    """One file with all columns and no rows, so that a dataset without documents can still be read."""
    places = read_table(spark, run.layout.occurrences)
    schema: pa.Schema = to_arrow_schema(read_staged(spark, run, places).schema)
    buffer = io.BytesIO()
    pq.write_table(schema.empty_table(), buffer)
    path = run.layout.placeholder
    write_bytes(path, buffer.getvalue())
    return path


def _entry(run: Run, files: int, carried: Sequence[Carried]) -> dict[str, Any]:
    summary = read_json(run.layout.annotations_summary)
    return {
        "rows": summary["rows"],
        "documents": summary["documents"],
        "types": [entity_type.label for entity_type in run.config.types],
        "files": files,
        "corpus": run.config.corpus.path,
        "text_column": run.config.corpus.text_column,
        "rows_replaced": sum(entry.replaced for entry in carried),
        "rows_removed": sum(entry.removed for entry in carried),
        "files_rewritten": len(carried),
        **provenance.describe(run),
    }
