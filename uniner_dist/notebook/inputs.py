"""Converts notebook data to Arrow tables: strings, DataFrames, Arrow, Hugging Face datasets, Delta and Iceberg.

The tables have id, text and kept columns, with unique ids that are not null. Only libraries that the data itself has
imported are used.
"""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
import pyarrow as pa

from uniner_dist.config.schema import CorpusConfig
from uniner_dist.errors import ConfigError
from uniner_dist.notebook.lake_inputs import is_lake_table, lake_columns, lake_pieces, lake_table
from uniner_dist.schemas import ANNOTATION_FIELDS

#: Default names of the id and the text column.
ID, TEXT = (str(CorpusConfig.model_fields[name].default) for name in ("id_column", "text_column"))
_OURS = frozenset(field.name for field in ANNOTATION_FIELDS)


class Kind(Enum):
    """Kind of the input, and therefore of the result."""

    STRINGS = "strings"
    PANDAS = "a pandas DataFrame"
    ARROW = "an Arrow table"
    HUGGINGFACE = "a Hugging Face dataset"
    LAKE = "a Delta or Iceberg table"
    SPARK = "a Spark DataFrame"
    CONNECT = "a Spark Connect DataFrame"


@dataclass(frozen=True)
class Columns:
    """Which columns of the data are meant; `id` is None where the rows are to be numbered."""

    id: str | None
    text: str
    keep: tuple[str, ...] = ()

    @property
    def id_name(self) -> str:
        """The id column of the annotations."""
        return self.id or ID


def kind_of(data: Any) -> Kind:
    """Return the kind of some data; its library is not imported for that.

    Args:
        data: anything that a user may want to annotate.

    Raises:
        ConfigError: it cannot be annotated.
    """
    module = type(data).__module__
    if isinstance(data, (str, pa.Array, pa.ChunkedArray)):
        return Kind.STRINGS
    if module.split(".")[0] == "datasets":
        return _kind_of_dataset(data)
    if module.startswith("pyspark.sql") and hasattr(data, "toPandas"):
        return Kind.CONNECT if ".connect." in module else Kind.SPARK
    if module.split(".")[0] == "pandas":
        return Kind.PANDAS if hasattr(data, "columns") else Kind.STRINGS
    if is_lake_table(data):
        return Kind.LAKE
    if isinstance(data, (pa.Table, pa.RecordBatch)):
        return Kind.ARROW
    if hasattr(data, "__arrow_c_stream__"):  # a table, or a single column such as a Series of polars
        return Kind.ARROW if hasattr(data, "columns") or hasattr(data, "schema") else Kind.STRINGS
    if isinstance(data, Iterable) and not isinstance(data, (bytes, dict)):
        return Kind.STRINGS
    raise ConfigError(
        f"data: cannot annotate a {type(data).__name__}; give a string, a list of strings, a pandas or Spark "
        "DataFrame, an Arrow, Delta or Iceberg table, or a Hugging Face dataset"
    )


def _kind_of_dataset(data: Any) -> Kind:
    if isinstance(data, dict):
        splits = ", ".join(map(repr, data))
        raise ConfigError(f"data: a {type(data).__name__} has splits ({splits}); give one, such as data['train']")
    return Kind.HUGGINGFACE if hasattr(data, "column_names") else Kind.STRINGS  # a single column


def one_of(name: str, value: Any, short: str, other: Any) -> Any:
    """Return the value of an argument that has a short name too.

    Args:
        name: its long name, for the message.
        value: what was given by the long name; None or empty if nothing was.
        short: its short name, for the message.
        other: what was given by the short name; None or empty if nothing was.

    Raises:
        ConfigError: both are given.
    """
    if value and other:
        raise ConfigError(f"{name} and {short} are the same; give one of them")
    return value or other


def resolve_columns(data: Any, kind: Kind, id: str | None, text: str | None, keep: Sequence[str]) -> Columns:
    """Return the columns that are meant, all of which exist in the data.

    Args:
        data: data of this kind.
        kind: decides whether it has columns, and whether its rows have an order in which they can be numbered.
        id: id column as given; None: `doc_id`, or rows are to be numbered.
        text: text column as given; None: `text`.
        keep: further columns to carry; one name may be given as a string.

    Raises:
        ConfigError: naming every column that does not exist, with the nearest that does; a column whose name the
            annotations have for one of theirs; data that needs an id column and has none; columns of strings.
    """
    if kind is Kind.STRINGS:
        if id or text or keep:
            raise ConfigError("id_column, text_column and keep_columns name columns; strings have none")
        return Columns(None, TEXT)
    names = column_names(data, kind)
    if id is None and ID in names:
        id = ID
    columns = Columns(id, text or TEXT, (keep,) if isinstance(keep, str) else tuple(keep))
    wanted = {"text_column": [columns.text], "id_column": [id] if id else [], "keep_columns": columns.keep}
    looked = [unknown_column(argument, name, names) for argument, group in wanted.items() for name in group]
    problems = [problem for problem in looked if problem]
    if id is None and kind in (Kind.SPARK, Kind.CONNECT, Kind.LAKE):
        problems.append(f"id_column: name the column of ids; the rows of {kind.value} have no order to number")
    problems += [
        f"{argument}: column {name!r} has the name of a column of the annotations; rename it"
        for argument, name in [("id_column", columns.id_name), *(("keep_columns", name) for name in columns.keep)]
        if name in _OURS
    ]
    if problems:
        raise ConfigError(problems)
    return columns


def unknown_column(argument: str, name: str, names: Sequence[str]) -> str | None:
    """Return a message on a missing column, with the nearest name; None if it exists.

    Args:
        argument: option that named it, such as "text_column".
        name: the column that was asked for.
        names: the columns of the data.
    """
    if name in names:
        return None
    folded = {known.lower(): known for known in names}
    near = difflib.get_close_matches(name.lower(), folded, n=1)
    hint = f"did you mean {argument}={folded[near[0]]!r}?" if near else f"choose from {', '.join(names)}"
    return f"{argument}: there is no column {name!r}; {hint}"


def column_names(data: Any, kind: Kind) -> list[str]:
    """Return the names of the data's columns, in their order.

    Args:
        data: a table or DataFrame, no strings.
        kind: its kind. Of a Hugging Face stream without known columns the first row is read.
    """
    if kind is Kind.ARROW:
        return _arrow_names(data)
    if kind is Kind.LAKE:
        return lake_columns(data)
    if kind is Kind.HUGGINGFACE:
        return list(data.column_names or next(iter(data), {}))  # a stream may not know its columns
    return [str(name) for name in data.columns]


def _arrow_names(data: Any) -> list[str]:
    """Names of the columns without reading rows: a stream can be read once, and a query would run twice."""
    schema = getattr(data, "schema", None)
    if hasattr(schema, "__arrow_c_schema__"):
        return list(pa.schema(schema).names)
    names = list(getattr(data, "columns", ()))
    return names if names and all(isinstance(name, str) for name in names) else list(as_arrow(data).schema.names)


def pieces(data: Any, kind: Kind, columns: Columns, rows: int, limit: int | None = None) -> Iterator[pa.Table]:
    """Yield the data as tables of the id, text and kept columns; it is read only as far as it is asked for.

    Args:
        data: data of this kind.
        kind: decides how it is read.
        columns: the columns that are meant; without an id column rows are numbered from 0 in a column `doc_id`.
        rows: rows of each table; the last one may have fewer.
        limit: only this number of rows, the first ones; None: all.

    Yields:
        Tables with the text as valid UTF-8 strings, null where there is none.

    Raises:
        ConfigError: an id is missing or occurs twice, or a column has a type that cannot be used.
    """
    first = 0
    seen: set[Any] = set()
    for table in map(_without_views, _raw_pieces(data, kind, columns, rows, limit)):
        if columns.id is None:
            table = table.add_column(0, ID, pa.array(range(first, first + table.num_rows), pa.int64()))
        else:  # numbers do not repeat
            _check_ids(table, columns, seen)
        first += table.num_rows
        yield _with_plain_text(table, columns)


def _raw_pieces(data: Any, kind: Kind, columns: Columns, rows: int, limit: int | None) -> Iterator[pa.Table]:
    names = list(dict.fromkeys([*([columns.id] if columns.id else []), columns.text, *columns.keep]))
    if kind is Kind.STRINGS:
        texts = itertools.islice(strings(data), limit)
        while batch := list(itertools.islice(texts, rows)):
            yield _text_table(batch)
    elif kind in (Kind.PANDAS, Kind.ARROW):
        # pandas as a whole: a column that is missing in one piece and text in another would have two types.
        is_pandas = kind is Kind.PANDAS
        whole = _from_pandas(pandas_columns(data, names)[:limit]) if is_pandas else as_arrow(data).select(names)
        whole = whole.slice(0, limit)
        for start in range(0, whole.num_rows, rows):
            yield whole.slice(start, rows)
    elif kind is Kind.HUGGINGFACE:
        yield from _from_dataset(data, names, rows, limit)
    elif kind is Kind.LAKE:
        yield from lake_pieces(data, names, rows, limit)
    else:
        yield from _from_spark(data, names, rows, limit)


def pandas_columns(frame: Any, names: Sequence[str]) -> Any:
    """Return some columns of a pandas DataFrame, named by strings; it may name them by numbers or tuples.

    Args:
        frame: the DataFrame.
        names: the columns as `column_names` returns them.
    """
    known = [str(name) for name in frame.columns]
    return frame.iloc[:, [known.index(name) for name in names]].set_axis(list(names), axis=1)


def joined(tables: Sequence[pa.Table]) -> pa.Table:
    """Return pieces as one table; of a column that is null throughout one piece another piece decides the type.

    Args:
        tables: at least one, with the same columns.
    """
    return pa.concat_tables(tables, promote_options="permissive")


def _without_views(table: pa.Table) -> pa.Table:
    """Convert string views, which deltalake and polars return, to the string layout that all code here handles."""
    fields = [field.with_type(pa.string()) if pa.types.is_string_view(field.type) else field for field in table.schema]
    return table.cast(pa.schema(fields))


def strings(data: Any) -> Iterable[Any]:
    """Return the texts of a string or of strings, one after the other; missing ones are None.

    Args:
        data: data of the kind STRINGS.
    """
    if isinstance(data, str):
        return [data]
    if isinstance(data, (pa.Array, pa.ChunkedArray)):
        return (value.as_py() for value in data)
    return (None if _is_missing(value) else value for value in data)


def _is_missing(value: Any) -> bool:
    """Whether a value is how pandas and NumPy write that there is none: NaN, NA, NaT."""
    is_nan = isinstance(value, (float, np.floating)) and value != value
    return bool(is_nan) or type(value).__name__ in ("NAType", "NaTType")


def _from_dataset(data: Any, names: Sequence[str], rows: int, limit: int | None) -> Iterator[pa.Table]:
    """A dataset of Hugging Face, or a stream of one, a piece at a time."""
    if not hasattr(data, "__len__"):
        found = itertools.islice(data, limit)
        while batch := list(itertools.islice(found, rows)):
            yield pa.Table.from_pylist([{name: row.get(name) for name in names} for row in batch])
        return
    table = data.select_columns(list(names)).with_format("arrow")
    count = len(data) if limit is None else min(limit, len(data))
    for start in range(0, count, rows):
        yield table[start : min(start + rows, count)].select(list(names))


def _from_spark(data: Any, names: Sequence[str], rows: int, limit: int | None) -> Iterator[pa.Table]:
    """Rows by way of this process, a piece at a time."""
    from pyspark.sql.pandas.types import to_arrow_schema

    chosen = data.select(*["`" + name.replace("`", "``") + "`" for name in names])
    if limit is not None:
        chosen = chosen.limit(limit)
    schema = to_arrow_schema(chosen.schema)
    found = chosen.toLocalIterator() if limit is None or limit > rows else iter(chosen.collect())
    while batch := list(itertools.islice(found, rows)):
        yield pa.Table.from_pylist([row.asDict(recursive=True) for row in batch], schema=schema)


def _text_table(texts: Sequence[Any]) -> pa.Table:
    wrong = next((text for text in texts if text is not None and not isinstance(text, str)), None)
    if wrong is not None:
        raise ConfigError(f"data: texts must be strings, and one is a {type(wrong).__name__}")
    return pa.table({TEXT: _to_arrow(lambda: pa.array(texts, pa.string()), TEXT)})


def _from_pandas(frame: Any) -> pa.Table:
    def convert() -> pa.Table:
        return pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata()

    return _to_arrow(convert, ", ".join(map(str, frame.columns)))


def _to_arrow(convert: Any, names: str) -> Any:
    try:
        return convert()
    except (pa.ArrowInvalid, pa.ArrowTypeError, UnicodeEncodeError) as error:
        raise ConfigError(f"data: column {names}: {error}") from error


def as_arrow(data: Any) -> pa.Table:
    """Return anything that offers an Arrow table as one.

    Args:
        data: an Arrow table or record batch, an object with `__arrow_c_stream__` such as of polars or DuckDB, or a
            Delta or Iceberg table, which is read as a whole.
    """
    if is_lake_table(data):
        return lake_table(data)
    return data if isinstance(data, pa.Table) else pa.table(data)


def _check_ids(table: pa.Table, columns: Columns, seen: set[Any]) -> None:
    name = columns.id_name
    ids = table[name]
    if pa.types.is_dictionary(ids.type):
        ids = ids.cast(ids.type.value_type)
    if not (pa.types.is_integer(ids.type) or pa.types.is_string(ids.type) or pa.types.is_large_string(ids.type)):
        raise ConfigError(f"id_column: column {name!r} holds {ids.type}; ids are strings or integers")
    if ids.null_count:
        raise ConfigError(f"id_column: {ids.null_count:,} rows have none in {name!r}; fill it, or leave them out")
    for value in ids.to_pylist():
        if value in seen:
            raise ConfigError(
                f"id_column: {value!r} occurs more than once in {name!r}; ids must be unique"
                + ("" if columns.id == ID else " (leave id_column= out to have the rows numbered)")
            )
        seen.add(value)


def _with_plain_text(table: pa.Table, columns: Columns) -> pa.Table:
    """The text column as ordinary, valid strings."""
    text = table[columns.text]
    kind = text.type.value_type if pa.types.is_dictionary(text.type) else text.type
    known = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view, pa.types.is_null)
    if not any(is_known(kind) for is_known in known):
        raise ConfigError(f"text_column: column {columns.text!r} holds {kind}, not text")
    text = text.cast(pa.string())
    _to_arrow(lambda: text.validate(full=True), columns.text)
    return table.set_column(table.schema.get_field_index(columns.text), columns.text, text)
