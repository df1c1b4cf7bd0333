"""The JSON files of the UniversalNER authors: a list of conversations, each about one text and one or more types.

Returns documents with answers. In the evaluation files (`src/eval/test_data/*.json` of
github.com/universal-ner/universal-ner) a conversation asks for one type and its id counts conversations
(`CrossNER_AI_0`, …), so documents get ids of their own; in the training files it asks for several.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final

from uniner_dist.core.parse import official_items
from uniner_dist.errors import ConfigError
from uniner_dist.formats.gold_document import GoldDocument
from uniner_dist.formats.shapes import fields, items, text

_SHAPE: Final = fields({"conversations": items(fields({"value": text}))})
_TEXT: Final = "Text: "
_QUESTION: Final = re.compile(r"What describes (.*) in the text\?", re.DOTALL)


def read_conversations(content: str, stem: str, path: str = "") -> list[GoldDocument]:
    """Return the documents of one file, with ids `STEM-N`, N counting documents from 0.

    Conversations about the same text are one document, as long as each asks for another type; when a type occurs
    again, another document with the same text begins. So every question of the file is exactly one pair, as in the
    authors' evaluation.

    Args:
        content: text of the file, a JSON list of conversations.
        stem: prefix of the document ids, the file's name without ending.
        path: path or URL of the file, for error messages.

    Raises:
        ConfigError: no JSON, or not of this form; the message names the conversation.
    """
    documents: list[GoldDocument] = []
    latest: dict[str, GoldDocument] = {}
    for passage, entity_type, answer in _questions(content, path):
        document = latest.get(passage)
        if document is None or entity_type in document.answers:
            document = GoldDocument(f"{stem}-{len(documents)}", passage, says_types=True)
            latest[passage] = document
            documents.append(document)
        document.answers[entity_type] = read_answer(answer)
    return documents


def read_answer(answer: str) -> list[str]:
    """Return the mentions of a gold answer: what the authors' evaluator reads, or else any JSON list of strings.

    The authors count a gold answer they cannot read as an empty one, so that the result is empty for it.

    Args:
        answer: text of the model's turn, such as `["Rome", "Paris"]`.
    """
    items = official_items(answer)
    if items is not None:
        return items
    try:
        loaded = json.loads(answer)
    except (ValueError, RecursionError):
        return []
    return loaded if isinstance(loaded, list) and all(isinstance(item, str) for item in loaded) else []


def _questions(content: str, path: str) -> Iterator[tuple[str, str, str]]:
    """(text, entity type, answer) of every question, in order."""
    try:
        conversations = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"gold {path}: is not JSON ({error})") from error
    if not isinstance(conversations, list):
        raise ConfigError(f"gold {path}: must be a list of conversations")
    for number, conversation in enumerate(conversations):
        try:
            _SHAPE(conversation, "")
            yield from _turns(conversation)
        except ValueError as error:
            raise ConfigError(f"gold {path}: conversation {number} is not of the authors' form: {error}") from error


def _turns(conversation: Any) -> Iterator[tuple[str, str, str]]:
    values = [turn["value"] for turn in conversation["conversations"]]
    if len(values) < 4 or len(values) % 2:
        raise ValueError(f"{len(values)} turns; expected the text, its receipt, and pairs of question and answer")
    if not values[0].startswith(_TEXT):
        raise ValueError(f"the first turn does not begin with {_TEXT!r}")
    for question, answer in zip(values[2::2], values[3::2], strict=True):
        match = _QUESTION.fullmatch(question)
        if match is None:
            raise ValueError(f"unknown question {question!r}")
        yield values[0].removeprefix(_TEXT), match.group(1), answer
