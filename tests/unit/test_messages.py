"""Every message for people, collected from the sources: plain English, one line, short, and with an example.

The examples are in tests/support/messages.json: texts that tests made the product say (`tests.support.messages` tells
how they are recorded), and of what no unit test can make it say, the message itself with values put in.
"""

from __future__ import annotations

import json
import re

import pytest

from tests.support.messages import EXAMPLES, messages, pattern_of

#: Words of no technical English.
ODD = re.compile(
    r"\b(stands?|stood|goes on|go on|went on|anew|dear(er)?|reckon(s|ed|ing)?|hitherto|data sets?|"
    r"(is|are) no (JSON|type|tag|model))\b",
    re.IGNORECASE,
)
#: Names of Python's own.
FOREIGN = re.compile(r"\b(NoneType|Traceback|pydantic)\b")
LONGEST = 420

ROOT = EXAMPLES.parents[2]
#: What people read besides messages.
PAGES = sorted(
    path
    for pattern in (
        *("*.md", "docs/**/*.md", "benchmarks/*.md", "conf/**/*.yaml", "notebooks/*.ipynb", "Makefile"),
        *("uniner_dist/cli/**/*.py", "uniner_dist/**/*.jinja", "uniner_dist/demo/model/README.md"),
    )
    for path in ROOT.glob(pattern)
)
MESSAGES = messages()
WITH_EXAMPLES: dict[str, str] = json.loads(EXAMPLES.read_text(encoding="utf-8"))


def test_messages_are_found_in_every_room() -> None:
    rooms = {place.split("/")[0] for place in MESSAGES}
    assert {"cli", "config", "formats", "evaluation", "export", "prompts", "completions", "storage"} <= rooms
    assert len(MESSAGES) > 450


def test_every_message_is_plain_english_and_short() -> None:
    odd = {place: text for place, text in MESSAGES.items() if ODD.search(text) or FOREIGN.search(text)}
    assert odd == {}
    assert {place: text for place, text in MESSAGES.items() if len(text) > LONGEST} == {}


def test_pages_configuration_notebooks_and_help_are_plain_english() -> None:
    texts = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in PAGES}
    assert len(texts) > 80
    # Lines of several thousand characters are pictures in notebooks.
    lines = {f"{place}:{n}": line for place, text in texts.items() for n, line in enumerate(text.split("\n"), 1)}
    assert {place: line for place, line in lines.items() if len(line) < 3000 and ODD.search(line)} == {}


def test_every_message_has_an_example() -> None:
    missing = {place: text for place, text in MESSAGES.items() if text not in WITH_EXAMPLES}
    assert not missing, f"add each with a text of it to {EXAMPLES.name}: {missing}"


@pytest.mark.parametrize("template", WITH_EXAMPLES)
def test_an_example_is_of_its_message_and_fit_for_people(template: str) -> None:
    example = WITH_EXAMPLES[template]
    assert pattern_of(template).search(example)
    assert not re.search(r"Traceback|pydantic|NoneType|Errno|<class |0x[0-9a-f]{6}", example)
    assert not ODD.search(example)
    assert len(example.splitlines()) <= 6
