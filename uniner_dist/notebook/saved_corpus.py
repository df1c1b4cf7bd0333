"""Data that a program holds, written where all processes of a job can read it.

The file is named by a hash of its content, so that the same data is the same corpus, and a job over it resumes. Rows of
a DataFrame of a classic Spark session are written by Spark, under new names each time: the same rows are another corpus
then, whose passages have their answers in the store.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from typing import Any

import pyarrow.parquet as pq

from uniner_dist.errors import ConfigError
from uniner_dist.notebook import inputs
from uniner_dist.notebook.inputs import Columns, Kind
from uniner_dist.storage.filesystem import exists, join, list_names, remove, write_bytes

#: Rows that are looked at at a time; all of them are in this process's memory anyway.
_ROWS = 100_000
#: The only name in a folder that is written here.
_OWN = "rows"


def save_corpus(
    data: Any, folder: str, id_column: str | None, text_column: str | None, keep_columns: Sequence[str]
) -> tuple[str, Columns]:
    """Write the id, text and kept columns of data into a folder of its own, in place of what was written there before.

    Args:
        data: strings, a pandas, Arrow, polars or Hugging Face table, or a Spark DataFrame, whose rows do not pass
            through this process if its session is a classic one.
        folder: path or URL below which the corpus is written.
        id_column: column of unique strings or integers; None: `doc_id`, or rows are numbered from 0.
        text_column: column of texts; None: `text`.
        keep_columns: further columns to write.

    Returns:
        The path of the corpus, and its columns.

    Raises:
        ConfigError: no such column, an id is missing or occurs twice, or the folder holds something else.
    """
    kind = inputs.kind_of(data)
    columns = inputs.resolve_columns(data, kind, id_column, text_column, keep_columns)
    if foreign := sorted(set(list_names(folder)) - {_OWN}):
        raise ConfigError(f"output: {folder} is where the data would be written, and holds {foreign[0]} already")
    folder = join(folder, _OWN)
    if kind is Kind.SPARK:
        from uniner_dist.spark.datasets import write_table
        from uniner_dist.spark.types import column

        names = dict.fromkeys([columns.id_name, columns.text, *columns.keep])
        write_table(data.select(*[column(name) for name in names]), folder)
        return folder, columns
    tables = list(inputs.pieces(data, kind, columns, _ROWS))
    if not tables:
        raise ConfigError("data: has no rows")
    stream = io.BytesIO()
    pq.write_table(inputs.joined(tables), stream)
    name = f"{hashlib.sha256(stream.getvalue()).hexdigest()}.parquet"
    if not exists(join(folder, name)):
        write_bytes(join(folder, name), stream.getvalue())
    for other in set(list_names(folder)) - {name}:
        remove(join(folder, other))
    return folder, columns
