"""CoNLL files: one token per line, its tag in the last column, blank lines between sentences.

The text of such a file enters, documents with entities and true offsets leave. Reads BIO (IOB1 and IOB2), BIOES and
BILOU alike, because a tag that cannot continue a mention of its type begins one. Files of
`uniner_dist.formats.conll.writing` also say in comments what the text was, so that offsets are
those in the corpus, and which types were answered.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from uniner_dist.errors import ConfigError
from uniner_dist.formats.gold_document import GoldDocument

#: Comments of a document exported by us, all JSON: its id, its text, and the types that were answered for it.
ID_COMMENT: Final = "uniner_id"
TEXT_COMMENT: Final = "uniner_text"
TYPES_COMMENT: Final = "uniner_types"

_DOCUMENT_START: Final = "-DOCSTART-"
_ID_COMMENT: Final = re.compile(r"# +(?:newdoc +)?id *[= ] *(\S+)")
#: Such as `# text = In Rome`; `#` and `#tag` may be tokens.
_COMMENT: Final = re.compile(r"# +\w[\w ]*=")
_OURS: Final = re.compile(rf"# ({ID_COMMENT}|{TEXT_COMMENT}|{TYPES_COMMENT}) = (.*)")
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
    text: str | None = None
    types: list[str] | None = None
    sentences: list[list[Tagged]] = field(default_factory=list)


def read_conll(content: str, stem: str, path: str = "") -> list[GoldDocument]:
    """Documents of one file.

    A document begins at a comment `# id = NAME` (or `# newdoc id = NAME`) and has that id; or else at a line
    `-DOCSTART-`; in a file that has neither, every sentence is a document. Without a name the id is `STEM-N`, N
    counting the file's documents from 0. The text is the tokens with a space between them, and a line break between
    sentences, unless the file says what it was.

    Args:
        content: the file.
        stem: its name without ending.
        path: where it stands, for error messages.

    Raises:
        ConfigError: a line whose last column is no tag, or tokens that are not those of the text that the file has.
    """
    documents: list[GoldDocument] = []
    for block in _blocks(content, path):
        if block.sentences:
            doc_id = f"{stem}-{len(documents)}" if block.doc_id is None else block.doc_id
            document = _document(doc_id, block, path)
            document.answers = {name: [] for name in block.types or ()} | document.answers
            document.says_types = block.types is not None
            documents.append(document)
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
        elif match := _OURS.fullmatch(line):
            _add_comment(block, match[1], match[2], f"{path}, line {number}")
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


def _add_comment(block: _Block, name: str, value: str, place: str) -> None:
    try:
        parsed = json.loads(value)
    except ValueError as error:
        raise ConfigError(f"gold {place}: {name} is no JSON ({error})") from error
    if name == ID_COMMENT:
        block.doc_id = parsed
    elif name == TEXT_COMMENT:
        block.text = parsed
    else:
        block.types = parsed


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


def _document(doc_id: str, block: _Block, path: str) -> GoldDocument:
    """The document of a block: its text as it was, where the file says so, else made of its tokens."""
    text, places = _joined(block.sentences) if block.text is None else (block.text, _aligned(doc_id, block, path))
    document = GoldDocument(doc_id, text)
    for sentence, spans in zip(block.sentences, places, strict=True):
        for name, first, behind in read_tags(tag for _, tag in sentence):
            start, end = spans[first][0], spans[behind - 1][1]
            entity = {"text": text[start:end], "start": start, "end": end}
            document.answers.setdefault(name, []).append(entity)
    return document


def _joined(sentences: Iterable[list[Tagged]]) -> tuple[str, list[list[tuple[int, int]]]]:
    """Tokens with a space between them and a line break between sentences, and where each then stands."""
    text, places = "", []
    for sentence in sentences:
        text += "\n" if text else ""
        spans = []
        for index, (token, _) in enumerate(sentence):
            text += " " * bool(index)
            spans.append((len(text), len(text) + len(token)))
            text += token
        places.append(spans)
    return text, places


def _aligned(doc_id: str, block: _Block, path: str) -> list[list[tuple[int, int]]]:
    """Where each token stands in the text that the file has: one behind the other, only white space between them."""
    text, position, places = block.text or "", 0, []
    for sentence in block.sentences:
        spans = []
        for token, _ in sentence:
            start = text.find(token, position)
            if start < 0 or text[position:start].strip():
                raise ConfigError(
                    f"gold {path}: document {doc_id}: the token {token!r} is not the next one of its {TEXT_COMMENT}; "
                    "correct tags only, or remove that comment"
                )
            position = start + len(token)
            spans.append((start, position))
        places.append(spans)
    return places
