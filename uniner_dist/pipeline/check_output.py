"""Whether the output is new or a dataset of ours with the same columns, types and folders."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

import pyarrow as pa

from uniner_dist.config.schema import Config
from uniner_dist.errors import ConfigError
from uniner_dist.runtime.engines import require
from uniner_dist.storage.containment import lies_in
from uniner_dist.storage.control_files import Marker
from uniner_dist.storage.filesystem import is_local, list_names, open_fs
from uniner_dist.storage.hive import folder_name, is_folder_name
from uniner_dist.storage.marker import read_marker
from uniner_dist.storage.place_layout import MARKERS, is_unfinished_marker
from uniner_dist.storage.reading import Reading
from uniner_dist.storage.snapshot import Snapshot
from uniner_dist.storage.tables.commit import WRITTEN_BY, unfit_columns

#: Spark's names of the types of almost every carried column: a start that finds nothing to do needs no Spark.
SPARK_NAMES: Final[Mapping[pa.DataType, str]] = {
    pa.string(): "string",
    pa.large_string(): "string",
    pa.int64(): "bigint",
    pa.int32(): "int",
}


def check_output(config: Config, snapshot: Snapshot, reading: Reading | None) -> None:
    """Check that an output folder is new, empty, or a dataset of ours with the same columns and folders.

    Args:
        config: `output` names the folder, its format and its partition columns.
        snapshot: the corpus's files and schemas, which decide the types of id and kept columns.
        reading: types of the corpus's columns; None where these are not known.

    Raises:
        ConfigError: the folder holds something else, or columns or folders differ.
    """
    path = config.output.path
    if config.output.format != "parquet" and config.output.table is None:
        require(WRITTEN_BY[config.output.format])
    names = [name for name in list_names(path) if name not in MARKERS and not is_unfinished_marker(name)]
    marker = read_marker(path)
    if names and marker is None and _is_reported(config):
        return
    if names and marker is None:
        raise ConfigError(f"--output {path}: already holds something else ({names[0]}, …); choose a new folder")
    problems = _unfit(config, snapshot, reading)
    if marker is None:
        if problems:
            raise ConfigError(problems)
        return
    wanted = {
        "id column": ((marker.id_column,), (config.corpus.id_column,)),
        "folder columns": (marker.partition_by, config.folders(snapshot.partitions)),
        "further columns": (marker.carried, config.carried(snapshot.partitions)),
    }
    problems += _other_types(config, snapshot, reading, marker)
    if (marker.table or "parquet") != config.output.format:
        problems.append(
            f"--output {path}: was begun with output.format={marker.table or 'parquet'}, which does not change; give "
            "that, or choose another folder"
        )
    elif marker.catalog_table != config.output.table:
        problems.append(
            f"--output {path}: was begun with its table {marker.catalog_table or 'in its own folder'}, not "
            f"{config.output.table or 'there'} (output.table), which does not change; choose another folder"
        )
    for words, (theirs, ours) in wanted.items():
        if ours != theirs:
            shown = [", ".join(names) or "none" for names in (theirs, ours)]
            verb = "is" if words == "id column" else "are"
            problems.append(f"--output {path}: its {words} {verb} {shown[0]}, not {shown[1]}; choose another folder")
    if problems:
        raise ConfigError(problems)


def _is_reported(config: Config) -> bool:
    """Whether `check_locations` already reports that this cannot be an output."""
    output, others = config.output.path, (config.corpus.path, config.workdir_path)
    fs, stripped = open_fs(output)
    is_file = is_local(fs) and os.path.isfile(stripped)
    return is_file or any(lies_in(output, other) or lies_in(other, output) for other in others)


def _unfit(config: Config, snapshot: Snapshot, reading: Reading | None) -> list[str]:
    """Columns of the corpus that go into the output and fit no table of its format."""
    kind = config.output.format
    if kind == "parquet" or reading is None:
        return []
    carried = [config.corpus.id_column, *config.carried(snapshot.partitions)]
    fields = [field for field in reading.columns if field.name in carried]
    if config.output.table is not None:
        from uniner_dist.spark.catalog_output import table_problems

        return table_problems(kind, config.output.table, config.output.path, config.spark, fields)
    return [
        f"--output {config.output.path}: output.format={kind} cannot hold the column {unfit}; leave it out, or write "
        "Parquet"
        for unfit in unfit_columns(kind, fields)
    ]


def _other_types(config: Config, snapshot: Snapshot, reading: Reading | None, marker: Marker) -> list[str]:
    """Columns of the output whose type is another one now: files of both types could not be read together."""
    stored = {} if reading is None else {field.name: field.type for field in reading.columns}
    found = stored | {name: snapshot.folder_type(name) for name in snapshot.folders}
    return [
        f"--output {config.output.path}: its column {name} holds {theirs}, but the corpus's holds {ours}; write the "
        "corpus as it was, or choose another folder"
        for name, theirs in marker.types.items()
        if name in found and (ours := _spark_name(found[name])) != theirs
    ]


def _spark_name(kind: pa.DataType) -> str:
    """Spark's name of the type of such a column."""
    if kind in SPARK_NAMES:
        return SPARK_NAMES[kind]
    from uniner_dist.spark.types import spark_type  # where runs are opened Spark is there

    name: str = spark_type(kind).simpleString()
    return name


def check_labels(config: Config, snapshot: Snapshot) -> None:
    """Check that every label that becomes a folder's name is fit for one.

    Args:
        config: names the labels and the folder columns; without `entity_type` among these nothing is checked.
        snapshot: its folder columns are those of the output by default.

    Raises:
        ConfigError: naming every label that is not.
    """
    if "entity_type" not in config.folders(snapshot.partitions):
        return
    labels = [entity_type.label for entity_type in config.types]
    unfit = [label for label in labels if not is_folder_name(folder_name("entity_type", label))]
    if unfit:
        raise ConfigError(
            [
                f"types: label {label[:40]!r}… is too long for a folder's name (or has a NUL); "
                "give it a short one: LABEL=phrase"
                for label in unfit
            ]
        )
