"""Every message of an error, collected from the sources: plain English, one line, short, and with an example.

The examples are in tests/support/messages.json: texts that unit tests made the product say (`tests.support.messages`
tells how they are recorded).
"""

from __future__ import annotations

import json
import re

from tests.support.messages import EXAMPLES, messages, pattern_of

#: Words of no technical English, and names of Python's own.
ODD = re.compile(
    r"\b(stands? (in|for nothing|nowhere|there|twice|more than once)|goes on|go on with|anew|dear(er)?|"
    r"hitherto|"
    r"NoneType|Traceback|pydantic)\b"
)
LONGEST = 420
#: Messages that no unit test had made when examples were recorded, those of Spark, Ray and failing storages among them.
#: Lower it whenever examples are added.
WITHOUT_EXAMPLE = 280

MESSAGES = messages()
WITH_EXAMPLES: dict[str, str | None] = json.loads(EXAMPLES.read_text(encoding="utf-8"))


def test_messages_are_found_in_every_room() -> None:
    rooms = {place.split("/")[0] for place in MESSAGES}
    assert {"cli", "config", "formats", "evaluation", "export", "prompts", "completions", "storage"} <= rooms
    assert len(MESSAGES) > 350


def test_every_message_is_plain_english_and_short() -> None:
    odd = {place: text for place, text in MESSAGES.items() if ODD.search(text)}
    assert odd == {}
    assert {place: text for place, text in MESSAGES.items() if len(text) > LONGEST} == {}


def test_every_message_has_an_example_that_the_product_has_said() -> None:
    missing = {place: text for place, text in MESSAGES.items() if text not in WITH_EXAMPLES}
    fresh = {place: text for place, text in missing.items() if not _said(text)}
    assert len([text for text in WITH_EXAMPLES.values() if text is None]) + len(fresh) <= WITHOUT_EXAMPLE, fresh
    for template, example in WITH_EXAMPLES.items():
        if example is not None:
            assert pattern_of(template).search(example), template
            assert not re.search(r"Traceback|pydantic|<class |0x[0-9a-f]{6}", example), example
            assert len(example.splitlines()) <= 6, example


def _said(template: str) -> bool:
    """Whether an example of another wording is one of this message too."""
    return any(pattern_of(template).search(example) for example in WITH_EXAMPLES.values() if example)
