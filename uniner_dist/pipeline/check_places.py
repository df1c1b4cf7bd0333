"""Whether the places of a run are fit for it: corpus, output, workdir and store, and no secret written into one."""

from __future__ import annotations

import contextlib
import os

import pyarrow as pa

from uniner_dist.config.schema import Config
from uniner_dist.config.secrets import find_secrets
from uniner_dist.errors import ConfigError
from uniner_dist.spark.types import spark_type
from uniner_dist.storage.control_files import Marker
from uniner_dist.storage.filesystem import is_local, list_names, open_fs, real_path
from uniner_dist.storage.hive import folder_name, is_folder_name
from uniner_dist.storage.marker import read_marker
from uniner_dist.storage.place_layout import MARKER, WorkdirLayout
from uniner_dist.storage.reading import Reading
from uniner_dist.storage.snapshot import Snapshot


def check_secrets(config: Config) -> None:
    """The configuration is written into the run's folder, so no secret may stand in it; the value is not shown."""
    problems = [
        f"{place}: looks like a secret, which would be written into the run's folder; give it by an environment "
        "variable or the cluster's own configuration"
        for place in find_secrets(config.model_dump(mode="json"))
    ]
    if problems:
        raise ConfigError(problems)


def check_places(config: Config) -> None:
    """Corpus, output, workdir and store must not contain one another, and the local ones must be writable.

    Only the store may lie in the workdir, where it is by default.
    """
    problems = []
    places = {
        "--corpus": config.corpus.path,
        "--output": config.output.path,
        "--workdir": config.workdir_path,
        "--store": config.store_path,
    }
    resolved = {option: _resolved(path) for option, path in places.items()}
    for inner, outer in (
        ("--output", "--corpus"),
        ("--workdir", "--corpus"),
        ("--workdir", "--output"),
        ("--corpus", "--output"),
        ("--corpus", "--workdir"),
        ("--output", "--workdir"),
        ("--store", "--corpus"),
        ("--store", "--output"),
        ("--corpus", "--store"),
        ("--output", "--store"),
        ("--workdir", "--store"),
    ):
        if resolved[inner].startswith(resolved[outer]):
            problems.append(f"{inner} {places[inner]}: lies inside {outer} {places[outer]}; choose a place outside")
    for option in ("--output", "--workdir", "--store"):
        try:
            fs, stripped = open_fs(places[option])
        except ConfigError as error:
            problems += [f"{option} {problem}" for problem in error.problems]
            continue
        if is_local(fs) and not _writable(stripped):
            problems.append(f"{option} {places[option]}: may not be written")
    problems += _foreign_workdir(config.workdir_path)
    if problems:
        raise ConfigError(problems)


def _foreign_workdir(path: str) -> list[str]:
    """A workdir is new, empty, or one of ours: what runs write there would be lost among other files."""
    try:
        names = list_names(path)
    except ConfigError:
        return []  # told already
    layout = WorkdirLayout(path)
    ours = {name.rsplit("/", 1)[-1] for name in (layout.runs, layout.holders, layout.latest)} | {"store", "erased"}
    if not names or ours & set(names):
        return []
    return [f"--workdir {path}: already holds something else ({names[0]}, …); choose a new folder"]


def _resolved(path: str) -> str:
    """An absolute path without symbolic links that ends in a slash; one of an unknown kind as it is."""
    with contextlib.suppress(ConfigError):
        path = real_path(path)
    return path.rstrip("/") + "/"


def _writable(path: str) -> bool:
    """Whether the nearest folder that exists may be written."""
    while not os.path.exists(path):
        path = os.path.dirname(path) or "/"
    return os.path.isdir(path) and os.access(path, os.W_OK | os.X_OK)


def check_output(config: Config, snapshot: Snapshot, reading: Reading | None) -> None:
    """An output folder is new, empty, or a dataset of ours with the same columns and folders.

    Args:
        reading: types of the corpus's columns; None where these could not be told.
    """
    path = config.output.path
    names = [name for name in list_names(path) if name != MARKER]
    marker = read_marker(path)
    if names and marker is None:
        raise ConfigError(f"--output {path}: already holds something else ({names[0]}, …); choose a new folder")
    if marker is None:
        return
    wanted = {
        "id column": ((marker.id_column,), (config.corpus.id_column,)),
        "folder columns": (marker.partition_by, config.folders(snapshot.partitions)),
        "further columns": (marker.carried, config.carried(snapshot.partitions)),
    }
    problems = _other_types(config, snapshot, reading, marker)
    for words, (theirs, ours) in wanted.items():
        if ours != theirs:
            shown = [", ".join(names) or "none" for names in (theirs, ours)]
            problems.append(f"--output {path}: its {words} are {shown[0]}, not {shown[1]}; choose another folder")
    if problems:
        raise ConfigError(problems)


def _other_types(config: Config, snapshot: Snapshot, reading: Reading | None, marker: Marker) -> list[str]:
    """Columns of the output whose type is another one now: files of both types could not be read together."""
    stored = {} if reading is None else {field.name: field.type for field in reading.columns}
    found = stored | dict.fromkeys(snapshot.partitions, pa.string())
    return [
        f"--output {config.output.path}: its column {name} holds {theirs}, but the corpus's holds {ours}; write the "
        "corpus as it was, or choose another folder"
        for name, theirs in marker.types.items()
        if name in found and (ours := spark_type(found[name]).simpleString()) != theirs
    ]


def check_labels(config: Config, snapshot: Snapshot) -> None:
    """A label that becomes a folder's name must be fit for one."""
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
