"""What is read in columns is what the functions of `core` make of it, one answer after the other."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from uniner_dist.annotations.answers import ANSWER, EMPTY_ANSWER, with_empty_answers
from uniner_dist.annotations.fast_path import read_vectorised
from uniner_dist.core.outcomes import Outcome
from uniner_dist.core.parse import parse_output
from uniner_dist.core.spans import Entity, locate_mentions

TEXT = "Ada Lovelace met Charles Babbage in London. London was least of all\r\nAda's home_town, in 1833."
ACCENTED = "Zoë met Ada in Zürich; e\u0301 東京タワー, l\u00adeast\u200b and \U0001f469\u200d\U0001f4bb."

#: Pieces of which texts and mentions are made: borders of all kinds meet.
PIECES = st.lists(
    st.sampled_from(
        ["Ada", "a", "east", "l", " ", "  ", "\r", "\n", "_", "1", ".", "-", "é", "\u0301", "\u00ad", "東", "Ö"]
    ),
    max_size=8,
).map("".join)
OUTPUTS = st.one_of(
    st.lists(PIECES, max_size=3).map(lambda names: " " + json.dumps(names, ensure_ascii=False)),
    st.lists(PIECES, max_size=3).map(json.dumps),
    st.lists(st.sampled_from(["Ada", "east", "London"]), min_size=1, max_size=3).map(json.dumps),
    st.text(st.sampled_from('["], \\\n\tAda'), max_size=12),
    st.none(),
)


def read(texts: list[str], owners: list[int], outputs: list[str | None], offset: int = 0) -> dict[int, list[Entity]]:
    """Place of each plain answer → its entities; with an offset the texts are a slice of a longer array."""
    array = pa.array(["é before"] * offset + texts, pa.string()).slice(offset)
    places, entities = read_vectorised(array, texts, np.array(owners, dtype=np.int64), pa.array(outputs, pa.string()))
    assert len(places) == len(entities)
    lists = [[Entity(**entity) for entity in found] for found in entities.to_pylist()]
    return dict(zip(places.tolist(), lists, strict=True))


@given(
    st.lists(st.tuples(PIECES | st.sampled_from([TEXT, ACCENTED]), st.lists(OUTPUTS, max_size=4)), max_size=4),
    st.integers(0, 2),
)
@settings(max_examples=500, derandomize=True, deadline=None)
def test_whatever_is_read_in_columns_equals_what_is_read_one_by_one(
    asked: list[tuple[str, list[str | None]]], offset: int
) -> None:
    texts = [text for text, _ in asked]
    owners = [place for place, (_, outputs) in enumerate(asked) for _ in outputs]
    outputs = [output for _, own in asked for output in own]
    for place, entities in read(texts, owners, outputs, offset).items():
        output = outputs[place]
        assert output is not None
        parsed = parse_output(output)
        assert (parsed.outcome, parsed.repair) == (Outcome.FOUND, None)
        assert entities == locate_mentions(texts[owners[place]], parsed.mentions)
        assert {entity.match for entity in entities} == {"exact"}


@pytest.mark.parametrize("offset", [0, 3])
def test_usual_answers_are_read_in_columns(offset: int) -> None:
    outputs = [
        ' ["Ada Lovelace"]',
        '["1833", "Charles Babbage"]',  # sorted by place
        ' ["Zürich"]',
        '["東京", "Zoë"]',
    ]
    found = read([TEXT, ACCENTED], [0, 0, 1, 1], list(outputs), offset)
    assert {place: [entity.text for entity in entities] for place, entities in found.items()} == {
        0: ["Ada Lovelace"],
        1: ["Charles Babbage", "1833"],
        2: ["Zürich"],
        3: ["Zoë", "東京"],
    }


@pytest.mark.parametrize(
    "output",
    [
        None,
        "[]",
        " [ ]",
        '["London"]',  # occurs twice
        '["1833", "1833"]',  # named twice
        '["east"]',  # cuts a word
        '["home"]',  # and here
        '["all\\r"]',  # cuts what is one character, and is escaped
        '["ada lovelace"]',  # only by another rule
        '["Rome"]',  # stands nowhere
        '[" "]',
        '[""]',
        '["1833"',
        "['1833']",
        '["1833"] or so',
        '  ["1833"]',
        '["1833"]\n',
        '["1833","Ada Lovelace"]',
        '["Charles \\u0042abbage"]',
    ],
)
def test_whatever_needs_a_decision_is_left_alone(output: str | None) -> None:
    assert read([TEXT], [0, 0], [output, '["1833"]']).keys() == {1}


def test_nothing_at_all_can_be_read() -> None:
    assert read([], [], []) == {}
    assert read([""], [0], ["[]"]) == {}


def test_null_stands_for_the_answer_that_names_nothing() -> None:
    found = {**EMPTY_ANSWER, "outcome": "truncated", "raw_output": "["}
    answers = pa.array([None, found, None], ANSWER)
    assert with_empty_answers(answers).to_pylist() == [dict(EMPTY_ANSWER), found, dict(EMPTY_ANSWER)]
    assert with_empty_answers(answers[:0]).to_pylist() == []
