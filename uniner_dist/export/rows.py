"""Arrow batches of documents as rows, column by column: Arrow itself makes objects of nested structs slowly."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

Answer = dict[str, Any]


def rows_of(batch: pa.RecordBatch) -> Iterator[tuple[Any, str | None, list[Answer]]]:
    """Id, text and answers of each row, as `batch.to_pylist()` has them; a null list is an empty one.

    Answers without mentions and without a confidence are most of them: equal ones are one object.
    """
    column = batch.column("answers")
    answers = _answers(column.flatten())
    return zip(batch.column("id").to_pylist(), batch.column("text").to_pylist(), _split(answers, column), strict=True)


def _answers(structs: pa.StructArray) -> list[Answer]:
    names = [structs.type.field(number).name for number in range(structs.type.num_fields)]
    columns = dict(zip(names, structs.flatten(), strict=True))
    nested = columns.pop("entities")
    entities = _split(_structs(nested.flatten()), nested)
    empty: dict[tuple[Any, ...], Answer] = {}
    found = []
    for *values, mentions in zip(*(column.to_pylist() for column in columns.values()), entities, strict=True):
        key = tuple(values)
        answer = empty.get(key) if not mentions else None
        if answer is None:
            answer = {**dict(zip(columns, values, strict=True)), "entities": mentions}
            if not mentions:
                empty[key] = answer
        found.append(answer)
    return found


def _structs(structs: pa.StructArray) -> list[dict[str, Any]]:
    names = [structs.type.field(number).name for number in range(structs.type.num_fields)]
    return [
        dict(zip(names, values, strict=True))
        for values in zip(*(c.to_pylist() for c in structs.flatten()), strict=True)
    ]


def _split(items: list[Any], lists: pa.Array) -> Iterator[list[Any]]:
    """The items of a column of lists, flattened, list by list."""
    begin = 0
    for count in lists.value_lengths().fill_null(0).to_pylist():
        yield items[begin : begin + count]
        begin += count
