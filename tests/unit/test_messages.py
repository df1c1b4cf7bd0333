"""Every message for people, collected from the sources: plain English, one line, short, and with an example.

The examples are in tests/support/messages.json: texts that tests made the product say (`tests.support.messages` tells
how they are recorded), and of what no unit test can make it say, the message itself with values put in.
"""

from __future__ import annotations

import json
import re

import pytest

from tests.support.messages import EXAMPLES, messages, pattern_of

#: Words of no technical English, and names of Python's own.
ODD = re.compile(
    r"\b(stands? (in|for nothing|nowhere|there|twice|more than once)|goes on|go on with|anew|dear(er)?|"
    r"hitherto|"
    r"NoneType|Traceback|pydantic)\b"
)
LONGEST = 420

MESSAGES = messages()
WITH_EXAMPLES: dict[str, str] = json.loads(EXAMPLES.read_text(encoding="utf-8"))


def test_messages_are_found_in_every_room() -> None:
    rooms = {place.split("/")[0] for place in MESSAGES}
    assert {"cli", "config", "formats", "evaluation", "export", "prompts", "completions", "storage"} <= rooms
    assert len(MESSAGES) > 450


def test_every_message_is_plain_english_and_short() -> None:
    odd = {place: text for place, text in MESSAGES.items() if ODD.search(text)}
    assert odd == {}
    assert {place: text for place, text in MESSAGES.items() if len(text) > LONGEST} == {}


def test_every_message_has_an_example() -> None:
    missing = {place: text for place, text in MESSAGES.items() if text not in WITH_EXAMPLES}
    assert not missing, f"add each with a text of it to {EXAMPLES.name}: {missing}"


@pytest.mark.parametrize("template", WITH_EXAMPLES)
def test_an_example_is_of_its_message_and_fit_for_people(template: str) -> None:
    example = WITH_EXAMPLES[template]
    assert pattern_of(template).search(example)
    assert not re.search(r"Traceback|pydantic|<class |0x[0-9a-f]{6}", example)
    assert not ODD.search(example)
    assert len(example.splitlines()) <= 6
