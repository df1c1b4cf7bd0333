"""Rows of a corpus in this process, file by file: for previews, and for small corpora such as those of a gate."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from uniner_dist.storage.file_reader import FileReader
from uniner_dist.storage.reading import FileGroup, Reading, plan_reading
from uniner_dist.storage.snapshot import Snapshot


def rows_of(snapshot: Snapshot, names: Sequence[str], binary_text: bool = False) -> Iterator[pa.RecordBatch]:
    """Yield batches of live rows, file by file, with the columns in their order and types.

    Args:
        snapshot: the corpus with the footers of its files.
        names: columns to read, in the order wanted; those of partition folders may be among them.
        binary_text: whether columns of bytes hold UTF-8 text (`corpus.binary_text`).

    Yields:
        Batches of at most 256 rows; some may be empty. A column that a file lacks is null there.

    Raises:
        ConfigError: a column is not there, or its types cannot be read or joined.
        StageError: a file cannot be read.
    """
    reading = plan_reading(snapshot, names, binary_text)
    for group in reading.groups:
        yield from _rows_of_group(snapshot, reading, group, names)


def _rows_of_group(
    snapshot: Snapshot, reading: Reading, group: FileGroup, names: Sequence[str]
) -> Iterator[pa.RecordBatch]:
    kept = [(field, stored) for field, stored in zip(reading.columns, group.columns, strict=True) if stored is not None]
    table = snapshot.table
    reader = FileReader(
        snapshot.path,
        [stored.name for _, stored in kept],
        [field.type for field, _ in kept],
        group.opaque,
        read_file=None if table is None else table.read_file,
    )
    columns = {field.name: f"c{i}" for i, (field, _) in enumerate(kept)}
    folders = {name: f"folder{i}" for i, name in enumerate(snapshot.folders)}
    values = snapshot.values
    for file, place in zip(group.files, group.places, strict=True):
        folder_values = [values[place].get(name) for name in folders]
        for batch in reader.rows_of(file, folder_values, b"" if table is None else table.marks[place]):
            arrays = [
                batch.column(columns[name])
                if name in columns
                else pc.cast(batch.column(folders[name]), snapshot.folder_type(name))
                if name in folders
                else pa.nulls(batch.num_rows, reading.type_of(name))
                for name in names
            ]
            yield pa.RecordBatch.from_arrays(arrays, names=list(names))
