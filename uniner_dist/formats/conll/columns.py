"""Finds the columns of tokens and of tags in a token file, by their content and not by position.

Pure; no I/O.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from uniner_dist.formats.tagging import OUTSIDE, is_tag, read_tags, split_labels

#: Column names that identify a header line.
_TOKEN_NAMES: Final = frozenset({"TOKEN", "WORD", "WORDS", "FORM", "TEXT", "TOKENS"})
#: Names of tag columns, preferred ones first; HIPE's files have several.
_TAG_NAMES: Final = ("NE-COARSE-LIT", "NER", "NE", "NER_TAG", "NER-TAG", "NERTAG", "TAG", "TAGS", "ENTITY", "LABEL")
#: Chunk types, which CoNLL-2000 and CoNLL-2003 (English, German) tag like names in a separate column.
_CHUNKS: Final = frozenset(
    {"NP", "VP", "PP", "ADVP", "ADJP", "SBAR", "PRT", "CONJP", "INTJ", "LST", "UCP", "PNP", "NC", "VC", "PC"}
)
#: Tags whose prefix is written otherwise, or which have no type: to read them as types would be wrong.
_OTHER_TAG: Final = re.compile(r"[BIMESLU]|[BIMESLU][_:./|]\S+|\S+[-_:./|][BIMESLU]|[bimeslu]-\S+")
#: Placeholders of an empty cell, in columns other than the one of tags.
_NOTHING: Final = frozenset({"_", "-", "*", ""})
_LABEL: Final = re.compile(r"[^\W\d_][\w./:|-]*")

Sentence = Sequence[Sequence[str]]


@dataclass(frozen=True)
class Layout:
    """Roles of the columns of a file.

    Args:
        token: number of the column of tokens, from 0.
        tags: numbers of the columns of tags; more than one where mentions nest.
        width: number of columns.
        bare: tags are types without a prefix.
        names: the columns' names in the file's header; empty without one.
    """

    token: int
    tags: tuple[int, ...]
    width: int
    bare: bool = False
    names: tuple[str, ...] = ()

    def __str__(self) -> str:
        tags = " and ".join(map(self._named, self.tags))
        kind = "types without prefix" if self.bare else "tags"
        return f"tokens in column {self._named(self.token)}, {kind} in column {tags} of {self.width}"

    def _named(self, column: int) -> str:
        return f"{column + 1}" + (f" ({self.names[column]})" if self.names else "")


def is_header(cells: Sequence[str]) -> bool:
    """Return whether a first line names the columns: one of its cells is a usual name for tokens, and none is a tag.

    Args:
        cells: cells of the line.
    """
    return any(cell.upper() in _TOKEN_NAMES for cell in cells) and not any(map(is_tag, cells))


def find_layout(sentences: Sequence[Sentence], header: Sequence[str] = ()) -> Layout:
    """Find out which columns of a file hold tokens and tags.

    Args:
        sentences: sentences of the file, each a list of rows of cells; at least one row, all of one width.
        header: names of the columns; empty if the file does not name them.

    Returns:
        The roles of the columns.

    Raises:
        ValueError: the content fits no layout, or several.
    """
    rows = [row for sentence in sentences for row in sentence]
    width = len(rows[0])
    columns = [[row[number] for row in rows] for number in range(width)]
    names = tuple(name.upper() for name in header)
    tags = _tag_columns(columns, sentences, names)
    bare = not tags
    if bare:
        tags = _bare_columns(columns)
    if not tags:
        raise ValueError("no column holds tags such as O, B-person or I-person")
    token = _token_column(columns, sentences, tags, names)
    return Layout(token, tags, width, bare, tuple(header))


def _tag_columns(
    columns: Sequence[Sequence[str]], sentences: Sequence[Sentence], names: Sequence[str]
) -> tuple[int, ...]:
    """Columns that hold nothing but tags with prefixes."""
    types = {number: _types(column) for number, column in enumerate(columns) if _holds_tags(column)}
    if len(types) > 1:
        types = {number: found for number, found in types.items() if not found or not found <= _CHUNKS} or types
    for wanted in _TAG_NAMES:
        named = [number for number in types if names and names[number] == wanted]
        if named:
            return (named[0],)
    filled = [number for number, found in types.items() if found]
    if len(filled) < 2:
        return tuple(filled) or tuple(types)[-1:]
    _check_layers(sentences, filled)
    return tuple(filled)


def _holds_tags(column: Sequence[str]) -> bool:
    return all(is_tag(tag) for tag in set(column))


def _types(column: Sequence[str]) -> set[str]:
    return {part.split("-", 1)[1] for tag in set(column) for part in split_labels(tag) if part != OUTSIDE}


def _check_layers(sentences: Sequence[Sentence], columns: Sequence[int]) -> None:
    """Mentions that nest are in several columns, and none is there twice; gold next to predictions repeats them."""
    for sentence in sentences:
        seen: set[tuple[str, int, int]] = set()
        for number in columns:
            found = set(read_tags(row[number] for row in sentence))
            if found & seen:
                named = " and ".join(str(one + 1) for one in columns)
                raise ValueError(
                    f"columns {named} hold tags, and the same mentions: gold and predictions? Leave one of them"
                )
            seen |= found


def _bare_columns(columns: Sequence[Sequence[str]]) -> tuple[int, ...]:
    """The column of types without prefix: it has an O, no tag with a prefix, and few values."""
    found = {
        number: len(values)
        for number, values in enumerate(set(column) for column in columns)
        if OUTSIDE in values
        and all(_LABEL.fullmatch(value) for value in values)
        and not any(is_tag(value) for value in values - {OUTSIDE})
    }
    fewest = min(found.values(), default=0)
    chosen = [number for number, count in found.items() if count == fewest]
    for number in chosen:
        odd = sorted(value for value in set(columns[number]) - {OUTSIDE} if _OTHER_TAG.fullmatch(value))
        if odd and len(odd) == len(set(columns[number]) - {OUTSIDE}):
            raise ValueError(f"column {number + 1} holds {odd[0]!r}, which is not a type; write tags such as B-person")
    return tuple(chosen) if len(chosen) == 1 and (len(columns[0]) > fewest or len(found) == 1) else ()


def _token_column(
    columns: Sequence[Sequence[str]], sentences: Sequence[Sentence], tags: Sequence[int], names: Sequence[str]
) -> int:
    named = [number for number, name in enumerate(names) if name in _TOKEN_NAMES]
    if named:
        return named[0]
    others = [number for number in range(len(columns)) if number not in tags and not _holds_nothing(columns[number])]
    words = [number for number in others if not _counts(sentences, number)] or others
    varied = [number for number in words if len(set(columns[number])) > 1 or len(columns[number]) == 1] or words
    if not varied:
        raise ValueError("no column holds tokens")
    return varied[0]


def _holds_nothing(column: Sequence[str]) -> bool:
    return set(column) <= _NOTHING


def _counts(sentences: Sequence[Sentence], column: int) -> bool:
    """Whether a column numbers the tokens of each sentence."""
    numbers = [[row[column] for row in sentence] for sentence in sentences]
    if not all(number.isdecimal() for sentence in numbers for number in sentence):
        return False
    steps = [[int(number) for number in sentence] for sentence in numbers]
    return all(list(range(one[0], one[0] + len(one))) == one and one[0] in (0, 1) for one in steps)
