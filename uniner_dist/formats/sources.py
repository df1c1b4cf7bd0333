"""Gold in the formats of other tools: which format a file or folder has, and the documents in it.

Every document has an answer for every entity type it was annotated for, empty ones included, because a spurious mention
is an error only where nothing was to be found. How a file was interpreted is noted (`ReadingNotes`).
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Callable, Iterable
from typing import Final

from uniner_dist.errors import ConfigError
from uniner_dist.formats.brat.reading import document_names, read_brat, read_labels
from uniner_dist.formats.conll.conllu import is_conllu, read_conllu
from uniner_dist.formats.conll.reading import read_conll
from uniner_dist.formats.conversations import read_conversations
from uniner_dist.formats.gold_document import GoldDocument, ReadingNotes
from uniner_dist.formats.huggingface.reading import read_dataset
from uniner_dist.formats.json_rows.reading import find_kind, read_jsonl, read_rows
from uniner_dist.formats.kinds import (
    BRAT,
    CONLL,
    DATASET,
    JSON,
    JSON_LINES,
    SPACY,
    is_file,
    source_files,
    source_format,
)
from uniner_dist.formats.labelstudio.reading import is_labelstudio, read_labelstudio
from uniner_dist.formats.pubtator import is_pubtator, read_pubtator
from uniner_dist.formats.spacy.json_reading import pairs_of
from uniner_dist.formats.spacy.reading import read_docbin
from uniner_dist.formats.webanno import is_webanno, read_webanno
from uniner_dist.storage.filesystem import exists, find_files, join, read_bytes

__all__ = ["add_empty_answers", "read_documents", "read_source", "source_format"]

TextReader = Callable[[str, str, str, ReadingNotes], list[GoldDocument]]

#: Keys under which a JSON file may have its rows.
_LISTS: Final = ("data", "train", "documents", "examples")


def read_source(path: str, kind: str) -> list[GoldDocument]:
    """Return the documents of `read_documents`, without its notes.

    Args:
        path: path or URL of a file or a folder.
        kind: its format, as `source_format` returns it.

    Raises:
        ConfigError: see `read_documents`.
    """
    return read_documents(path, kind)[0]


def read_documents(path: str, kind: str) -> tuple[list[GoldDocument], ReadingNotes]:
    """Read every document of a file or folder, with an answer for every type that it was annotated for.

    Args:
        path: path or URL of a file or a folder.
        kind: its format, as `source_format` returns it.

    Returns:
        The documents, by file name and then as they are in the files, and notes on how they were read.

    Raises:
        ConfigError: unreadable, contradicting itself, or an id that occurs twice; the message names file and line.
    """
    notes = ReadingNotes()
    if kind == BRAT:
        documents = _read_brat_files(path, notes)
    elif kind == DATASET:
        documents = read_dataset(source_files(path, kind), _folder_of(path), notes)
    elif kind == SPACY:
        files = source_files(path, kind).items()
        documents = [one for stem, file in files for one in read_docbin(read_bytes(file), stem, file, notes)]
    else:
        read = {CONLL: _read_text, JSON: _read_json, JSON_LINES: read_jsonl}[kind]
        files = source_files(path, kind).items()
        documents = [one for stem, file in files for one in read(read_text(file), stem, file, notes)]
    _check_ids(path, documents)
    add_empty_answers(documents)
    return documents, notes


def _read_text(content: str, stem: str, path: str, notes: ReadingNotes) -> list[GoldDocument]:
    """A file of lines: the format that its first ones show, else columns of tokens."""
    readers: tuple[tuple[Callable[[str], bool], TextReader], ...] = (
        (is_webanno, read_webanno),
        (is_pubtator, read_pubtator),
        (is_conllu, read_conllu),
    )
    read = next((reader for fits, reader in readers if fits(content)), read_conll)
    return read(content, stem, path, notes)


def _read_json(content: str, stem: str, path: str, notes: ReadingNotes) -> list[GoldDocument]:
    """A JSON file: of Label Studio, of the UniversalNER authors, or rows of one of the kinds of JSON lines."""
    try:
        parsed = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"gold {path}: is not JSON ({error})") from error
    pairs = pairs_of(parsed)
    if pairs is not None:
        return read_rows(((f"{path}: item {n}", pair) for n, pair in enumerate(pairs)), stem, path, notes)
    if isinstance(parsed, dict):
        inner = next((parsed[key] for key in _LISTS if isinstance(parsed.get(key), list)), None)
        parsed = [parsed] if inner is None or find_kind(parsed) else inner
    if isinstance(parsed, list) and parsed and find_kind(parsed[0]) and not is_labelstudio(parsed):
        return read_rows(((f"{path}: item {n}", row) for n, row in enumerate(parsed)), stem, path, notes)
    if is_labelstudio(parsed):
        return read_labelstudio(parsed, stem, path, notes)
    return read_conversations(content, stem, path)


def _folder_of(path: str) -> str:
    """The folder of a file; a folder itself."""
    return ("".join(path.rpartition("/")[:2]) or ".") if is_file(path) else path


def _read_brat_files(path: str, notes: ReadingNotes) -> list[GoldDocument]:
    folder = _folder_of(path)
    if folder == path:
        names = document_names(find_files(folder))
    else:
        pair = [path.rpartition("/")[2].removesuffix(".ann") + ending for ending in (".ann", ".txt")]
        names = document_names(name for name in pair if exists(join(folder, name)))
    labels = read_labels(read_text(join(folder, "annotation.conf"))) if exists(join(folder, "annotation.conf")) else {}
    documents = []
    for name in names:
        file = join(folder, name)
        text, annotations = read_text(f"{file}.txt"), read_text(f"{file}.ann")
        marked = read_bytes(f"{file}.txt").startswith(codecs.BOM_UTF8)
        stem = name.rsplit("/", 1)[-1]
        documents.append(read_brat(text, annotations, stem, labels, f"{file}.ann", notes, marked=marked))
    return documents


def add_empty_answers(documents: Iterable[GoldDocument]) -> None:
    """Give every document an answer for every type that any of them has, since taggers tag all types everywhere.

    A document with `says_types` is left as it is.

    Args:
        documents: all documents of a file or folder; changed in place, their answers in the order of the types' first
            occurrence.
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
            raise ConfigError(f"gold {path}: document id {document.doc_id!r} occurs more than once")
        seen.add(document.doc_id)


def read_text(path: str) -> str:
    """Return the text of a UTF-8 file, without a byte order mark; line breaks stay as they are.

    Args:
        path: path or URL of the file.

    Raises:
        ConfigError: not UTF-8; the message names the line.
    """
    content = read_bytes(path)
    for mark in (b"\xff\xfe", b"\xfe\xff"):
        if content.startswith(mark):
            raise ConfigError(f"gold {path}: is UTF-16; save it as UTF-8")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ConfigError(f"gold {path}, line {line}: is not UTF-8 ({error.reason}); save the file as UTF-8") from error
