"""What the model wrote becomes mentions and an outcome: the authors' parser first, then named repairs."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from uniner_dist.core.outcomes import Outcome
from uniner_dist.core.parse import REPAIRS, parse_output

FOUND, NONE, TRUNCATED, UNPARSEABLE = Outcome.FOUND, Outcome.NONE, Outcome.TRUNCATED, Outcome.UNPARSEABLE
PIECES = st.sampled_from(
    [
        "[",
        "]",
        "(",
        ")",
        '"',
        "'",
        ",",
        ", ",
        "\\",
        "a",
        "b c",
        "]]",
        "\n",
        "1",
        "null",
        "{",
        "}",
        ":",
        "é",
        "\\u00e9",
        "\\ud83d",
        "</s>",
        "x: ",
    ]
)
ROUGH_OUTPUT = st.one_of(st.text(), st.lists(PIECES, max_size=25).map("".join))


def official_strings(output: str) -> list[str] | None:
    """The authors' rule restated: None where their parser takes an empty list for want of a readable answer."""
    match = re.match(r"\[(.*?)\]", output.strip())
    if match is None:
        return None
    try:
        items = json.loads(match.group())
    except (ValueError, RecursionError):
        return None
    return items if all(isinstance(item, str) for item in items) else None


@given(ROUGH_OUTPUT, st.sampled_from([None, "stop", "length"]))
@settings(max_examples=1500, derandomize=True, deadline=None)
def test_what_the_authors_parser_accepts_gives_the_same_mentions(output: str, finish_reason: str | None) -> None:
    parsed = parse_output(output, finish_reason)
    expected = official_strings(output)
    if expected is not None and not any("\ud800" <= character <= "\udfff" for character in "".join(expected)):
        assert parsed.mentions == tuple(dict.fromkeys(expected))
        assert parsed.outcome == (FOUND if expected else NONE)
        assert parsed.repair is None
    elif parsed.outcome in (FOUND, NONE):
        assert parsed.repair is not None
    assert len(set(parsed.mentions)) == len(parsed.mentions)
    assert set((parsed.repair or REPAIRS[0]).split("+")) <= set(REPAIRS)
    "".join(parsed.mentions).encode("utf-8")
    assert parsed.outcome != NONE or not parsed.mentions
    assert parsed.outcome != FOUND or parsed.mentions


MENTIONS = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=12), max_size=6)


@given(MENTIONS, st.booleans(), st.sampled_from([None, 2]))
@settings(max_examples=300, derandomize=True, deadline=None)
def test_any_json_list_of_strings_is_read_back(mentions: list[str], ascii_only: bool, indent: int | None) -> None:
    parsed = parse_output(json.dumps(mentions, ensure_ascii=ascii_only, indent=indent))
    assert parsed.mentions == tuple(dict.fromkeys(mentions))
    assert parsed.outcome == (FOUND if mentions else NONE)


@given(st.lists(st.text("abc '\"\\\n]é)(x", max_size=8).filter(lambda text: "'" not in text), min_size=1, max_size=5))
@settings(max_examples=300, derandomize=True, deadline=None)
def test_a_python_list_or_tuple_is_read_back(mentions: list[str]) -> None:
    unique = tuple(dict.fromkeys(mentions))
    for written in (repr(mentions), repr(tuple(mentions)), f"Here you are: {mentions!r}"):
        parsed = parse_output(written)
        assert (parsed.mentions, parsed.outcome) == (unique, FOUND), written
        assert parsed.repair


@given(MENTIONS, st.integers(min_value=0, max_value=200))
@settings(max_examples=300, derandomize=True, deadline=None)
def test_an_output_cut_anywhere_keeps_exactly_its_complete_items(mentions: list[str], cut: int) -> None:
    whole = json.dumps(mentions, ensure_ascii=False)
    part = whole[: min(cut, len(whole) - 1)]
    parsed = parse_output(part, "length")
    if parsed.outcome == TRUNCATED:
        assert parsed.mentions == tuple(dict.fromkeys(mentions))[: len(parsed.mentions)]
        complete = sum(
            len(json.dumps(mentions[: n + 1], ensure_ascii=False)) - 1 <= len(part) for n in range(len(mentions))
        )
        assert set(parsed.mentions) == set(mentions[:complete])


@pytest.mark.parametrize(
    ("output", "mentions", "outcome", "repair"),
    [
        ("[]", (), NONE, None),
        (" []\n", (), NONE, None),
        (' ["a"]', ("a",), FOUND, None),
        ('["a", "b", "a"]', ("a", "b"), FOUND, None),
        ('["a"] and so on, ["b"]', ("a",), FOUND, None),
        ('["a"]</s>', ("a",), FOUND, None),
        ('["\\u00e9\\ud83d\\ude00 \\"q\\""]', ('é😀 "q"',), FOUND, None),
        ('[""]', ("",), FOUND, None),
        ('["a [1]", "b"]', ("a [1]", "b"), FOUND, "lenient_json"),
        ('[\n  "a",\n  "b"\n]', ("a", "b"), FOUND, "lenient_json"),
        ('["a\nb"]', ("a\nb",), FOUND, "lenient_json"),
        ('["C:\\dir"]', ("C:\\dir",), FOUND, "lenient_json"),
        ('["a", ]', ("a",), FOUND, "lenient_json"),
        ("['a', 'b']", ("a", "b"), FOUND, "single_quotes"),
        ("['O'Neil', \"it's\"]", ("O'Neil", "it's"), FOUND, "single_quotes"),
        ("['d\\'Arc']", ("d'Arc",), FOUND, "single_quotes"),
        ('("a", "b")', ("a", "b"), FOUND, "tuple"),
        ("('a',)", ("a",), FOUND, "tuple+single_quotes+lenient_json"),
        ('Sure: ["a", "b"].', ("a", "b"), FOUND, "leading_words"),
        ('```json\n["a"]\n```', ("a",), FOUND, "leading_words"),
        ('[1] names ["a"]', ("a",), FOUND, "leading_words"),
        ("There are none: []", (), NONE, "leading_words"),
        ('Either ["a"] or ["b"]', (), UNPARSEABLE, None),
        ('["a" "b"], ["c"]', (), UNPARSEABLE, None),
        ("a[]", (), UNPARSEABLE, None),
        ('["a", 1984, 3.5, null]', ("a", "1984", "3.5"), FOUND, "non_string_items"),
        ('["a", ["b", "c"], {"d": "e"}]', ("a",), FOUND, "non_string_items"),
        ("[null]", (), UNPARSEABLE, "non_string_items"),
        ('["a", NaN, -Infinity]', ("a",), FOUND, "non_string_items"),
        ('[["a", "b"]]', (), UNPARSEABLE, "non_string_items"),
        ('["\\ud83d"]', ("\ufffd",), FOUND, "surrogates"),
        ('["a", "b', ("a",), TRUNCATED, "cut_off"),
        ('["a", "b"', ("a", "b"), TRUNCATED, "cut_off"),
        ('["a", 19', ("a",), TRUNCATED, "cut_off"),
        ("['a', 'b", ("a",), TRUNCATED, "single_quotes+cut_off"),
        ("['a', 'O'", ("a",), TRUNCATED, "single_quotes+cut_off"),
        ("[", (), TRUNCATED, "cut_off"),
        ('Found: ["a", "b', ("a",), TRUNCATED, "leading_words+cut_off"),
        ("", (), UNPARSEABLE, None),
        ("There are no such entities.", (), UNPARSEABLE, None),
        ("see [below] for more", (), UNPARSEABLE, None),
    ],
)
def test_each_rule_on_an_example(output: str, mentions: tuple[str, ...], outcome: Outcome, repair: str | None) -> None:
    parsed = parse_output(output)
    assert (parsed.mentions, parsed.outcome, parsed.repair) == (mentions, outcome, repair)


def test_words_cut_off_before_any_list_are_truncated_not_unparseable() -> None:
    assert parse_output("The text mentions", "length").outcome == TRUNCATED
    assert parse_output("The text mentions", "stop").outcome == UNPARSEABLE


def test_a_complete_answer_that_reached_the_token_limit_is_complete() -> None:
    assert parse_output('["a"]', "length").outcome == FOUND


MEGABYTE = 1_000_000


@pytest.mark.parametrize(
    "unit",
    [*"[]()\"'\\{1 x", '["', "['", "x[", '["a"]', '["a",', "x ['a', ", "([", "x[('", '[{"', "['' ", '["\\', "' "],
)  # fmt: skip
def test_a_megabyte_of_anything_is_read_without_raising(unit: str) -> None:
    assert parse_output(unit * (MEGABYTE // len(unit))).outcome in Outcome
    for start in ("[", '["', "['", "so: [", '{"', "['a', '"):
        for finish in ("", "]", '"]', "']"):
            assert parse_output(start + unit * 20_000 + finish).outcome in Outcome
