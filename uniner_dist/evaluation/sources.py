"""Gold in the formats of others: CoNLL files and the JSON files of the UniversalNER authors.

A file or folder enters, documents with text and answers leave. Every document has an answer for every entity type it
was annotated for, empty ones included, because a spurious mention is an error only where nothing was to be found.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from uniner_dist.errors import ConfigError
from uniner_dist.evaluation.conll import read_conll
from uniner_dist.evaluation.conversations import read_conversations
from uniner_dist.evaluation.document import GoldDocument
from uniner_dist.storage.filesystem import find_files, join, open_fs, read_bytes

CONLL: Final = "conll"
CONVERSATIONS: Final = "conversations"

_SUFFIXES: Final = {
    ".conll": CONLL,
    ".bio": CONLL,
    ".iob": CONLL,
    ".iob2": CONLL,
    ".bioes": CONLL,
    ".tsv": CONLL,
    ".txt": CONLL,
    ".json": CONVERSATIONS,
}


def source_format(path: str) -> str | None:
    """`CONLL` or `CONVERSATIONS` from the ending of the file, or of the files in the folder; None: it is Parquet.

    Raises:
        ConfigError: a folder with files of both formats.
    """
    if _is_file(path):
        return _format_of(path)
    formats = {_format_of(name) for name in find_files(path)} - {None}
    if len(formats) > 1:
        raise ConfigError(f"gold {path}: holds both CoNLL and JSON files; name a file, or separate them")
    return formats.pop() if formats and not find_files(path, ".parquet") else None


def source_files(path: str, kind: str) -> dict[str, str]:
    """The files of one format, in order: name without ending, below the folder → path."""
    if _is_file(path):
        return {_stem(path.rsplit("/", 1)[-1]): path}
    names = sorted(name for name in find_files(path) if _format_of(name) == kind)
    return {_stem(name): join(path, name) for name in names}


def read_source(path: str, kind: str) -> list[GoldDocument]:
    """Every document of a file or folder, in order; each has an answer for every type found anywhere in it.

    Raises:
        ConfigError: unreadable, or an id that stands twice.
    """
    read = {CONLL: read_conll, CONVERSATIONS: read_conversations}[kind]
    documents: list[GoldDocument] = []
    for stem, file in source_files(path, kind).items():
        documents += read(_text_of(file), stem, file)
    _check_ids(path, documents)
    if kind == CONLL:
        add_empty_answers(documents)
    return documents


def add_empty_answers(documents: Iterable[GoldDocument]) -> None:
    """Give every document an answer for every type that any of them has: a tagger tags all types everywhere."""
    documents = list(documents)
    types = dict.fromkeys(name for document in documents for name in document.answers)
    for document in documents:
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
    return _SUFFIXES.get("." + name.rsplit(".", 1)[-1].lower()) if "." in name else None


def _stem(name: str) -> str:
    return name.rsplit(".", 1)[0]
