"""Where tokens are in a text, and mentions of tokens as mentions of characters. Pure; no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from uniner_dist.formats.gold_document import GoldDocument
from uniner_dist.formats.tagging import TokenMention

Span = tuple[int, int]


def join_tokens(tokens: Sequence[str], spaces: Sequence[bool] | None = None) -> tuple[str, list[Span]]:
    """Tokens as a text, with a space between them, and where each is.

    Args:
        tokens: words and punctuation marks of a sentence, in order.
        spaces: whether a space follows, token by token; default: one follows each.
    """
    text, spans = "", []
    for index, token in enumerate(tokens):
        spans.append((len(text), len(text) + len(token)))
        text += token + " " * (index + 1 < len(tokens) and (spaces is None or spaces[index]))
    return text, spans


def align_tokens(text: str, tokens: Iterable[str], begin: int = 0) -> list[Span] | int:
    """Where each token is in a text: one after the other, only white space between them.

    Returns:
        Their places; or, where one is not the next, its number.
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
    """Put mentions of tokens into a document, by the places of its tokens; one that is there already stays one."""
    for name, first, behind in mentions:
        start, end = spans[first][0], spans[behind - 1][1]
        entity: dict[str, object] = {"text": document.text[start:end], "start": start, "end": end}
        answers = document.answers.setdefault(name, [])
        if start < end and entity not in answers:
            answers.append(entity)
