"""What a character is to a reader: part of a word, part of the character before it, or neither.

Word and character borders for locating mentions and splitting texts, from Unicode properties of the standard library
alone. All positions are code points. Pure; no I/O.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import Final

ZERO_WIDTH_JOINER: Final = "\u200d"

#: Scripts that write words without spaces between them, or (Korean) glue particles to names: no word borders there.
#: Ranges of code points, ends included, in ascending order.
_UNSPACED: Final = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x0F00, 0x0FFF),  # Tibetan
    (0x1000, 0x109F),  # Myanmar
    (0x1100, 0x11FF),  # Hangul jamo
    (0x1780, 0x17FF),  # Khmer
    (0x1950, 0x19DF),  # Tai Le, New Tai Lue
    (0x1A20, 0x1AAF),  # Tai Tham
    (0x1B00, 0x1B7F),  # Balinese
    (0x2E80, 0x31FF),  # CJK radicals, kana, bopomofo, compatibility jamo
    (0x3400, 0x9FFF),  # Han
    (0xA960, 0xA9DF),  # Hangul jamo extended, Javanese
    (0xAA60, 0xAADF),  # Myanmar extended, Tai Viet
    (0xAC00, 0xD7FF),  # Hangul syllables
    (0xF900, 0xFAFF),  # Han compatibility
    (0xFF66, 0xFFDC),  # half-width kana and jamo
    (0x1B000, 0x1B16F),  # kana supplements
    (0x20000, 0x3FFFF),  # Han extensions
)

#: Characters without a glyph that occur inside words: soft hyphen, joiners, marks of direction, byte order mark. Not
#: the zero-width space, which is put between words, nor the non-joiner: in Persian it sets off endings like a hyphen.
_INVISIBLE: Final = (
    "\u00ad\u061c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e"
    "\u2060\u2061\u2062\u2063\u2064\u2066\u2067\u2068\u2069\ufeff"
)

#: What is passed over to see whether words are on both sides of a border.
_JOINERS: Final = "_" + _INVISIBLE

_REGIONAL_INDICATORS: Final = "".join(map(chr, range(0x1F1E6, 0x1F200)))
#: Flags are pairs of regional indicators; to find the parity of a longer run only this many are looked at. As many
#: invisible characters and underscores are passed over to see what is at a border.
_LOOK_BACK: Final = 64


def visible(text: str, keep: str = "") -> str:
    """Return `text` with a blank for each character that a terminal obeys: line breaks, escape codes, bidi marks.

    The number of characters stays the same.

    Args:
        text: any text, such as a label or a path from somebody else's file.
        keep: characters that stay although they are not printable, such as the line break of a message of ours; none by
            default.
    """
    return "".join(char if char.isprintable() or char in keep else " " for char in text)


def is_variation_selector(character: str) -> bool:
    """Return True for the characters that only choose a glyph (text or emoji form of a symbol).

    Args:
        character: one code point.
    """
    return "\ufe00" <= character <= "\ufe0f" or "\U000e0100" <= character <= "\U000e01ef"


@lru_cache(maxsize=65536)
def is_word_character(character: str) -> bool:
    """Return True for letters, digits, marks and the underscore of scripts that put spaces between words.

    Args:
        character: one code point. Those of scripts without such spaces (`_UNSPACED`), variation selectors and the
            combining keycap U+20E3 are no word characters.
    """
    if character.isascii():
        return character.isalnum() or character == "_"
    code = ord(character)
    if unicodedata.category(character)[0] not in "LNM" or is_variation_selector(character) or code == 0x20E3:
        return False
    return not any(first <= code <= last for first, last in _UNSPACED)


@lru_cache(maxsize=65536)
def is_extender(character: str) -> bool:
    """Return True for what belongs to the character before it.

    That is: marks, variation selectors, skin tones, the joiner, later jamo of a syllable, tags of flags.

    Args:
        character: one code point.
    """
    if character < "\u0300":
        return False
    code = ord(character)
    return (
        unicodedata.category(character)[0] == "M"
        or character == ZERO_WIDTH_JOINER
        or 0x1F3FB <= code <= 0x1F3FF
        or 0x1160 <= code <= 0x11FF
        or 0xD7B0 <= code <= 0xD7FF
        or 0xE0020 <= code <= 0xE007F
    )


def is_inside(text: str, position: int) -> bool:
    """Return True if a border at `position` would be inside a word or inside what a reader sees as one character.

    The same as `cuts_word(...) or cuts_character(...)`, faster for ASCII.

    Args:
        text: the whole text; what surrounds the border decides.
        position: code points before the border. The beginning and the end of the text are inside nothing.
    """
    if not 0 < position < len(text):
        return False
    before, after = text[position - 1], text[position]
    if before.isascii() and after.isascii() and before != "_" != after:  # the same, sooner
        return (before.isalnum() and after.isalnum()) or (after == "\n" and before == "\r")
    return cuts_word(text, position) or cuts_character(text, position)


def cuts_word(text: str, position: int) -> bool:
    """Return True if a border at `position` would be inside a word: word characters on both sides.

    Invisible characters are passed over, as in rule WB4 of Unicode's word borders (UAX #29): a soft hyphen makes no
    word of the "east" in "l\u00adeast". So are underscores: they join the words on both sides of them (`my_name`), and
    where there is none on one side they are decoration (`_Pequod_`, `____John Doe____`).

    Args:
        text: the whole text; up to 64 code points on each side of the border are looked at.
        position: code points before the border. The beginning and the end of the text are inside nothing.
    """
    if not 0 < position < len(text):
        return False
    before, after = text[position - 1], text[position]
    if before in _JOINERS:
        before = text[max(0, position - _LOOK_BACK) : position].rstrip(_JOINERS)[-1:]
    if after in _JOINERS:
        after = text[position : position + _LOOK_BACK].lstrip(_JOINERS)[:1]
    return bool(before and after) and is_word_character(before) and is_word_character(after)


def cuts_character(text: str, position: int) -> bool:
    """Return True if a border at `position` would split what a reader sees as one character.

    A simplification of Unicode's extended grapheme clusters (UAX #29): combining marks, variation selectors, emoji
    joined by U+200D, skin tones, conjoining jamo, flags and CR LF are kept whole.

    Args:
        text: the whole text; up to 64 code points before the border are looked at.
        position: code points before the border. The beginning and the end of the text split nothing.
    """
    if not 0 < position < len(text):
        return False
    before, after = text[position - 1], text[position]
    if after < "\u0300":
        return after == "\n" and before == "\r"
    if before.isspace():
        return False  # a mark without a character: white space is never part of one
    if is_extender(after) or before == ZERO_WIDTH_JOINER:
        return True
    if after in _REGIONAL_INDICATORS and before in _REGIONAL_INDICATORS:
        preceding = text[max(0, position - _LOOK_BACK) : position]
        return (len(preceding) - len(preceding.rstrip(_REGIONAL_INDICATORS))) % 2 == 1
    return False
