"""Confidence of the model in its answer and mentions, from the log-probabilities of the tokens.

Aligns tokens and their log-probabilities with the mentions read from them; returns numbers in [0, 1], one for the
answer and one for each mention. Never raises; what cannot be aligned has no score. Pure; no I/O.
"""

from __future__ import annotations

import json
import math
import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

#: A quoted item of an answer, in JSON's quotes or Python's.
_QUOTED: Final = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"|(?<![^\s\[(,])\'[^\'\\]*+(?:\\.[^\'\\]*+)*+\'', re.DOTALL)
#: How byte-level and SentencePiece-like vocabularies spell a space in a raw token.
_SPACES: Final = str.maketrans({"Ġ": " ", "▁": " "})
#: A character split over tokens is decoded to this, and cannot be compared.
_BROKEN: Final = "\ufffd"


@dataclass(frozen=True)
class AnswerScore:
    """Confidence in one answer.

    Args:
        answer: probability of the whole answer, in [0, 1].
        mentions: probability of each mention, in [0, 1]; None where it could not be found among the tokens.
    """

    answer: float
    mentions: tuple[float | None, ...]


def score_answer(
    tokens: Sequence[str | None], logprobs: Sequence[float | None], mentions: Sequence[str]
) -> AnswerScore:
    """Compute the probabilities that the model gave to its answer and to each mention in it.

    With p_1 ... p_n the probabilities of the generated tokens, each given all before it:

    - answer = p_1 * ... * p_n: of writing exactly this answer. For `[]` it is the confidence in "none".
    - mention = product of p_i over the tokens that overlap the item from its opening to its closing quote: of naming
      something at this place, of it being this, and of its ending here.

    A mention that the answer repeats has the score of its first item. Token texts may be decoded pieces (a character
    split over tokens shows as U+FFFD in each) or raw ones with `Ġ` or `▁` for spaces: items are found by their quotes,
    and compared leniently. A log-probability that is not a number, or more tokens than log-probabilities, leave the
    tokens concerned out.

    Args:
        tokens: text of each generated token, in order; None leaves a token out.
        logprobs: natural logarithm of each token's probability, aligned with `tokens`; None and NaN leave a token out,
            and values above 0 count as 0.
        mentions: what `parse_output` read from the same answer, in its order.

    Returns:
        The probability of the answer (1.0 if no token is left), and one probability or None for each item of
        `mentions`, in the same order.
    """
    known = [
        (text, min(0.0, value))
        for text, value in zip(tokens, logprobs, strict=False)
        if text is not None and value is not None and not math.isnan(value)
    ]
    ends = list(accumulate(len(text) for text, _ in known))
    written = "".join(text for text, _ in known)
    values = [value for _, value in known]
    scores: list[float | None] = []
    for place in _places(written, mentions):
        if place is None:
            scores.append(None)
            continue
        first, stop = bisect_right(ends, place[0]), bisect_left(ends, place[1]) + 1
        scores.append(math.exp(math.fsum(values[first:stop])))
    return AnswerScore(math.exp(math.fsum(values)), tuple(scores))


def _places(written: str, mentions: Sequence[str]) -> list[tuple[int, int] | None]:
    """For each mention the slice of `written` that spells its item, quotes included, or None."""
    items = [(match.span(), _content(match.group())) for match in _QUOTED.finditer(written)]
    by_content: dict[str, tuple[int, int]] = {}
    by_skeleton: dict[str, tuple[int, int]] = {}
    for place, content in items:
        by_content.setdefault(content, place)
        by_skeleton.setdefault(_skeleton(content), place)
    by_skeleton.pop("", None)
    in_order = [place for place, _ in items] if len(items) == len(mentions) else [None] * len(mentions)
    return [
        by_content.get(mention) or in_order[index] or by_skeleton.get(_skeleton(mention)) or _find(written, mention)
        for index, mention in enumerate(mentions)
    ]


def _find(written: str, mention: str) -> tuple[int, int] | None:
    start = written.find(mention) if mention else -1
    return None if start == -1 else (start, start + len(mention))


def _content(quoted: str) -> str:
    try:
        content = json.loads(quoted, strict=False)
    except ValueError:
        content = quoted[1:-1]
    return content if isinstance(content, str) else quoted[1:-1]


def _skeleton(content: str) -> str:
    """Canonical form for comparison, without characters that are split over tokens and without spellings of spaces."""
    plain = content.translate(_SPACES)
    return "".join("" if character == _BROKEN or not character.isascii() else character for character in plain).strip()
