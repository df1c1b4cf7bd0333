"""Writes documents to files inside Spark tasks, some at a time; a task's memory does not grow with the export.

Files appear whole, under names that no other attempt of a task has; each task returns these to the driver.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

import pyarrow as pa

from uniner_dist.errors import ConfigError
from uniner_dist.export import rows
from uniner_dist.export.ownership import list_documents, write_files
from uniner_dist.formats.annotated_document import Document
from uniner_dist.formats.settings import ExportSettings
from uniner_dist.formats.writers import FORMATS, count
from uniner_dist.runtime.garbage import rare_collections
from uniner_dist.storage.attempts import new_attempt

#: A file is closed at this number of documents, or of characters of text.
_DOCUMENTS: Final = 5_000
_CHARACTERS: Final = 16_000_000

#: Counters of each task and of the whole export.
COUNTERS: Final = (
    "documents",
    "mentions",
    "overlaps_left_out",
    "absent",
    "absent_left_out",
    "overlaps_not_flat",
    "details_left_out",
    "unanswered_left_out",
    "ids_left_out",
    "empty_left_out",
    "without_text",
    "text_changed",
    "files",
)


class DocumentWriter:
    """The function that Spark runs over the batches that `export.rows` takes.

    It yields its counters and, as `parts`, the stems of its files.

    Args:
        folder: path or URL of the export.
        name: name of the format, one of `formats.writers.FORMATS`.
        settings: settings of the export; `labels` has every entity type of the rows.
        salt: salt of the export, in its manifest, for the hashes in its lists of documents.
    """

    def __init__(self, folder: str, name: str, settings: ExportSettings, salt: str = "") -> None:
        self._folder, self._name, self._settings, self._salt = folder, name, settings, salt

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Write the documents of these rows to files, and yield one row of counters and the names of their lists."""
        with rare_collections():
            yield self._write_all(batches)

    def _write_all(self, batches: Iterator[pa.RecordBatch]) -> pa.RecordBatch:
        """All documents of a task; returns the counters and stems."""
        counted: Counter[str] = Counter()
        held: list[Document] = []
        attempt, parts, characters = new_attempt(), list[str](), 0
        for document in self._documents(batches, counted):
            held.append(document)
            characters += len(document.text)
            if len(held) >= _DOCUMENTS or characters >= _CHARACTERS:
                parts.append(self._write(held, len(parts), attempt, counted))
                held, characters = [], 0
        if held:
            parts.append(self._write(held, len(parts), attempt, counted))
        counters = {name: pa.array([counted[name]], pa.int64()) for name in COUNTERS}
        return pa.RecordBatch.from_pydict({**counters, "parts": pa.array([parts], pa.list_(pa.string()))})

    def _documents(self, batches: Iterator[pa.RecordBatch], counted: Counter[str]) -> Iterator[Document]:
        """Those that can be exported; the others are only counted."""
        order = {label: number for number, label in enumerate(self._settings.labels)}
        for found in rows.documents(batches, order):
            document = Document(str(found.doc_id), found.text or "", found.answers)
            if found.text is None:
                counted["without_text"] += 1
            elif not document.is_as_annotated():
                counted["text_changed"] += 1
            else:
                yield document

    def _write(self, documents: list[Document], number: int, attempt: str, counted: Counter[str]) -> str:
        """Write some documents; returns the stem of their files."""
        from pyspark import TaskContext

        task = TaskContext.get()
        stem = f"part-{task.partitionId() if task else 0:05d}-{number:05d}-{attempt}"
        chosen = FORMATS[self._name]
        list_documents(self._folder, stem, self._salt, (document.doc_id for document in documents))
        counted["files"] += write_files(self._folder, stem, chosen.files(documents, stem, self._settings))
        counted["documents"] += len(documents)
        for document in documents:
            if document.answered.is_repeated:
                raise ConfigError(f"document {document.doc_id}: an entity type is more than once in the annotations")
            for name, lost in count(document, chosen, self._settings).items():
                counted[name] += lost
        return stem
