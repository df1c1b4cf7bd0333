"""Where mentions are in a text.

Takes a text and the strings that the model named; returns entities with code-point offsets. A found mention is always a
slice of the text itself: `text[start:end] == entity.text`. Nothing is dropped: a mention that is nowhere is returned
without offsets. Pure; no I/O.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, pairwise
from typing import Final, NamedTuple

from uniner_dist.core.characters import is_extender, is_inside, is_word_character

#: How a mention was found, strictest first. "canonical": equal except for Unicode composition and variation selectors.
#: "typographic": equal except for what a keyboard, a typesetter or a font makes of the same characters.
MATCHES: Final = ("exact", "canonical", "whitespace", "case", "typographic", "absent")

_NOT_SPACE = re.compile(r"\S")
#: Characters that look alike → one of them; those that are not seen → none. Before compatibility decomposition, which
#: would make a space and an accent of an acute accent that is used as a quote.
_TYPOGRAPHY: Final = str.maketrans(
    dict.fromkeys("`´‘’‚‛′‵ʹʻʼʽˈ‹›＇", "'")
    | dict.fromkeys("“”„‟″‶ʺ«»〝〞〟＂", '"')
    | dict.fromkeys("‐‑‒–—―⁃−﹘﹣－➖", "-")
    | dict.fromkeys("\u00ad\u200b\u2060\ufeff", "")
)
_VARIATION_SELECTORS = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]")


class Entity(NamedTuple):
    """One place of one mention.

    Args:
        text: the mention as it is in the text; as the model wrote it when it is nowhere.
        start: offset of its first code point; None when it is nowhere.
        end: offset after its last code point; None when it is nowhere.
        match: one of `MATCHES`.
        score: confidence in [0, 1], None when not computed.
    """

    text: str
    start: int | None
    end: int | None
    match: str
    score: float | None = None


def locate_mentions(text: str, mentions: Sequence[str], scores: Sequence[float | None] | None = None) -> list[Entity]:
    """Locate every occurrence of every mention in `text`.

    For each mention the first of these rules that finds it anywhere gives all its occurrences:

    - "exact": the same code points.
    - "canonical": the same after Unicode canonical decomposition, and without variation selectors (NFC and NFD agree).
    - "whitespace": also, any run of white space equals any other, white space around the mention does not count, nor
      does white space next to a character that is no letter or digit ("U.S." finds "U . S .").
    - "case": also, case does not matter (full case folding: "STRASSE" finds "Straße").
    - "typographic": also, what looks alike is alike: kinds of quotes, kinds of hyphens and dashes, full and half width,
      ligatures and other compatibility characters, invisible soft hyphens ("O’Hara" finds "O'Hara").
    - "absent": it is nowhere; start and end are None, the text is the mention as answered.

    An occurrence never begins or ends inside a word: not between two letters, digits or marks of scripts that put
    spaces between words, so "east" is not found in "least". Underscores belong to a word only where they join two:
    there is a "Pequod" in "_Pequod_" and none in "my_Pequod_id". Where a mention begins or ends with another
    character, or meets a script without spaces between words (Chinese, Japanese, Thai, Korean with its particles...),
    that border is free. Nor does it cut what a reader sees as one character: an accent, a joined emoji or a flag is
    in or out as a whole.

    Occurrences of one mention do not overlap each other (leftmost first); those of different mentions may, and all
    are kept. When two mentions claim the same place, the stricter match is kept.

    Time is linear in the text for each mention, whatever the text repeats.

    Args:
        text: the text exactly as it was asked about.
        mentions: what the model answered; repeats count once.
        scores: confidence of each mention in [0, 1], in the same order and number; of a repeated mention the first
            counts. They are handed on to the entities. None for none at all.

    Returns:
        The located entities sorted by (start, end), then the absent ones in the order of `mentions`.
    """
    if scores is None and len(mentions) == 1:  # nearly all answers that name anything: nothing to sort
        found = _exact_places(text, mentions[0]) if mentions[0] and not mentions[0].isspace() else []
        if found:
            return [Entity(mentions[0], start, end, "exact") for start, end in found]
    places: dict[tuple[int, int], Entity] = {}
    absent: list[Entity] = []
    folded = _FoldedText(text)
    score_of = dict(zip(reversed(mentions), reversed(scores), strict=True)) if scores is not None else {}
    for mention in dict.fromkeys(mentions):
        score = score_of.get(mention)
        found, match = _find(folded, mention)
        if not found:
            absent.append(Entity(mention, None, None, "absent", score))
        for start, end in found:
            known = places.get((start, end))
            if known is None or MATCHES.index(match) < MATCHES.index(known.match):
                places[start, end] = Entity(text[start:end], start, end, match, score)
    return [places[place] for place in sorted(places)] + absent


def fold_mention(mention: str) -> str:
    """Return the form under which two mentions are the same by the loosest rule, "typographic".

    Args:
        mention: a mention as the model wrote it or as the text has it.
    """
    return _fold(mention, "typographic").string


def _find(folded: _FoldedText, mention: str) -> tuple[list[tuple[int, int]], str]:
    """All places of `mention` by the strictest rule that finds any, and the rule's name."""
    if mention.isspace() or not mention:
        return [], "absent"
    text = folded.text
    found = _exact_places(text, mention)
    if found:
        return found, "exact"
    if folded.may_contain(mention):
        for rule in MATCHES[1:-1]:
            found = folded.places(mention, rule)
            if found:
                return found, rule
    return [], "absent"


def _exact_places(text: str, mention: str) -> list[tuple[int, int]]:
    """Places of the very same code points that cut neither a word nor a character, leftmost first, not overlapping."""
    length = len(mention)
    first = text.find(mention)
    if first == -1 or text.find(mention, first + 1) == -1:
        return [(first, first + length)] if first != -1 and is_whole(text, first, first + length) else []
    return _disjoint(
        (start, start + length) for start in _occurrences(text, mention) if is_whole(text, start, start + length)
    )


def is_whole(text: str, start: int, end: int) -> bool:
    """Return True if neither border of `text[start:end]` is inside a word or what a reader sees as one character.

    Args:
        text: the whole text, not only the slice.
        start: code-point offset of the slice's first character.
        end: code-point offset after the slice's last character.
    """
    return not (is_inside(text, start) or is_inside(text, end))


def _disjoint(places: Iterator[tuple[int, int]]) -> list[tuple[int, int]]:
    kept: list[tuple[int, int]] = []
    for start, end in places:
        if not kept or start >= kept[-1][1]:
            kept.append((start, end))
    return kept


def _occurrences(text: str, pattern: str) -> Iterator[int]:
    """Every start of `pattern` in `text`, overlapping ones too, in linear time.

    `str.find` is fastest but pays for the pattern at every hit; where hits of a long pattern crowd, the rest is
    searched by Knuth, Morris and Pratt's algorithm (SIAM J. Comput. 6, 1977), which reads each character once.
    """
    budget = 8 * len(text) + 100_000
    start = text.find(pattern)
    while start != -1:
        yield start
        budget -= len(pattern)
        if budget < 0:
            yield from _occurrences_by_kmp(text, pattern, start + 1)
            return
        start = text.find(pattern, start + 1)


def _occurrences_by_kmp(text: str, pattern: str, begin: int) -> Iterator[int]:
    failure = [0] * len(pattern)
    matched = 0
    for index in range(1, len(pattern)):
        while matched and pattern[index] != pattern[matched]:
            matched = failure[matched - 1]
        matched += pattern[index] == pattern[matched]
        failure[index] = matched
    matched = 0
    for index in range(begin, len(text)):
        while matched and text[index] != pattern[matched]:
            matched = failure[matched - 1]
        matched += text[index] == pattern[matched]
        if matched == len(pattern):
            yield index - len(pattern) + 1
            matched = failure[matched - 1]


class _FoldedText:
    """A text with its folded forms, computed when first needed: most texts need none."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._forms: dict[str, _Folded] = {}
        self._squeezed: str | None = None

    def may_contain(self, mention: str) -> bool:
        """False only if no rule can find `mention`; cheap."""
        if self._squeezed is None:
            self._squeezed = _squeeze(self.text)
        return _squeeze(mention) in self._squeezed

    def places(self, mention: str, rule: str) -> list[tuple[int, int]]:
        """Places of `mention` under one of the `MATCHES` between the first and the last; they cut nothing."""
        pattern = _fold(mention, rule).string
        if not pattern:
            return []
        form = self._forms.get(rule)
        if form is None:
            form = self._forms[rule] = _fold(self.text, rule)
        found = (form.place(start, start + len(pattern)) for start in _occurrences(form.string, pattern))
        return _disjoint(place for place in found if place is not None and is_whole(self.text, *place))


@dataclass(frozen=True)
class _Folded:
    """A folded string made of pieces, each of which represents one slice of the original.

    Args:
        string: the folded string.
        borders: where each piece begins in `string`, ascending, and its length at the end.
        slices: the slice of the original that each piece represents.
    """

    string: str
    borders: list[int]
    slices: list[tuple[int, int]]

    def place(self, start: int, end: int) -> tuple[int, int] | None:
        """The slice of the original that `string[start:end]` represents, or None if it cuts a piece."""
        first, stop = bisect_left(self.borders, start), bisect_left(self.borders, end)
        if self.borders[first] != start or self.borders[stop] != end:
            return None
        return self.slices[first][0], self.slices[stop - 1][1]


def _fold(text: str, rule: str) -> _Folded:
    """`text` in the form in which strings equal under `rule` are the same string."""
    loose = rule != "canonical"
    decompose = {"case": _fold_case, "typographic": _fold_typography}.get(rule, _decompose)
    pieces: list[str] = []
    slices: list[tuple[int, int]] = []
    for start, end in _characters(text):
        character = text[start:end]
        if loose and character.isspace():
            piece = " " if _separates_words(text, start) else ""
        else:
            piece = decompose(character)
        if piece:
            pieces.append(piece)
            slices.append((start, end))
    return _Folded("".join(pieces), [0, *accumulate(map(len, pieces))], slices)


def _characters(text: str) -> Iterator[tuple[int, int]]:
    """Slices of `text`, each one character with the marks that extend it."""
    starts = [
        index
        for index, character in enumerate(text)
        if not is_extender(character) or index == 0 or text[index - 1].isspace()
    ]
    if not starts:
        return iter(())
    return pairwise([*starts, len(text)])


def _separates_words(text: str, start: int) -> bool:
    """True if white space at `start` is the first of a run that is between two word characters."""
    if start == 0 or not is_word_character(text[start - 1]):
        return False
    following = _NOT_SPACE.search(text, start)
    return following is not None and is_word_character(following.group())


@lru_cache(maxsize=65536)
def _decompose(character: str) -> str:
    """Canonical decomposition without variation selectors, unless there is nothing else."""
    decomposed = unicodedata.normalize("NFD", character)
    return _VARIATION_SELECTORS.sub("", decomposed) or decomposed


@lru_cache(maxsize=65536)
def _fold_case(character: str) -> str:
    """Canonical caseless matching (Unicode 3.13, D145)."""
    return unicodedata.normalize("NFD", _decompose(character).casefold())


@lru_cache(maxsize=65536)
def _fold_typography(character: str) -> str:
    """Compatibility caseless matching (Unicode 3.13, D146), with one kind of quotes and one of hyphens."""
    return _typographic(character)


def _typographic(text: str) -> str:
    decomposed = _VARIATION_SELECTORS.sub("", unicodedata.normalize("NFKD", text.translate(_TYPOGRAPHY)))
    return unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", decomposed.casefold()).translate(_TYPOGRAPHY))


def _squeeze(text: str) -> str:
    """A form that is the same for all strings equal under any rule, made without a loop in Python.

    A mention whose squeezed form is not in that of the text is absent: no need to fold the text.
    """
    if text.isascii():
        return "".join(text.split()).lower().replace("`", "'")
    return "".join(_typographic(text).split())
