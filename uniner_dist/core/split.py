"""Long texts become passages that fit the model.

Returns overlapping code-point ranges that cover the whole text. No character of any text is cut off or dropped, and the
work is linear in the text: it is tokenised once, and what a passage takes on its own is counted only where that may
matter. Pure; no I/O. `uniner_dist.core.merge` is the inverse.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from uniner_dist.core.characters import cuts_character

#: A guess that decides how much text is tokenised at once; results hold whatever the text's own ratio is.
_CHARACTERS_PER_TOKEN: Final = 4.0
#: To see whether a text fits, a beginning of it is tokenised that is longer than the guess by this factor.
_MARGIN: Final = 1.3
#: Characters in which a grapheme border is looked for, before a cut is made anywhere.
_MAX_GRAPHEME: Final = 32
#: A slice may take a few tokens more alone, or fewer, than as part of the text: a smaller one is tried this often.
_TRIES: Final = 4
#: A longer text is cut into sections of about this many passages, which are split independently.
_SECTION_PASSAGES: Final = 16
#: Tokens by which the size of a bare text may differ from its size in a prompt, either way.
_BARE_SLACK: Final = 8

#: Punctuation that ends a sentence and the white space after it, or a line's end. It begins with one set of characters
#: that Python's `re` looks for much faster than for alternatives.
SENTENCE_END: Final = re.compile(
    r"[.!?…。！？｡\r\n]"
    r"(?:(?<=[.!?…])(?<![.!?…]{2})[.!?…]*+[\"'”’»)\]]*+\s++|(?<=[。！？｡])[”’」』）]*+\s*+|(?<=\n)\s*+|(?<=\r)\n\s*+)"
)
_WHITE_SPACE: Final = re.compile(r"\s++")


class PassageTokenizer(Protocol):
    """What splitting needs of a tokenizer; `uniner_dist.core.tokens.PromptTokenizer` has it."""

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return how many tokens of a prompt each text takes.

        Args:
            texts: texts as they would be put into a prompt.
        """
        ...

    def token_spans(self, text: str) -> npt.NDArray[np.int64]:
        """Return the code points at which the tokens of a bare text begin and end; shape: tokens × 2, ascending.

        Args:
            text: a text without a prompt around it.
        """
        ...


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of a document: code points `start` to `end`."""

    start: int
    end: int


def split_passages(
    text: str,
    tokenizer: PassageTokenizer,
    max_tokens: int,
    overlap_tokens: int,
    whole_tokens: int | None = None,
) -> list[Passage]:
    """Split a text into ranges that cover it, each of which has at most `max_tokens` of the text's tokens.

    On its own a passage may take a few more, as its borders may cut tokens. Only where `whole_tokens` is less than
    twice as many is that counted; then it takes at most `whole_tokens` on its own.

    A text of at most `whole_tokens` (by default `max_tokens`) is one passage. Otherwise each passage ends, in this
    order of preference, after a sentence or a line, at white space, or (no spaces: Chinese, Thai, encoded data)
    between two characters, as far on as it can within its second half. Consecutive passages share at least
    `overlap_tokens` tokens (at most twice as many, to begin at a sentence or a word), so a mention of up to that many
    tokens is whole in one of them. White space at the end of a passage belongs to the next one only.

    If a single code point takes more than `whole_tokens` tokens, it is a passage of its own that does not fit.

    A text of more than some 25 passages is first cut into sections, after a sentence where there is one, so that the
    tokens of no more than one are held at a time.

    Args:
        text: the document's text, of any length.
        tokenizer: counts and places tokens.
        max_tokens: the most tokens a passage of a longer text may have, at least 1.
        overlap_tokens: tokens shared by consecutive passages, at most half of `max_tokens`; 0 for none.
        whole_tokens: texts up to this many tokens are not split; at least `max_tokens`, which it is by default.

    Returns:
        At least one passage, in ascending order of both start and end; the whole text, also an empty one, if it fits.

    Raises:
        ValueError: `max_tokens`, `overlap_tokens` or `whole_tokens` out of range.
    """
    limit = max_tokens if whole_tokens is None else whole_tokens
    if limit < max_tokens:
        raise ValueError(f"whole_tokens is {limit}, less than max_tokens, {max_tokens}")
    if max_tokens < 1 or not 0 <= overlap_tokens <= max_tokens // 2:
        raise ValueError(
            f"max_tokens is {max_tokens} and overlap_tokens {overlap_tokens}: "
            "need max_tokens >= 1 and 0 <= overlap_tokens <= max_tokens / 2"
        )
    sections = _sections(text, int(_SECTION_PASSAGES * max_tokens * _CHARACTERS_PER_TOKEN))
    fits, known = _fits_whole(text, tokenizer, limit, to_the_end=len(sections) == 1)
    if fits:
        return [Passage(0, len(text))]
    passages: list[Passage] = []
    for section in sections:
        origin, spans = 0, known
        if spans is None:
            origin, spans = _tokens_around(text, section, tokenizer, max_tokens, overlap_tokens)
        splitter = _Splitter(text[origin : section.end], spans, tokenizer, max_tokens, overlap_tokens, limit)
        found = [Passage(origin + p.start, origin + p.end) for p in splitter.passages_behind(section.start - origin)]
        # The last passage of a section may be so short that it lies within what the next section shares with it.
        while passages and passages[-1].start >= found[0].start:
            passages.pop()
        passages += found
    return passages


def _sections(text: str, length: int) -> list[Passage]:
    """Pieces of at most `length` code points, half as many more for the last, that end where a passage might."""
    ends = [0]
    while len(text) - ends[-1] > length + length // 2:
        latest = ends[-1] + length
        ends.append(_section_end(text, latest - length // 8, latest))
    return [Passage(start, end) for start, end in pairwise([*ends, len(text)])]


def _section_end(text: str, earliest: int, latest: int) -> int:
    for pattern in (SENTENCE_END, _WHITE_SPACE):
        for match in reversed(list(pattern.finditer(text, earliest, latest))):
            end = match.start() + len(match.group().rstrip())
            if end > earliest:
                return end
    return _character_border(text, latest, max(earliest, latest - _MAX_GRAPHEME))


def _tokens_around(
    text: str, section: Passage, tokenizer: PassageTokenizer, max_tokens: int, overlap_tokens: int
) -> tuple[int, npt.NDArray[np.int64]]:
    """Where to begin to have at least what passages share in front of a section, and the tokens from there to its end.

    Returns:
        A position in the text, and spans of the tokens after it, relative to it.
    """
    length = int(max_tokens * _CHARACTERS_PER_TOKEN) if overlap_tokens else 0
    while True:
        origin = max(0, section.start - length)
        spans = tokenizer.token_spans(text[origin : section.end])
        in_front = np.searchsorted(spans[:, 0], section.start - origin)
        if in_front > 2 * overlap_tokens or not origin or not length:
            return origin, spans
        length *= 2


def _fits_whole(
    text: str, tokenizer: PassageTokenizer, limit: int, to_the_end: bool
) -> tuple[bool, npt.NDArray[np.int64] | None]:
    """Whether a text takes at most `limit` tokens.

    Args:
        text: a document's text.
        tokenizer: gives spans of tokens in code points.
        limit: tokens of the text alone, without the prompt around it.
        to_the_end: whether to tokenise all of it, or no more than it must.

    Returns:
        The answer; and the spans of all tokens, if all of it was to be tokenised.
    """
    length = len(text) if to_the_end else int(limit * _CHARACTERS_PER_TOKEN * _MARGIN) + 16
    while True:
        spans = tokenizer.token_spans(text[:length])
        whole = length >= len(text)
        if len(spans) > limit + _BARE_SLACK:
            return False, spans if to_the_end else None
        if whole:
            fits = len(spans) <= limit - _BARE_SLACK or tokenizer.count_tokens([text])[0] <= limit
            return fits, spans if to_the_end else None
        length *= 2


def _character_border(text: str, position: int, earliest: int) -> int:
    """The last position up to `position` and after `earliest` that cuts no character, else `position`."""
    for border in range(position, earliest, -1):
        if not cuts_character(text, border):
            return border
    return position


class _Splitter:
    """Splits one text, whose tokens are known."""

    def __init__(
        self,
        text: str,
        spans: npt.NDArray[np.int64],
        tokenizer: PassageTokenizer,
        max_tokens: int,
        overlap_tokens: int,
        limit: int,
    ) -> None:
        self.text = text
        self.tokenizer = tokenizer
        self.max_tokens = max_tokens
        self.overlap_tokens = overlap_tokens
        self.limit = limit
        self.begins: list[int] = spans[:, 0].tolist()
        self.ends: list[int] = spans[:, 1].tolist()

    def passages_behind(self, covered: int) -> list[Passage]:
        """Passages from `covered` to the text's end; the first shares what it should with what is covered.

        Args:
            covered: a place that the passages of the section before reach; 0 for none.
        """
        last = Passage(0, covered)
        passages: list[Passage] = []
        while last.end < len(self.text):
            start = self.overlap_start(last)
            following = self.passage(start, last.end)
            if following.end <= last.end:  # the overlap filled the passage: go on without it
                following = self.passage(last.end, last.end)
            passages.append(following)
            last = following
        return passages

    def passage(self, start: int, covered: int) -> Passage:
        """The passage that begins at `start` and reaches beyond `covered` where it can."""
        budget = self.max_tokens
        end = len(self.text)
        for _ in range(_TRIES):
            end = self._border(start, covered, budget)
            if 2 * self.max_tokens <= self.limit:
                return Passage(start, end)
            tokens = self._count(start, end)
            if tokens <= self.limit:
                return Passage(start, end)
            budget = max(1, budget - max(1, tokens - self.limit))
        return Passage(start, self._largest_that_fits(start, end))

    def overlap_start(self, last: Passage) -> int:
        """Where the passage after `last` begins: `overlap_tokens` before its end, then back to a sentence or word."""
        first, stop = bisect_right(self.begins, last.start), bisect_left(self.begins, last.end)
        inside = stop - first  # tokens that begin within the last passage
        if not self.overlap_tokens or inside <= 0:
            return last.end
        latest = self.begins[stop - min(inside, self.overlap_tokens)]
        spare = max(0, self.max_tokens - 2 * self.overlap_tokens) // 4
        most = self.overlap_tokens + min(self.overlap_tokens, spare)
        earliest = max(last.start + 1, self.begins[stop - min(inside, most)])
        for pattern in (SENTENCE_END, _WHITE_SPACE):
            borders = [match.end() for match in pattern.finditer(self.text, earliest, latest)]
            if borders:
                return borders[-1]
        return _character_border(self.text, latest, earliest)

    def _border(self, start: int, covered: int, budget: int) -> int:
        """The best cut in the second half of `budget` tokens from `start`, and well after `covered`."""
        first = bisect_right(self.ends, start)
        if first + budget >= len(self.ends):
            return len(self.text)
        reach = max(start + 1, self.ends[first + budget - 1])
        earliest = max(self.begins[first + budget // 2], covered + max(0, reach - covered) // 4)
        for pattern in (SENTENCE_END, _WHITE_SPACE):
            # One character more, so that white space right after the last token counts; the passage ends before it.
            for match in reversed(list(pattern.finditer(self.text, earliest, min(len(self.text), reach + 1)))):
                end = match.start() + len(match.group().rstrip())
                if earliest < end <= reach:
                    return end
        return _character_border(self.text, reach, max(earliest, reach - _MAX_GRAPHEME))

    def _count(self, start: int, end: int) -> int:
        return self.tokenizer.count_tokens([self.text[start:end]])[0]

    def _largest_that_fits(self, start: int, end: int) -> int:
        """By bisection, for tokenizers whose token spans say nothing about sizes; at least one code point."""
        low, high = start + 1, end
        while low < high:
            middle = (low + high + 1) // 2
            if self._count(start, middle) <= self.limit:
                low = middle
            else:
                high = middle - 1
        return low
