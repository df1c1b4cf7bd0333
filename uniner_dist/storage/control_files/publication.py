"""Control files of a publication: the marker of an output, and the journal of one change of its files."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, StringConstraints

from uniner_dist.config.schemes import same_kind
from uniner_dist.storage.containment import require_inside
from uniner_dist.storage.control_files.forms import (
    Count,
    DataFileName,
    JournalPath,
    Name,
    ParquetName,
    PinnedVersion,
    RunId,
    Seconds,
    StoredPath,
    StoredSource,
)
from uniner_dist.storage.control_files.reading import ControlFile, ControlFileError, read_control
from uniner_dist.storage.hive import escape

_FOLDER = Annotated[str, StringConstraints(max_length=4096, pattern=r"^[^\x00-\x1f]*$")]


class Provenance(ControlFile):
    """What made the answers of a run (`run.provenance`); further keys are kept.

    Attributes:
        corpus_version: of a table, in words; None for the files of a folder, which have no version.
        corpus_pinned: the same as the run keeps it, see `storage.table_version.TableVersion`.
        engines: engines, with their versions, that answered prompts for this run; empty when all answers were reused.
        asks: label → question.
        max_text_bytes: size limit of a text that the run accepted; None in markers of earlier releases.
    """

    model_config = ConfigDict(extra="allow")

    corpus_version: str | None = None
    corpus_pinned: PinnedVersion | None = None
    model: str = "unknown"
    model_identity: str = "unknown"
    revision: str = "unknown"
    fingerprint: str = "unknown"
    template: str = "unknown"
    decoding: str = "unknown"
    dtype: str = "unknown"
    quantization: str = "none"
    engines: tuple[str, ...] = ()
    licence: str = ""
    asks: dict[str, str] = Field(default_factory=dict)
    max_text_bytes: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = None
    version: str = "unknown"


class PublishedRun(Provenance):
    """What the marker says of one run: what it published, and where its rows come from (`run.provenance`).

    Attributes:
        corpus: path of the corpus.
        types: labels.
        order: number of the publication among those of the output.
        times_published: how often the same run has published.
        corpus_real, corpus_state, opened_at, removed_documents, other_types: what it claimed, see
            `run.publication_state.Claim`.
        touched: runs of which it replaced or removed rows; None in markers of earlier releases.
        met: runs that had rows of its documents, including those of `touched`.
    """

    corpus: StoredSource
    types: tuple[Name, ...]
    order: Count = 0
    times_published: Count = 1
    published_at: str = ""
    text_column: Name = "text"
    corpus_real: StoredSource | None = None
    corpus_state: str = ""
    opened_at: Seconds = 0.0
    removed_documents: Literal["corpus", "keep", "all"] = "corpus"
    other_types: Literal["keep", "remove"] = "keep"
    touched: tuple[RunId, ...] | None = None
    met: tuple[RunId, ...] = ()
    rows: Count = 0
    documents: Count = 0
    files: Count = 0
    rows_replaced: Count = 0
    rows_removed: Count = 0
    rows_of_other_types_removed: Count = 0
    files_rewritten: Count = 0


class Marker(ControlFile):
    """The marker of an output: what dataset it is, and which runs are wholly in it.

    Attributes:
        table: the format of the table that is kept over the output's files, if one is.
        catalog_table: its name in one of Spark's catalogs; None for a table in the output's folder.
        placeholder: the file without rows that an empty dataset consists of.
        publishing: the journal of a change that was not finished yet.
        types: Spark's types of the id column and the carried ones, by name.
        nonce: differs in each version of the marker.
    """

    dataset: Literal["uniner-dist annotations"] = "uniner-dist annotations"
    schema_version: Count = 1
    id_column: Name
    partition_by: tuple[Name, ...] = ()
    carried: tuple[Name, ...] = ()
    types: dict[Name, str] = Field(default_factory=dict)
    runs: dict[RunId, PublishedRun] = Field(default_factory=dict)
    table: Literal["delta", "iceberg"] | None = None
    catalog_table: Name | None = None
    placeholder: DataFileName | None = None
    publishing: JournalPath | None = None
    nonce: Annotated[str, Field(max_length=64)] = ""


class FolderChange(ControlFile):
    """What becomes of one folder of the output.

    Attributes:
        folder: relative to the output, "" for the output itself.
        add: name of a file to add → path of the complete file that it is copied or linked from.
        remove: names of the files to remove.
    """

    folder: _FOLDER
    add: dict[DataFileName, StoredPath] = Field(default_factory=dict)
    remove: tuple[ParquetName, ...] = ()


class Journal(ControlFile):
    """Every file that one change of an output brings and takes away.

    Attributes:
        run_id: id of the run, or the name of an erasure.
        placeholder: the `placeholder` of the marker after the change.
        entry: the run's entry in the marker; None for an erasure.
    """

    run_id: RunId
    changes: tuple[FolderChange, ...]
    placeholder: DataFileName | None = None
    entry: PublishedRun | None = None


def read_journal(path: str, output: str, marker: Marker, workdir: str) -> Journal:
    """Return the journal of a change of this output, checked against the output and its marker.

    Args:
        path: of the journal, as the output's marker names it.
        output: the dataset that it changes.
        marker: of that output.
        workdir: the caller's; workdir and output may be on different kinds of storage, the journal is on one of them.

    Raises:
        FileNotFoundError, NotADirectoryError: there is no such journal.
        ControlFileError: it is damaged, is the journal of another run, is on another kind of storage, or names a folder
            that the output does not have.
        OutsideError: it names a file to add that is outside of the journal's own folder.
    """
    if not (same_kind(path, output) or same_kind(path, workdir)):
        raise ControlFileError(
            f"output {output}: its marker names a journal on another kind of storage: {path}; finish that publication "
            "with the workdir that it was begun with"
        )
    journal = read_control(path, Journal)
    folder = path.rpartition("/")[0]
    if journal.run_id not in folder.split("/")[-3:]:
        raise ControlFileError(f"{path}: is the journal of another run ({journal.run_id})")
    for change in journal.changes:
        if not is_folder_of(marker, change.folder):
            raise ControlFileError(f"{path}: names the folder {change.folder!r}, which the output does not have")
        for source in change.add.values():
            require_inside(source, folder, path)
    return journal


def is_folder_of(marker: Marker, folder: str) -> bool:
    """Return whether a folder is the output itself or one `column=value` folder for each of its columns, in order.

    Args:
        marker: of the output; its `partition_by` gives the columns and their order.
        folder: path relative to the output, spelled as Spark and Hive do (`storage.hive`); "" for the output itself.
    """
    if not folder:
        return True
    parts = folder.split("/")
    starts = [f"{escape(column)}=" for column in marker.partition_by]
    return len(parts) == len(starts) and all(
        part.startswith(start) and len(part) > len(start) for part, start in zip(parts, starts, strict=True)
    )
