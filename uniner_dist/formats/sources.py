"""Gold in the formats of others: CoNLL, JSON lines, Label Studio, brat, the JSON files of the UniversalNER authors.

A file or folder enters, documents with text and answers leave. Every document has an answer for every entity type it
was annotated for, empty ones included, because a spurious mention is an error only where nothing was to be found.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Final

from uniner_dist.errors import ConfigError
from uniner_dist.formats.brat.reading import document_names, read_brat, read_labels
from uniner_dist.formats.conll.reading import read_conll
from uniner_dist.formats.conversations import read_conversations
from uniner_dist.formats.gold_document import GoldDocument
from uniner_dist.formats.jsonlines.reading import read_jsonl
from uniner_dist.formats.labelstudio.reading import is_labelstudio, read_labelstudio
from uniner_dist.storage.filesystem import exists, find_files, join, open_fs, read_bytes

CONLL: Final = "conll"
#: A `.json` file, of the authors or of Label Studio: its content tells.
JSON: Final = "json"
JSON_LINES: Final = "jsonl"
BRAT: Final = "brat"

_SUFFIXES: Final = {
    ".conll": CONLL,
    ".bio": CONLL,
    ".iob": CONLL,
    ".iob2": CONLL,
    ".bioes": CONLL,
    ".tsv": CONLL,
    ".txt": CONLL,
    ".json": JSON,
    ".jsonl": JSON_LINES,
    ".ann": BRAT,
}
#: What the endings are called in messages.
_NAMES: Final = {CONLL: "CoNLL", JSON: "JSON", JSON_LINES: "JSON lines", BRAT: "brat"}
#: Of an export of ours, about its files; they are none of its documents.
_BESIDE: Final = ("export.json", "README.md")


def source_format(path: str) -> str | None:
    """The format (`CONLL`, …) from the ending of the file, or of the files in the folder; None: it is Parquet.

    Raises:
        ConfigError: a folder with files of several formats.
    """
    if _is_file(path):
        return _format_of(path)
    formats = {_format_of(name) for name in find_files(path)} - {None}
    if BRAT in formats:
        formats -= {CONLL}  # brat's texts end in .txt
    if len(formats) > 1:
        named = " and ".join(sorted(_NAMES[name] for name in formats if name))
        raise ConfigError(f"gold {path}: holds both {named} files; name a file, or separate them")
    return formats.pop() if formats and not find_files(path, ".parquet") else None


def source_files(path: str, kind: str) -> dict[str, str]:
    """The files of one format, in order: name without ending, below the folder → path."""
    if _is_file(path):
        return {_stem(path.rsplit("/", 1)[-1]): path}
    names = sorted(name for name in find_files(path) if _format_of(name) == kind)
    return {_stem(name): join(path, name) for name in names}


def read_source(path: str, kind: str) -> list[GoldDocument]:
    """Every document of a file or folder, in order, with an answer for every type that it was annotated for.

    Raises:
        ConfigError: unreadable, or an id that stands twice.
    """
    if kind == BRAT:
        documents = _read_brat_files(path)
    else:
        read = {CONLL: read_conll, JSON: _read_json, JSON_LINES: read_jsonl}[kind]
        documents = [d for stem, file in source_files(path, kind).items() for d in read(_text_of(file), stem, file)]
    _check_ids(path, documents)
    add_empty_answers(documents)
    return documents


def _read_json(content: str, stem: str, path: str) -> list[GoldDocument]:
    try:
        parsed = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"gold {path}: is not JSON ({error})") from error
    return (read_labelstudio if is_labelstudio(parsed) else read_conversations)(content, stem, path)


def _read_brat_files(path: str) -> list[GoldDocument]:
    folder = path.rpartition("/")[0] if _is_file(path) else path
    names = document_names(find_files(folder))
    if folder != path:
        names = [name for name in names if path == join(folder, f"{name}.ann")]
    labels = read_labels(_text_of(join(folder, "annotation.conf"))) if exists(join(folder, "annotation.conf")) else {}
    documents = []
    for name in names:
        file = join(folder, name)
        text, annotations = read_bytes(f"{file}.txt").decode(), _text_of(f"{file}.ann")
        documents.append(read_brat(text, annotations, name.rsplit("/", 1)[-1], labels, f"{file}.ann"))
    return documents


def add_empty_answers(documents: Iterable[GoldDocument]) -> None:
    """Give every document an answer for every type that any of them has: a tagger tags all types everywhere.

    A document that says itself which types were asked is left as it is.
    """
    documents = list(documents)
    types = dict.fromkeys(name for document in documents for name in document.answers)
    for document in documents:
        if document.says_types:
            continue
        document.answers = {name: document.answers.get(name, []) for name in types}


def _check_ids(path: str, documents: Iterable[GoldDocument]) -> None:
    seen: set[str] = set()
    for document in documents:
        if document.doc_id in seen:
            raise ConfigError(f"gold {path}: document id {document.doc_id!r} stands more than once")
        seen.add(document.doc_id)


def _text_of(path: str) -> str:
    try:
        return read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"gold {path}: is not UTF-8 ({error})") from error


def _is_file(path: str) -> bool:
    fs, stripped = open_fs(path)
    return bool(fs.isfile(stripped))


def _format_of(name: str) -> str | None:
    if name.rsplit("/", 1)[-1] in _BESIDE:
        return None
    return _SUFFIXES.get("." + name.rsplit(".", 1)[-1].lower()) if "." in name else None


def _stem(name: str) -> str:
    return name.rsplit(".", 1)[0]
