"""Units of offsets: the same numbers mean other positions in a file with CRLF, with a byte order mark, or in UTF-16.

Converts claims (offsets with the text that they should have) to code points. The unit is the first one under which
every claim of a document is true; if there is none, the message names the first claim that is not true under the unit
that fits most of them.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Final

from uniner_dist.errors import ConfigError
from uniner_dist.formats.gold_document import ReadingNotes


@dataclass(frozen=True, slots=True)
class Claim:
    """A mention as a file has it.

    Args:
        start: offset of its first unit; `place_claims` finds out which unit the file counts.
        end: offset one past its last unit.
        said: its text according to the file; None where the file has none.
        where: file and line, or task, for messages.
    """

    start: int
    end: int
    said: str | None
    where: str


def _one(text: str) -> list[int]:
    return [1] * len(text)


def _utf16(text: str) -> list[int]:
    return [2 if character > "\uffff" else 1 for character in text]


def _line_feeds(text: str) -> list[int]:
    """CR LF counts as one character, as in files that were read in text mode."""
    return [0 if text[at : at + 2] == "\r\n" else 1 for at in range(len(text))]


def _line_breaks(text: str) -> list[int]:
    """A line break counts as two characters, as where the text had the line breaks of Windows before."""
    return [2 if character == "\n" else 1 for character in text]


def _utf8(text: str) -> list[int]:
    return [len(character.encode("utf-8", "surrogatepass")) for character in text]


Widths = Callable[[str], list[int]]

#: Units: width of a code point, width of what precedes the text, and name.
_SYSTEMS: Final[Sequence[tuple[Widths, int, str]]] = (
    (_one, 0, ""),
    (_utf16, 0, "UTF-16 units"),
    (_one, 1, "a byte order mark before the text"),
    (_line_feeds, 0, "CR LF as one character"),
    (_line_feeds, 1, "CR LF as one character, and a byte order mark"),
    (_line_breaks, 0, "line breaks as two characters"),
    (_utf8, 0, "bytes of UTF-8"),
)
#: Of these, the ones that are accepted where only the length of the text confirms them.
_WITHOUT_WORDS: Final = 2


def place_claims(
    text: str, claims: Sequence[Claim], notes: ReadingNotes | None = None, *, marked: bool = False
) -> list[dict[str, Any]]:
    """Return an entity (`text`, `start`, `end` in code points) for each claim, in their order.

    Args:
        text: text of the document, without a byte order mark.
        claims: spans as the file gives them, in whatever unit it counts.
        notes: receives the unit, where it is not code points; None: it is not noted.
        marked: whether a byte order mark was in front of the text in its file; offsets may count it.

    Raises:
        ConfigError: there is no unit under which all of them are true.
    """
    if not claims:
        return []
    systems = _SYSTEMS if any(claim.said is not None for claim in claims) else _SYSTEMS[:_WITHOUT_WORDS]
    best: tuple[int, Claim, list[int] | None] | None = None
    for widths, before, name in systems:
        if before and not marked:
            continue
        borders = list(accumulate(widths(text), initial=before)) if name else None
        places = [_place(text, claim, borders) for claim in claims]
        found = [place for place in places if place is not None]
        if len(found) == len(claims):
            if name and notes is not None:
                notes.count(f"documents whose offsets count {name}")
            return [{"text": text[start:end], "start": start, "end": end} for start, end in found]
        if best is None or len(found) > best[0]:
            best = len(found), claims[places.index(None)], borders
    assert best is not None
    raise ConfigError(f"gold {best[1].where}: {_complaint(text, best[1], best[2])}")


def _place(text: str, claim: Claim, borders: Sequence[int] | None) -> tuple[int, int] | None:
    """The span in code points, None if it is not in the text or has another text; `borders` None: code points."""
    start, end = claim.start, claim.end
    if borders is not None:
        begin, stop = (_code_point(borders, offset) for offset in (start, end))
        if begin is None or stop is None:
            return None
        start, end = begin, stop
    if not 0 <= start < end <= len(text):
        return None
    if claim.said is not None and not _same(text[start:end], claim.said):
        return None
    return start, end


def _code_point(borders: Sequence[int], offset: int) -> int | None:
    """The code point that begins at an offset; None: the offset is inside one, or beyond the text."""
    found = bisect_left(borders, offset)
    return found if found < len(borders) and borders[found] == offset else None


def _same(text: str, said: str) -> bool:
    """Whether a slice equals the claimed text except for white space, which browsers and tools change."""
    if text == said:
        return True
    bare = "".join(text.split())
    return bare in ("".join(said.split()), "".join(said.replace("\\n", "\n").replace("\\t", "\t").split()))


def _complaint(text: str, claim: Claim, borders: Sequence[int] | None) -> str:
    start, end = (offset if borders is None else _code_point(borders, offset) for offset in (claim.start, claim.end))
    offsets = f"offsets {claim.start} to {claim.end}"
    if start is None or end is None or not 0 <= start < end <= len(text):
        return f"{offsets} are not in the text of {len(text)} characters"
    return f"{offsets} are {text[start:end]!r} in the text, not {claim.said!r}"
