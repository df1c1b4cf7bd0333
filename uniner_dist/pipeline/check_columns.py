"""Checks that the corpus's columns exist, have readable and writable types, and have names without conflicts.

What passes can be written: a row of every dataset with columns of the corpus is written to memory here.
"""

from __future__ import annotations

import difflib
import io
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from uniner_dist.config.schema import Config
from uniner_dist.errors import ConfigError
from uniner_dist.run.corpus_snapshot import corpus_columns
from uniner_dist.schemas import ANNOTATION_FIELDS, QUARANTINE_COLUMNS, name_in_quarantine, name_in_rejects
from uniner_dist.storage.column_types import is_string
from uniner_dist.storage.reading import Reading, plan_reading, spelling
from uniner_dist.storage.snapshot import Snapshot

_BINARY_HINT: Final = "; if its bytes are UTF-8 text, as Impala and Hive write it: --set corpus.binary_text=true"


def check_columns(config: Config, snapshot: Snapshot) -> Reading:
    """Check names and types of all columns that are read.

    Args:
        config: names the id, text, kept and folder columns, and says whether binary columns hold text.
        snapshot: the corpus's files, schemas and folder columns.

    Returns:
        The reading plan; its `notes` are remarks for the user.

    Raises:
        ConfigError: with every problem found.
    """
    wanted = corpus_columns(config, snapshot.partitions)
    known = _known(snapshot)
    problems = [*_missing(config, known), *_clashes(snapshot, wanted)]
    try:
        reading = plan_reading(snapshot, [name for name in wanted if name in known], config.corpus.binary_text)
    except ConfigError as error:
        raise ConfigError([*problems, *error.problems]) from error
    problems += [*_unfit(config, snapshot, reading), *_unfit_for_folders(config, reading)]
    if problems:
        raise ConfigError(problems)
    _write_dry(config, snapshot, reading)
    return replace(reading, notes=(*reading.notes, *_unsigned(config, snapshot)))


def _known(snapshot: Snapshot) -> tuple[str, ...]:
    return tuple(dict.fromkeys([*snapshot.column_names, *snapshot.partitions]))


def _missing(config: Config, known: Sequence[str]) -> list[str]:
    corpus = config.corpus
    asked = {
        "--id-column": [corpus.id_column],
        "--text-column": [corpus.text_column],
        "corpus.keep_columns": corpus.keep_columns,
        "--partition-by": _partition_by(config),
    }
    problems = []
    for option, names in asked.items():
        for name in names:
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"it has: {', '.join(known)}"
                problems.append(f"{option} {name}: the corpus has no such column; {hint}")
    return problems


def _clashes(snapshot: Snapshot, wanted: Iterable[str]) -> list[str]:
    """Names that Spark cannot tell apart, and names that the annotations have columns of their own for."""
    names = list(wanted)
    folded = [name.lower() for name in names]
    twice = sorted({name for name in names if folded.count(name.lower()) > 1})
    problems = []
    if twice:
        problems.append(
            f"corpus {snapshot.path}: columns {', '.join(twice)} differ only in case, which Spark cannot tell apart"
        )
    reserved = {field.name.lower() for field in ANNOTATION_FIELDS} - {"entity_type"}
    problems += [
        f"corpus {snapshot.path}: its folder column {name!r} has the name of a column of the annotations; rename it"
        for name in snapshot.partitions
        if name.lower() in reserved
    ]
    return problems


def _unfit(config: Config, snapshot: Snapshot, reading: Reading) -> list[str]:
    """Problems with the types of text and id; an id is never changed, so not rounded either."""
    corpus, problems = config.corpus, []
    stored_names = {field.name for field in reading.columns}
    if corpus.text_column in stored_names:
        kind = reading.type_of(corpus.text_column)
        if not is_string(kind):
            held = _held(snapshot, corpus.text_column)
            problems.append(f"--text-column {corpus.text_column}: holds {held}, not strings{_hint(kind)}")
    if corpus.id_column in stored_names:
        kind, stored = reading.type_of(corpus.id_column), _stored_types(snapshot, corpus.id_column)
        if not (is_string(kind) or all(pa.types.is_integer(one) for one in stored)):
            held = _held(snapshot, corpus.id_column)
            problems.append(
                f"--id-column {corpus.id_column}: holds {held}; ids must be strings or integers{_hint(kind)}"
            )
    return problems


def _hint(kind: pa.DataType) -> str:
    return _BINARY_HINT if pa.types.is_binary(kind) else ""


def _held(snapshot: Snapshot, name: str) -> str:
    return " and ".join(map(str, _stored_types(snapshot, name)))


def _stored_types(snapshot: Snapshot, name: str) -> list[pa.DataType]:
    """Types in which files with rows store a column, without nulls; of a table the one that it says."""
    if snapshot.table is not None:
        return [snapshot.table.schema.field(name).type]
    used = {schema for schema, rows in zip(snapshot.schema_of, snapshot.rows, strict=True) if rows}
    kinds: dict[pa.DataType, None] = {}
    for number in sorted(used or set(snapshot.schema_of)):
        schema = snapshot.schemas[number].schema
        spelled = spelling(schema.names, name)
        if spelled is not None and not pa.types.is_null(schema.field(spelled).type):
            kinds[schema.field(spelled).type] = None
    return list(kinds)


def _unsigned(config: Config, snapshot: Snapshot) -> list[str]:
    """Remarks on unsigned integers, which Spark lacks: their types in the output."""
    name = config.corpus.id_column
    kinds = [kind for kind in _stored_types(snapshot, name) if pa.types.is_unsigned_integer(kind)]
    return [f"column {name} holds {kinds[0]}, and gets the next wider type in the output"] if kinds else []


def _partition_by(config: Config) -> list[str]:
    return [name for name in config.output.partition_by or () if name != "entity_type"]


def _unfit_for_folders(config: Config, reading: Reading) -> list[str]:
    corpus = config.corpus
    reasons = {corpus.text_column: "the text cannot be a folder", corpus.id_column: "a folder per document is too many"}
    problems, stored_names = [], {field.name for field in reading.columns}
    for name in _partition_by(config):
        if name in reasons:
            problems.append(f"--partition-by {name}: {reasons[name]}")
        elif name in stored_names and not _names_folders(reading.type_of(name)):
            problems.append(f"--partition-by {name}: holds {reading.type_of(name)}, which cannot be a folder's name")
    return problems


def _names_folders(kind: pa.DataType) -> bool:
    return is_string(kind) or bool(pa.types.is_primitive(kind) or pa.types.is_decimal(kind))


def _write_dry(config: Config, snapshot: Snapshot, reading: Reading) -> None:
    """Write a row of each dataset with columns of the corpus to memory: what fails here would fail at the end of a run.

    Raises:
        ConfigError: naming the dataset and the reason.
    """
    corpus = config.corpus
    names = [corpus.id_column, *config.carried(snapshot.partitions)]
    types = {name: snapshot.folder_type(name) if name in snapshot.folders else reading.type_of(name) for name in names}
    rejected = [pa.field(name_in_rejects(name), types[name]) for name in names if name != corpus.text_column]
    ours = [pa.field(name, pa.string()) for name in QUARANTINE_COLUMNS]
    datasets = {
        "annotations": [*(pa.field(name, types[name]) for name in names), *ANNOTATION_FIELDS],
        "rejects": [*rejected, pa.field(corpus.text_column, pa.string()), pa.field("reason", pa.string())],
        "quarantine": [*(pa.field(name_in_quarantine(name), types[name]) for name in names), *ours],
    }
    problems = [problem for name, fields in datasets.items() if (problem := _problem_of(name, fields))]
    if problems:
        raise ConfigError([f"corpus {snapshot.path}: {problem}" for problem in problems])


def _problem_of(dataset: str, fields: Iterable[pa.Field]) -> str | None:
    schema = pa.schema([field.with_nullable(True) for field in fields])
    folded = [name.lower() for name in schema.names]
    twice = sorted({name for name in schema.names if folded.count(name.lower()) > 1})
    if twice:
        return f"column {twice[0]!r} would be twice in the {dataset}; rename it in the corpus"
    try:
        row = pa.Table.from_arrays([pa.nulls(1, field.type) for field in schema], schema=schema)
        pq.write_table(row, io.BytesIO(), compression="zstd")
    except pa.ArrowException as error:
        return f"the {dataset} cannot be written: {error}"
    return None
