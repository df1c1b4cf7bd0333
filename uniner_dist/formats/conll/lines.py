"""Lines of a file of tokens: comments, rows of cells, and borders of sentences and documents. Pure; no I/O."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from uniner_dist.errors import ConfigError
from uniner_dist.formats import shapes
from uniner_dist.formats.conll.columns import is_header
from uniner_dist.formats.tagging import is_tag

#: Comments of a document of an export, all JSON: its id, its text, and the types that were answered for it.
ID_COMMENT: Final = "uniner_id"
TEXT_COMMENT: Final = "uniner_text"
TYPES_COMMENT: Final = "uniner_types"

_SHAPES: Final = {ID_COMMENT: shapes.name, TEXT_COMMENT: shapes.text, TYPES_COMMENT: shapes.items(shapes.text)}

_DOCUMENT_START: Final = "-DOCSTART-"
#: `# newdoc id = NAME`, `# id = NAME`, and HIPE's `# hipe2022:document_id = NAME`; `# newdoc` alone is a border too.
#: Possessive: a line of blanks alone costs no more time than its length.
_BORDER: Final = re.compile(
    r"# ++(?:(?:newdoc ++)?id(?: *+= *+| ++)(?P<id>\S++)|\S+:document_id *+= *+(?P<hipe>\S++)|newdoc *+$)"
)
#: Such as `# text = In Rome`; `#` and `#tag` may be tokens.
_COMMENT: Final = re.compile(r"# *[\w.:-][\w.: -]*?=(?P<value>.*)")
_OURS: Final = re.compile(rf"# ({ID_COMMENT}|{TEXT_COMMENT}|{TYPES_COMMENT}) = (.*)")
#: Between columns; other white space of Unicode may be inside a token ("5\u00a0km").
_SPACES: Final = re.compile(" +")
_BLANKS: Final = re.compile("[\t ]+")


@dataclass
class SentenceLines:
    """Rows of a sentence, the numbers of their lines, and its comments (name → value)."""

    rows: list[list[str]] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    comments: dict[str, str] = field(default_factory=dict)


@dataclass
class DocumentLines:
    """Sentences of a document, and the values of the comments that an export writes about it."""

    doc_id: str | None = None
    text: str | None = None
    types: list[str] | None = None
    sentences: list[SentenceLines] = field(default_factory=list)


@dataclass
class TokenFile:
    """A whole file.

    Args:
        documents: those that have a sentence, in order.
        header: names of the columns, if its first line has them.
    """

    documents: list[DocumentLines]
    header: Sequence[str] = ()

    @property
    def sentences(self) -> list[SentenceLines]:
        """Sentences of all documents, in order."""
        return [sentence for document in self.documents for sentence in document.sentences]


def split_lines(content: str) -> list[str]:
    """Return the lines of a text, without CR; it is split at line feeds only.

    Other line separators of Unicode may be inside a token.

    Args:
        content: text of a file.
    """
    return [line.rstrip("\r") for line in content.split("\n")]


def read_lines(content: str, path: str) -> TokenFile:
    """Split a file into documents and sentences; one without borders of documents has a document per sentence.

    Args:
        content: text of the file.
        path: path or URL of the file, for error messages.

    Returns:
        The file's rows of cells; it has no documents where no line has a token.

    Raises:
        ConfigError: a line with another number of columns than most others, or a damaged comment of an export.
    """
    lines = split_lines(content)
    width, split = _columns(lines)
    has_borders = any(_is_border(line) for line in lines)
    documents = [DocumentLines()]
    header: list[str] = []
    sentence = SentenceLines()
    for number, line in enumerate([*lines, ""], 1):
        border = _is_border(line)
        if border or not line.strip():
            if sentence.rows:
                documents[-1].sentences.append(sentence)
                sentence = SentenceLines()
                if not has_borders:
                    documents.append(DocumentLines())
            if border:
                documents.append(DocumentLines(_id_of(line)))
        elif match := _OURS.fullmatch(line):
            _add_comment(documents[-1], match[1], match[2], f"{path}, line {number}")
        elif _is_comment(line, split(line), width):
            _note_comment(sentence, line)
        elif not header and not sentence.rows and len(documents) == 1 and is_header(split(line)):
            header = split(line)
        else:
            _add_row(sentence, split(line), width, number, path)
    return TokenFile([document for document in documents if document.sentences], header)


def _columns(lines: Sequence[str]) -> tuple[int, Any]:
    """How many columns nearly all lines have, and how to split a line."""
    rows = [line for line in lines if line.strip() and not _is_border(line) and not line.startswith("# ")]
    tabbed = sum("\t" in line for line in rows)

    def by_tabs(line: str) -> list[str]:
        return [cell.strip() for cell in line.split("\t")]

    def by_spaces(line: str) -> list[str]:
        return _SPACES.split(line.strip(" "))

    def by_blanks(line: str) -> list[str]:
        return _BLANKS.split(line.strip(" \t"))

    split = by_tabs if tabbed == len(rows) else by_blanks if tabbed else by_spaces
    counts = Counter(len(split(line)) for line in rows)
    return max(counts, key=lambda width: counts[width], default=0), split


def _is_border(line: str) -> bool:
    return line.startswith(_DOCUMENT_START) or _BORDER.match(line) is not None


def _id_of(line: str) -> str | None:
    match = _BORDER.match(line)
    return (match["id"] or match["hipe"]) if match else None


def _is_comment(line: str, cells: Sequence[str], width: int) -> bool:
    """A line that begins with # and is no token: `# key = value`, or without a tag.

    In a line of another width than the file, words of a comment may look like tags; the last cell says what it is.
    """
    if not line.startswith("#"):
        return False
    tagged = any(map(is_tag, cells)) if len(cells) == width else is_tag(cells[-1])
    return bool(_COMMENT.match(line)) or not tagged


def _note_comment(sentence: SentenceLines, line: str) -> None:
    match = _COMMENT.match(line)
    if match:
        name = line[1 : match.start("value") - 1].strip()
        sentence.comments[name] = match["value"].removeprefix(" ")


def _add_row(sentence: SentenceLines, cells: list[str], width: int, number: int, path: str) -> None:
    if len(cells) != width or width < 2:
        expected = f"a token and a tag such as O, B-person or I-person in {max(width, 2)} columns"
        raise ConfigError(f"gold {path}, line {number}: expected {expected}, got {' '.join(cells)!r}")
    sentence.rows.append(cells)
    sentence.numbers.append(number)


def _add_comment(document: DocumentLines, name: str, value: str, place: str) -> None:
    try:
        parsed = json.loads(value)
    except ValueError as error:
        raise ConfigError(f"gold {place}: {name} is not JSON ({error})") from error
    try:
        _SHAPES[name](parsed, name)
    except ValueError as error:
        raise ConfigError(f"gold {place}: {error}") from error
    if name == ID_COMMENT:
        document.doc_id = str(parsed)
    elif name == TEXT_COMMENT:
        document.text = parsed
    else:
        document.types = parsed


def sentence_iterator(content: str) -> Iterator[tuple[int, str]]:
    """Split a file at its blank lines.

    Args:
        content: text of the file.

    Yields:
        (number of the block's first line, from 1; its lines, joined by line feeds) of each block.
    """
    begin, block = 1, list[str]()
    for number, line in enumerate([*split_lines(content), ""], 1):
        if line.strip():
            begin = begin if block else number
            block.append(line)
        elif block:
            yield begin, "\n".join(block)
            block = []
