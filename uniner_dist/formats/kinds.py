"""Detection of the format of a gold file or folder: by file extensions, and where these are ambiguous by content."""

from __future__ import annotations

import re
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from uniner_dist.errors import ConfigError
from uniner_dist.formats.json_rows.tokens import token_columns
from uniner_dist.storage.filesystem import find_files, join, open_fs
from uniner_dist.storage.table_names import METADATA_FILE, is_table_name

#: Token files, and formats that are recognised by their first lines: CoNLL-U, WebAnno TSV, PubTator.
CONLL: Final = "conll"
#: A `.json` file of any of the tools: recognised by content.
JSON: Final = "json"
JSON_LINES: Final = "jsonl"
BRAT: Final = "brat"
SPACY: Final = "spacy"
#: Parquet or Arrow files with tokens and tags, of Hugging Face.
DATASET: Final = "dataset"

_SUFFIXES: Final = {
    **dict.fromkeys((".conll", ".conllu", ".conllup", ".conllx", ".bio", ".iob", ".iob2", ".bioes", ".bilou"), CONLL),
    **dict.fromkeys((".bmes", ".ner", ".tsv", ".txt", ".pubtator"), CONLL),
    ".json": JSON,
    ".jsonl": JSON_LINES,
    ".ndjson": JSON_LINES,
    ".ann": BRAT,
    ".spacy": SPACY,
    ".arrow": DATASET,
}
#: Names of the formats in messages.
_NAMES: Final = {
    CONLL: "CoNLL",
    JSON: "JSON",
    JSON_LINES: "JSON lines",
    BRAT: "brat",
    SPACY: "spaCy",
    DATASET: "Arrow",
}
#: Metadata files of an export or a dataset, which are no documents.
_BESIDE: Final = (
    "export.json",
    "README.md",
    "README.txt",
    "LICENSE.txt",
    "dataset_info.json",
    "dataset_infos.json",
    "dataset_dict.json",
    "state.json",
)
_SNIFFED: Final = 4096


def source_format(path: str) -> str | None:
    """Return the format (`CONLL`, …) of a file, or of the files in a folder.

    Args:
        path: path or URL of a file or a folder, or the name of a table in a catalog.

    Returns:
        One of the constants of this module. None: Parquet of this project, a table, or no known format.

    Raises:
        ConfigError: a folder with files of several formats.
    """
    if is_table_name(path) or METADATA_FILE.search(path):
        return None
    if is_file(path):
        if path.lower().endswith(".parquet"):
            return _parquet_format(path)
        return format_of_name(path) or _sniff(path)
    names = find_files(path)
    if any(METADATA_FILE.search(name) for name in names):  # of an Iceberg table
        return None
    formats = {format_of_name(name) for name in names} - {None}
    if BRAT in formats:
        formats -= {CONLL}  # brat's texts end in .txt
    parquet = sorted(name for name in names if name.endswith(".parquet"))
    kinds = {_NAMES[name] for name in formats if name} | ({"Parquet"} if parquet else set())
    if len(kinds) > 1:
        named = " and ".join(sorted(kinds))
        raise ConfigError(f"gold {path}: holds both {named} files; name a file, or separate them")
    if parquet:
        return _parquet_format(join(path, parquet[0]))
    return formats.pop() if formats else None


def source_files(path: str, kind: str) -> dict[str, str]:
    """Return the files of one format, sorted by name.

    Args:
        path: path or URL of a file, which is taken whatever its name, or of a folder.
        kind: a format, as `source_format` returns it.

    Returns:
        Name without ending, relative to the folder → path or URL. Of a dataset with Parquet files these only. Where two
        files differ in their endings alone, all names have theirs.
    """
    if is_file(path):
        return {_stem(path.rsplit("/", 1)[-1]): path}
    parquet = find_files(path, ".parquet") if kind == DATASET else []
    names = sorted(parquet) or sorted(name for name in find_files(path) if format_of_name(name) == kind)
    stems = list(map(_stem, names))
    keys = stems if len(set(stems)) == len(names) else names
    return {key: join(path, name) for key, name in zip(keys, names, strict=True)}


def is_file(path: str) -> bool:
    """Return whether a path is that of an existing file.

    Args:
        path: path or URL.
    """
    fs, stripped = open_fs(path)
    return bool(fs.isfile(stripped))


def format_of_name(name: str) -> str | None:
    """Return the format that a file's name shows.

    Args:
        name: name or relative path of a file; case does not matter.

    Returns:
        One of the constants of this module. None: the ending is missing or unknown, or it is a file of metadata.
    """
    if name.rsplit("/", 1)[-1] in _BESIDE:
        return None
    return _SUFFIXES.get("." + name.rsplit(".", 1)[-1].lower()) if "." in name else None


def _parquet_format(path: str) -> str | None:
    """Tokens and tags are a dataset of Hugging Face; None: gold of this project, or no known form."""
    fs, stripped = open_fs(path)
    try:
        with fs.open(stripped, "rb") as stream:
            columns = pq.read_schema(stream).names
    except (OSError, pa.ArrowInvalid):
        return None  # the reader reports it
    return DATASET if token_columns(columns) and not {"entity_type", "outcome"} & set(columns) else None


def _sniff(path: str) -> str | None:
    """The format by content, for names such as `eng.testa`."""
    fs, stripped = open_fs(path)
    with fs.open(stripped, "rb") as stream:
        head = stream.read(_SNIFFED)
    if b"\0" in head or head.startswith(b"PAR1"):
        return None
    text = head.decode("utf-8-sig", errors="replace").lstrip()
    if text.startswith("{"):
        return JSON_LINES if "\n{" in text else JSON
    if text.startswith("["):
        return JSON
    return CONLL if re.search(r"^\S+[\t ].*\S", text, re.MULTILINE) else None


def _stem(name: str) -> str:
    return name.rsplit(".", 1)[0]
