"""Gold from a path: a Parquet dataset, or any format that `formats.sources` reads."""

from __future__ import annotations

from typing import Any

from uniner_dist.errors import ConfigError
from uniner_dist.evaluation.gold_builder import GoldBuilder
from uniner_dist.evaluation.gold_columns import Gold
from uniner_dist.evaluation.rows import BATCH_ROWS, check_columns, list_dataset, read_ahead
from uniner_dist.evaluation.sources import read_documents, source_format


def read_gold(path: str, id_column: str = "doc_id", by: str | None = None) -> Gold:
    """Read gold from a Parquet dataset, or from files of another format.

    Parquet has the id column, `entity_type`, and `entities`: a list of strings, or of structs with `text`, `start`,
    `end`; a null list is an empty one.

    Args:
        path: path, URL or glob of a Parquet dataset, name of a table, or file or folder of another format.
        id_column: column of the document ids; only Parquet and tables have one.
        by: column whose values become the groups of the gold. It is ignored where the gold has no such column or is not
            Parquet. None: no groups.

    Returns:
        All gold answers, in memory. `texts` and `notes` are filled only for other formats than Parquet.

    Raises:
        ConfigError: unreadable, columns missing, a null id or type, no rows, a pair that occurs twice.
    """
    kind = source_format(path)
    if kind is None:
        return _from_parquet(path, id_column, by)
    documents, notes = read_documents(path, kind)
    builder = GoldBuilder()
    builder.add_documents(documents)
    return builder.build(path, notes.lines())


def _from_parquet(path: str, id_column: str, by: str | None) -> Gold:
    files = list_dataset("gold", path)
    wanted = (id_column, "entity_type", "entities")
    builder = GoldBuilder(groups=by is not None and all(by in file.columns for file in files))
    for file in files:
        check_columns("gold", path, file, wanted)
        groups = [by] if by and builder.groups is not None else []
        for batch in read_ahead(file.batches([*wanted, *groups], BATCH_ROWS, encoded=["entity_type", *groups])):
            columns: list[Any] = list(batch.columns)
            if columns[0].null_count or columns[1].null_count:
                raise ConfigError(f"gold {path}: a row has no {id_column} or no entity_type ({file.path})")
            builder.add(*columns)
    return builder.build(path)
