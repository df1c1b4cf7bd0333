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
    """Return the offsets (start, end) of the tokens of a text in code points, ascending.

    Args:
        text: any text.
        borders: offsets that no token may span, in any order, such as those of `borders_of`.
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
    """Return whether the parts of a text can be tokenised independently by `plain_tokens`.

    That holds for ASCII without underscores and without the separators U+001C to U+001F.

    Args:
        text: any text.
    """
    return text.isascii() and "_" not in text and not _ODD.search(text)


def plain_tokens(text: str, start: int, end: int) -> list[str]:
    """Return the tokens of a part of a plain text, as strings.

    Args:
        text: a text for which `is_plain` is true.
        start: offset of the part's first code point; no token spans it.
        end: offset one past its last code point; no token spans it.
    """
    return _PLAIN_TOKEN.findall(text, start, end)


def borders_of(mentions: Iterable[Mention]) -> set[int]:
    """Return the offsets at which mentions begin or end, in code points.

    Args:
        mentions: mentions of one text.
    """
    return {border for mention in mentions for border in (mention.start, mention.end)}


def _ascii(text: str) -> list[Span]:
    found = [match.span() for match in _ASCII_TOKEN.finditer(text)]
    # \x1c to \x1f are white space to str.isspace and `\s` without re.ASCII, and no characters that a reader sees.
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
    """Return one BIO tag per token, such as `B-person`, `I-person` or `O`.

    Args:
        tokens: spans of `tokenize`, called with the borders of these mentions.
        mentions: sorted by start, without overlaps.
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
    """Split tokens into sentences; a sentence never ends inside a mention.

    Args:
        text: the text that was tokenised.
        tokens: spans of `tokenize`, ascending.
        mentions: sorted by start, without overlaps.

    Yields:
        The indexes of the tokens of each sentence that has any, in order; together they cover all tokens.
    """
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
