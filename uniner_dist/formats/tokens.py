"""Tokens and sentences for formats that label tokens. Pure; no I/O.

A token is a word, or any other character as a reader sees it (one with its accents, a joined emoji); no token spans a
mention's border, so that every mention is whole tokens. White space is in no token.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Final

from uniner_dist.core.characters import is_inside
from uniner_dist.core.split import SENTENCE_END
from uniner_dist.formats.annotated_document import Mention

#: Underscores join words, and are characters of their own elsewhere, as `core.characters.cuts_word` has it.
_ASCII_TOKEN: Final = re.compile(r"[^\W_]+(?:_+[^\W_]+)*|_|[^\w\s]", re.ASCII)
_PLAIN_TOKEN: Final = re.compile(r"\w+|[^\w\s]", re.ASCII)
_ODD: Final = re.compile(r"[\x1c-\x1f]")
_CHUNK: Final = re.compile(r"\S+")

Span = tuple[int, int]


def tokenize(text: str, borders: Iterable[int] = ()) -> list[Span]:
    """Code points (start, end) of the tokens of a text, ascending.

    Args:
        text: any text; offsets count its code points.
        borders: offsets that no token may span.
    """
    found = _ascii(text) if text.isascii() else list(_any(text))
    starts = [start for start, _ in found]
    cuts = sorted({b for b in borders if (at := bisect_left(starts, b)) and b < found[at - 1][1]})
    if not cuts:
        return found
    tokens: list[Span] = []
    for start, end in found:
        inside = cuts[bisect_right(cuts, start) : bisect_left(cuts, end)]
        points = [start, *inside, end]
        tokens += pairwise(points)
    return tokens


def is_plain(text: str) -> bool:
    """Whether the tokens of a text are those of its parts, wherever these are cut: ASCII without underscores."""
    return text.isascii() and "_" not in text and not _ODD.search(text)


def plain_tokens(text: str, start: int, end: int) -> list[str]:
    """The tokens of a part of such a text, as strings."""
    return _PLAIN_TOKEN.findall(text, start, end)


def borders_of(mentions: Iterable[Mention]) -> set[int]:
    """Where the mentions begin and end."""
    return {border for mention in mentions for border in (mention.start, mention.end)}


def _ascii(text: str) -> list[Span]:
    found = [match.span() for match in _ASCII_TOKEN.finditer(text)]
    # \x1c to \x1f are white space to str.isspace and `\s` without re.ASCII, and are none of a reader's characters.
    return [(start, end) for start, end in found if not text[start:end].isspace()] if _ODD.search(text) else found


def _any(text: str) -> Iterator[Span]:
    for chunk in _CHUNK.finditer(text):
        start, end = chunk.span()
        for position in range(start + 1, end):
            if not is_inside(text, position):
                yield start, position
                start = position
        yield start, end


def tag_bio(tokens: Sequence[Span], mentions: Sequence[Mention]) -> list[str]:
    """One BIO tag per token.

    Args:
        tokens: made with the mentions' borders.
        mentions: ascending, without overlaps.
    """
    tags = ["O"] * len(tokens)
    starts = [start for start, _ in tokens]
    for mention in mentions:
        first = bisect_left(starts, mention.start)
        stop = bisect_left(starts, mention.end)
        for index in range(first, stop):
            tags[index] = f"{'B' if index == first else 'I'}-{mention.label}"
    return tags


def sentences(text: str, tokens: Sequence[Span], mentions: Sequence[Mention]) -> Iterator[range]:
    """Indexes of the tokens of each sentence; a sentence never ends inside of a mention."""
    ends = [match.end() for match in SENTENCE_END.finditer(text)]
    covered = [(mention.start, mention.end) for mention in mentions]
    starts = [start for start, _ in tokens]
    begin = at = 0
    for end in ends:
        while at < len(covered) and covered[at][1] <= end:
            at += 1
        if at < len(covered) and covered[at][0] < end:
            continue
        stop = bisect_left(starts, end)
        if stop > begin:
            yield range(begin, stop)
            begin = stop
    if begin < len(tokens):
        yield range(begin, len(tokens))
