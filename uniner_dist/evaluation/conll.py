"""CoNLL files: one token per line, its tag in the last column, blank lines between sentences.

The text of such a file enters, documents with entities and true offsets leave. Reads BIO (IOB1 and IOB2), BIOES and
BILOU alike, because a tag that cannot continue a mention of its type begins one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from uniner_dist.errors import ConfigError
from uniner_dist.evaluation.document import GoldDocument

_DOCUMENT_START: Final = "-DOCSTART-"
_ID_COMMENT: Final = re.compile(r"# +(?:newdoc +)?id *[= ] *(\S+)")
#: Such as `# text = In Rome`; `#` and `#tag` may be tokens.
_COMMENT: Final = re.compile(r"# +\w[\w ]*=")
#: Between columns; other white space of Unicode may stand inside a token ("5\u00a0km").
_SPACES: Final = re.compile(" +")
_TAG: Final = re.compile(r"O|([BIESLU])-(\S.*)")
_BEGINS: Final = frozenset("BSU")
_ENDS: Final = frozenset("ESLU")

Tagged = tuple[str, str]


@dataclass
class _Block:
    """Sentences of one document while it is read."""

    doc_id: str | None = None
    sentences: list[list[Tagged]] = field(default_factory=list)


def read_conll(content: str, stem: str, path: str = "") -> list[GoldDocument]:
    """Documents of one file.

    A document begins at a comment `# id = NAME` (or `# newdoc id = NAME`) and has that id; or else at a line
    `-DOCSTART-`; in a file that has neither, every sentence is a document. Without a name the id is `STEM-N`, N
    counting the file's documents from 0. The text is the tokens with a space between them, and a line break between
    sentences.

    Args:
        content: the file.
        stem: its name without ending.
        path: where it stands, for error messages.

    Raises:
        ConfigError: a line whose last column is no tag.
    """
    documents: list[GoldDocument] = []
    for block in _blocks(content, path):
        if block.sentences:
            doc_id = f"{stem}-{len(documents)}" if block.doc_id is None else block.doc_id
            documents.append(_document(doc_id, block.sentences))
    return documents


def read_tags(tags: Iterable[str]) -> list[tuple[str, int, int]]:
    """Mentions of a sentence: (type, first token, token behind the last)."""
    mentions: list[tuple[str, int, int]] = []
    current: tuple[str, int] | None = None
    position = 0
    for position, tag in enumerate(tags):
        match = _TAG.fullmatch(tag)
        prefix, name = (match.group(1), match.group(2)) if match else (None, None)
        if current and (name != current[0] or prefix in _BEGINS):
            mentions.append((*current, position))
            current = None
        if prefix and name:
            current = current or (name, position)
            if prefix in _ENDS:
                mentions.append((*current, position + 1))
                current = None
    if current:
        mentions.append((*current, position + 1))
    return mentions


def _blocks(content: str, path: str) -> Iterator[_Block]:
    """Documents as sentences; a file without borders has a document per sentence."""
    has_borders = any(line.startswith(_DOCUMENT_START) or _is_id(line) for line in _lines(content))
    block, sentence = _Block(), list[Tagged]()
    for number, line in enumerate([*_lines(content), ""], 1):
        border = line.startswith(_DOCUMENT_START) or _is_id(line)
        if border or not line.strip():
            if sentence:
                block.sentences.append(sentence)
                sentence = []
            if border or not has_borders:
                yield block
                block = _Block(_id_of(line))
        elif (tagged := _token(line, number, path)) is not None:
            sentence.append(tagged)
    yield block


def _lines(content: str) -> list[str]:
    """Lines at line feeds only: other line separators of Unicode may stand inside a token."""
    return [line.rstrip("\r") for line in content.split("\n")]


def _is_id(line: str) -> bool:
    return _id_of(line) is not None


def _id_of(line: str) -> str | None:
    match = _ID_COMMENT.match(line)
    return match.group(1) if match else None


def _token(line: str, number: int, path: str) -> Tagged | None:
    """(token, tag), or None for a comment."""
    if _COMMENT.match(line):
        return None
    columns = line.split("\t") if "\t" in line else _SPACES.split(line.strip(" "))
    tag = columns[-1].strip()
    if len(columns) < 2 or not _TAG.fullmatch(tag):
        if line.startswith("#"):
            return None
        raise ConfigError(
            f"gold {path}, line {number}: expected a token and a tag such as O, B-person or I-person, got {line!r}"
        )
    return columns[0].strip(), tag


def _document(doc_id: str, sentences: Iterable[list[Tagged]]) -> GoldDocument:
    document = GoldDocument(doc_id, "")
    for sentence in sentences:
        if document.text:
            document.text += "\n"
        starts, ends = [], []
        for index, (token, _) in enumerate(sentence):
            document.text += " " * bool(index)
            starts.append(len(document.text))
            document.text += token
            ends.append(len(document.text))
        for name, first, behind in read_tags(tag for _, tag in sentence):
            start, end = starts[first], ends[behind - 1]
            document.answers.setdefault(name, []).append(_entity(document.text, start, end))
    return document


def _entity(text: str, start: int, end: int) -> dict[str, Any]:
    return {"text": text[start:end], "start": start, "end": end}
