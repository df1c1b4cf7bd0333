"""Datasets of Hugging Face for token classification: Parquet or Arrow files with `tokens` and `ner_tags`.

The names of numbered tags are taken from the features: in the files' own metadata, in `dataset_info.json`, or in the
head of the dataset's card.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq
import yaml

from uniner_dist.errors import ConfigError
from uniner_dist.formats.gold_document import GoldDocument, ReadingNotes
from uniner_dist.formats.json_rows.reading import read_rows
from uniner_dist.formats.json_rows.tokens import token_columns
from uniner_dist.storage.filesystem import exists, join, open_fs, read_bytes

_METADATA: Final = b"huggingface"
_FRONT: Final = re.compile(r"---\n(.*?)\n---", re.DOTALL)


def read_dataset(files: Mapping[str, str], folder: str, notes: ReadingNotes) -> list[GoldDocument]:
    """Return the documents of Parquet or Arrow files, file by file.

    Args:
        files: name without ending, the prefix of ids that rows do not have themselves → path or URL.
        folder: path or URL of the folder of the whole dataset, where `dataset_info.json` or the card is.
        notes: receives which kind of rows they are.

    Raises:
        ConfigError: unreadable, without tokens and tags, or tags are numbers whose names are nowhere.
    """
    documents: list[GoldDocument] = []
    described = _described_names(folder)
    for stem, path in files.items():
        table = _read(path)
        columns = token_columns(table.column_names)
        if columns is None:
            there = ", ".join(table.column_names)
            raise ConfigError(f"gold {path}: has no tokens and ner_tags; columns there: {there}")
        names = _names_in(table.schema.metadata, columns[1], path) or described.get(columns[1])
        documents += read_rows(_rows(table, path), stem, path, notes, names)
    return documents


def _read(path: str) -> pa.Table:
    fs, stripped = open_fs(path)
    try:
        with fs.open(stripped, "rb") as stream:
            if path.lower().endswith(".parquet"):
                return pq.read_table(stream)
            content = stream.read()
        if content.startswith(b"ARROW1"):
            return pa.ipc.open_file(pa.py_buffer(content)).read_all()
        return pa.ipc.open_stream(pa.py_buffer(content)).read_all()
    except (OSError, pa.ArrowInvalid) as error:
        raise ConfigError(f"gold {path}: cannot be read: {error}") from error


def _rows(table: pa.Table, path: str) -> Iterator[tuple[str, Any]]:
    number = 0
    for batch in table.to_batches(max_chunksize=1024):
        for row in batch.to_pylist():
            yield f"{path}, row {number}", row
            number += 1


def _names_in(metadata: Mapping[bytes, bytes] | None, column: str, path: str) -> list[str] | None:
    if not metadata or _METADATA not in metadata:
        return None
    info = _parsed(json.loads, metadata[_METADATA], f"{path}, metadata").get("info")
    features = info.get("features") if isinstance(info, Mapping) else None
    return _class_names(features.get(column)) if isinstance(features, Mapping) else None


def _described_names(folder: str) -> dict[str, list[str]]:
    """Column → names of its classes, from `dataset_info.json` or the card in the dataset's folder."""
    features: Any = {}
    about, card = join(folder, "dataset_info.json"), join(folder, "README.md")
    if exists(about):
        features = _parsed(json.loads, read_bytes(about), about).get("features")
    elif exists(card):
        match = _FRONT.match(read_bytes(card).decode("utf-8-sig", errors="replace"))
        info = _parsed(yaml.safe_load, match[1], card).get("dataset_info") if match else {}
        info = info[0] if isinstance(info, list) and info else info
        said = info.get("features") if isinstance(info, Mapping) else None
        listed = said if isinstance(said, list) else []
        features = {one["name"]: one for one in listed if isinstance(one, Mapping) and isinstance(one.get("name"), str)}
    if not isinstance(features, Mapping):
        return {}
    found = {column: _class_names(feature) for column, feature in features.items()}
    return {column: names for column, names in found.items() if names}


def _parsed(parse: Callable[[Any], Any], content: bytes | str, where: str) -> Mapping[str, object]:
    """An object in JSON or YAML; empty where the content is anything else, which then has no names of tags.

    Raises:
        ConfigError: it cannot be parsed.
    """
    try:
        found = parse(content)
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        raise ConfigError(f"gold {where}: cannot be read ({error})") from error
    return found if isinstance(found, Mapping) else {}


def _class_names(feature: Any) -> list[str] | None:
    """Names of a ClassLabel, however deep in a sequence; a card numbers them in a mapping."""
    if isinstance(feature, list):
        return next((names for names in map(_class_names, feature) if names), None)
    if not isinstance(feature, Mapping):
        return None
    names = feature.get("names")
    if isinstance(names, list):
        return [str(name) for name in names]
    if isinstance(names, Mapping):
        numbers = sorted((int(key), str(name)) for key, name in names.items() if str(key).isdecimal())
        return [name for _, name in numbers] if [number for number, _ in numbers] == list(range(len(names))) else None
    return next((found for found in map(_class_names, feature.values()) if found), None)
