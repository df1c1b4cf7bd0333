"""From what the model wrote to a list of mentions and an outcome.

The authors' parser comes first: what it accepts gives the same strings here. Beyond it only repairs with a single
possible reading are made, and each is named, so that nobody takes a guess for an answer. Nothing here raises, and the
time is linear in the length of the output. Pure; no I/O.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from uniner_dist.core.outcomes import Outcome

#: Repairs, in the order in which they are joined by "+" when one output needs several.
LEADING_WORDS: Final = "leading_words"  # words before the list
TUPLE: Final = "tuple"  # round brackets instead of square ones
SINGLE_QUOTES: Final = "single_quotes"  # Python's quoting
LENIENT_JSON: Final = "lenient_json"  # "]" or line breaks inside, raw control characters, unknown escapes, last comma
NON_STRING_ITEMS: Final = "non_string_items"  # numbers kept as spelled; null, true, false, lists and objects left out
SURROGATES: Final = "surrogates"  # half a UTF-16 pair, which no text can contain, became U+FFFD
CUT_OFF: Final = "cut_off"  # the list has no end: its complete items were kept
REPAIRS: Final = (LEADING_WORDS, TUPLE, SINGLE_QUOTES, LENIENT_JSON, NON_STRING_ITEMS, SURROGATES, CUT_OFF)

# A list of strings as nearly every answer spells it: nothing in them that JSON or the authors' parser reads as special.
_PLAIN_LIST = re.compile(r'\["[^"\\\]\x00-\x1f\ud800-\udfff]*+"(?:, "[^"\\\]\x00-\x1f\ud800-\udfff]*+")*+\]')
_DOUBLE_QUOTED = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
# An apostrophe inside single quotes closes the item only in front of a comma or a closing bracket: 'O'Neil' is one.
_SINGLE_QUOTED = re.compile(r"'[^'\\]*+(?:(?:\\.|'(?!\s*+[,\])]))[^'\\]*+)*+'(?=\s*+[,\])])", re.DOTALL)
_BARE_ITEM = re.compile(r"[-+.\w]++")
_NUMBER = re.compile(r"-?\d++(?:\.\d++)?+(?:[eE][-+]?\d++)?+")
_CONSTANTS: Final = frozenset({"null", "true", "false", "None", "True", "False", "NaN", "Infinity", "-Infinity"})
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|.)", re.DOTALL)
_ESCAPED: Final = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "\n": ""}
_SURROGATE = re.compile("[\ud800-\udfff]")
_SPACE = re.compile(r"\s*+")
_WORD = re.compile(r"\w")
_NESTED_TOKEN = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[\[({\])}]', re.DOTALL)
_CLOSING: Final = {"[": "]", "(": ")"}


class Parsed(NamedTuple):
    """One answer, read.

    Args:
        mentions: the strings the model named, as it wrote them, each once, in order of first appearance.
        outcome: `FOUND`, `NONE`, `TRUNCATED` or `UNPARSEABLE`.
        repair: names of the rules beyond the authors' parser that were needed, joined by "+"; None when none.
    """

    mentions: tuple[str, ...]
    outcome: Outcome
    repair: str | None = None


_EMPTY_ANSWER: Final = Parsed((), Outcome.NONE)
_UNPARSEABLE: Final = Parsed((), Outcome.UNPARSEABLE)


@dataclass
class _List:
    """A list as scanned: its string items, where the scan stopped, and which repairs it took."""

    items: list[str] = field(default_factory=list)
    end: int = 0
    closed: bool = False
    cut: bool = False  # the output ended inside the list
    left_out: bool = False  # an item that is no string and no number was dropped
    repairs: set[str] = field(default_factory=set)

    @property
    def quoted_only(self) -> bool:
        return NON_STRING_ITEMS not in self.repairs


def parse_output(output: str, finish_reason: str | None = None) -> Parsed:
    """Read one output of the model. Never raises; linear time.

    Rules, first match wins (white space around the output never matters, as in the authors' script):

    1. The authors' parser: the output starts with `[`, the first `]` closes it, what lies between is on one line and
       is JSON, and every item is a string. What follows the list is ignored. No repair.
    2. The same list read to its true end: `]` or line breaks inside, raw control characters and unknown escapes in
       strings, a comma after the last item (`lenient_json`); single quotes (`single_quotes`); round brackets
       (`tuple`). Numbers are kept as spelled; other items that are no strings are left out (`non_string_items`);
       if nothing else is there, the answer is unparseable.
    3. A list that the output ends inside of: complete items are kept, outcome `TRUNCATED` (`cut_off`).
    4. A list of quoted strings after leading words (`leading_words`), if it is the only one (or all agree).
    5. Otherwise `UNPARSEABLE`, or `TRUNCATED` when the engine stopped at its token limit before any list began.

    Args:
        output: what the model wrote, without the prompt.
        finish_reason: the engine's "stop" or "length"; decides only rule 5.

    Returns:
        The mentions that the output lists, its outcome, and the repairs that reading it took.
    """
    answer = output.strip()
    if answer == "[]":
        return _EMPTY_ANSWER
    if _PLAIN_LIST.fullmatch(answer):  # rule 1, sooner
        return Parsed(tuple(dict.fromkeys(answer[2:-2].split('", "'))), Outcome.FOUND)
    official = official_items(answer)
    if official is not None:
        return _parsed(official, set(), cut=False)
    scanned = _leading_list(answer) or _after_leading_words(answer)
    if scanned is None:
        return _no_list(answer, finish_reason)
    if scanned.left_out and not scanned.items and scanned.closed:
        return Parsed((), Outcome.UNPARSEABLE, NON_STRING_ITEMS)
    return _parsed(scanned.items, scanned.repairs, cut=scanned.cut)


def official_items(answer: str) -> list[str] | None:
    r"""Return the strings of `answer` if the authors' parser accepts it, else None (where theirs takes an empty list).

    Their rule (`src/eval/evaluate.py` of the repository): `\[(.*?)\]` from the first character, so the first `]` ends
    the list and no line break is before it, read as JSON; an item that is no string discards the whole answer.
    No white space is stripped here.

    Args:
        answer: what the model wrote, without the prompt, and without white space in front of the list.
    """
    if not answer.startswith("["):
        return None
    end = answer.find("]") + 1
    if end == 0 or "\n" in (body := answer[:end]):
        return None
    try:
        items = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return items if all(isinstance(item, str) for item in items) else None


def _parsed(items: Iterable[str], repairs: set[str], *, cut: bool) -> Parsed:
    """An answer from its items: repeats dropped, broken surrogates replaced, repairs named."""
    mentions = list(dict.fromkeys(items))
    if any(_SURROGATE.search(mention) for mention in mentions):
        mentions = list(dict.fromkeys(_SURROGATE.sub("\ufffd", mention) for mention in mentions))
        repairs = repairs | {SURROGATES}
    if cut:
        repairs = repairs | {CUT_OFF}
    repair = "+".join(name for name in REPAIRS if name in repairs) or None
    if cut:
        return Parsed(tuple(mentions), Outcome.TRUNCATED, repair)
    return Parsed(tuple(mentions), Outcome.FOUND if mentions else Outcome.NONE, repair)


def _no_list(answer: str, finish_reason: str | None) -> Parsed:
    """Words without a usable list: the token limit may have cut them off before the list came."""
    if finish_reason == "length" and "[" not in answer:
        return Parsed((), Outcome.TRUNCATED, None)
    return _UNPARSEABLE


def _leading_list(answer: str) -> _List | None:
    """The list at the start of `answer`, or None if there is none.

    Items that are no strings count only if nothing follows the list: "[1] names ..." is a reference.
    """
    if answer[:1] not in _CLOSING:
        return None
    scanned = _scan(answer, 0)
    if not (scanned.closed or scanned.cut):
        return None
    if not scanned.quoted_only and _WORD.search(answer, scanned.end):
        return None
    if scanned.closed and not scanned.repairs:  # a list the authors' parser refuses, so the repair must have a name
        scanned.repairs.add(LENIENT_JSON)
    return scanned


def _after_leading_words(answer: str) -> _List | None:
    """The one list of quoted strings in `answer` after other words, or None if there is none or several disagree.

    Each failed try resumes where it failed, not one character on: that keeps the search linear.
    """
    found: _List | None = None
    position = answer.find("[")
    while position != -1:
        scanned = _scan(answer, position)
        if scanned.items and not (scanned.closed or scanned.cut):
            return None  # a list that breaks off in the middle: what belongs to it is a guess
        usable = (scanned.closed or (scanned.cut and scanned.items)) and scanned.quoted_only
        if usable and not (position and answer[position - 1].isalnum()):
            if found is not None and found.items != scanned.items:
                return None
            found = found or scanned
        position = answer.find("[", max(scanned.end, position + 1))
    if found is not None:
        found.repairs.add(LEADING_WORDS)
    return found


def _scan(answer: str, start: int) -> _List:
    """Read the list whose opening bracket is at `start`; neither `closed` nor `cut` means that it is no list."""
    bracket = answer[start]
    scanned = _List(repairs={TUPLE} if bracket == "(" else set())
    closing = _CLOSING[bracket]
    position = _skip_space(answer, start + 1)
    while position < len(answer):
        if answer[position] == closing:
            scanned.end, scanned.closed = position + 1, True
            return scanned
        after = _scan_item(answer, position, scanned)
        if after is None:
            scanned.end = position
            return scanned
        position = _skip_space(answer, after)
        if position < len(answer) and answer[position] == ",":
            position = _skip_space(answer, position + 1)
            if position < len(answer) and answer[position] == closing:
                scanned.repairs.add(LENIENT_JSON)
        elif position < len(answer) and answer[position] != closing:
            scanned.end = position
            return scanned
    scanned.end, scanned.cut = len(answer), True
    return scanned


def _skip_space(answer: str, position: int) -> int:
    match = _SPACE.match(answer, position)
    return match.end() if match else position


def _scan_item(answer: str, position: int, scanned: _List) -> int | None:
    """Read the item at `position` into `scanned`; its end, the output's end if it is cut off, None if it is no item."""
    first = answer[position]
    if first in "\"'":
        return _scan_quoted(answer, position, scanned)
    if first in "[({":
        return _skip_nested(answer, position, scanned)
    match = _BARE_ITEM.match(answer, position)
    if match is None:
        return None
    word = match.group()
    if match.end() == len(answer):
        return match.end()
    if _NUMBER.fullmatch(word):
        scanned.items.append(word)
    elif word in _CONSTANTS:
        scanned.left_out = True
    else:
        return None
    scanned.repairs.add(NON_STRING_ITEMS)
    return match.end()


def _scan_quoted(answer: str, position: int, scanned: _List) -> int:
    """Read one quoted item; without its closing quote it is cut off and not kept."""
    single = answer[position] == "'"
    match = (_SINGLE_QUOTED if single else _DOUBLE_QUOTED).match(answer, position)
    if match is None:
        return len(answer)
    if single:
        scanned.repairs.add(SINGLE_QUOTES)
        scanned.items.append(_unescape(match.group()[1:-1]))
        return match.end()
    try:
        scanned.items.append(json.loads(match.group()))
    except ValueError:
        scanned.repairs.add(LENIENT_JSON)
        scanned.items.append(_unescape(match.group()[1:-1]))
    return match.end()


def _skip_nested(answer: str, position: int, scanned: _List) -> int | None:
    """Step over a nested list, tuple or object, which is no mention, counting brackets outside double quotes.

    Round brackets and braces inside strings do not count; a nested value that never ends makes the list cut off.
    """
    depth = 0
    for match in _NESTED_TOKEN.finditer(answer, position):
        token = match.group()
        if token in "[({":
            depth += 1
        elif token in "])}":
            depth -= 1
        if depth == 0:
            scanned.left_out = True
            scanned.repairs.add(NON_STRING_ITEMS)
            return match.end()
    return len(answer)


def _unescape(body: str) -> str:
    """A string's body with its escapes resolved; an unknown escape keeps its backslash, as in Python."""
    if "\\" not in body:
        return body
    plain = _ESCAPE.sub(_resolve, body)
    if _SURROGATE.search(plain):
        plain = plain.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
    return plain


def _resolve(match: re.Match[str]) -> str:
    escape = match.group(1)
    if len(escape) > 1:
        return chr(int(escape[1:], 16))
    if escape in "\\/'\"":
        return escape
    return _ESCAPED.get(escape, match.group())
