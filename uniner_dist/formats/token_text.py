"""Offsets of tokens in a text, and the conversion of token mentions to character mentions. Pure; no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from uniner_dist.formats.gold_document import GoldDocument
from uniner_dist.formats.tagging import TokenMention

Span = tuple[int, int]


def join_tokens(tokens: Sequence[str], spaces: Sequence[bool] | None = None) -> tuple[str, list[Span]]:
    """Join tokens to a text, with a space between them.

    Args:
        tokens: words and punctuation marks of a sentence, in order.
        spaces: whether a space follows, token by token; None: one follows each. None follows the last one.

    Returns:
        The text, and the offsets (start, end) of each token in code points.
    """
    text, spans = "", []
    for index, token in enumerate(tokens):
        spans.append((len(text), len(text) + len(token)))
        text += token + " " * (index + 1 < len(tokens) and (spaces is None or spaces[index]))
    return text, spans


def align_tokens(text: str, tokens: Iterable[str], begin: int = 0) -> list[Span] | int:
    """Find each token in a text, one after the other, with nothing but white space between them.

    Args:
        text: the text as its file has it.
        tokens: the tokens, in order.
        begin: offset at which to begin, in code points.

    Returns:
        The offsets (start, end) of each token in code points; or, if a token is not the next one in the text, the
        number of that token, from 0.
    """
    spans: list[Span] = []
    position = begin
    for number, token in enumerate(tokens):
        start = text.find(token, position)
        if start < 0 or text[position:start].strip():
            return number
        position = start + len(token)
        spans.append((start, position))
    return spans


def add_mentions(document: GoldDocument, spans: Sequence[Span], mentions: Iterable[TokenMention]) -> None:
    """Add mentions of tokens to a document as mentions of characters; one that it has already is not added again.

    Args:
        document: its answers are changed in place.
        spans: offsets (start, end) of each token in the document's text, in code points.
        mentions: (type, first token, one past the last token), numbering `spans`; those without characters are left
            out.
    """
    for name, first, behind in mentions:
        start, end = spans[first][0], spans[behind - 1][1]
        entity: dict[str, object] = {"text": document.text[start:end], "start": start, "end": end}
        answers = document.answers.setdefault(name, [])
        if start < end and entity not in answers:
            answers.append(entity)
