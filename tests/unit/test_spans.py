"""Where mentions stand: true offsets, whole words, whole characters, nothing lost."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from uniner_dist.core.characters import cuts_character, cuts_word, is_extender, is_inside
from uniner_dist.core.spans import MATCHES, Entity, locate_mentions

ALPHABET = "aB éßİ \n\t.,'-_9東あข한שم\u0301\u200d👩💻🏽❤\ufe0f🇩🇪ﬁ"
TEXT = st.text(ALPHABET, max_size=30)


def places(text: str, *mentions: str) -> list[tuple[int | None, int | None, str]]:
    return [(entity.start, entity.end, entity.match) for entity in locate_mentions(text, mentions)]


@given(
    st.one_of(TEXT, st.text(max_size=30)), st.lists(st.one_of(TEXT, st.text("aB e\u0301é ", max_size=3)), max_size=4)
)
@settings(max_examples=800, derandomize=True, deadline=None)
def test_offsets_slice_the_text_and_no_mention_is_lost(text: str, mentions: list[str]) -> None:
    entities = locate_mentions(text, mentions)
    located = [entity for entity in entities if entity.start is not None]
    for entity in located:
        assert entity.start is not None
        assert entity.end is not None
        assert 0 <= entity.start < entity.end <= len(text)
        assert text[entity.start : entity.end] == entity.text
        assert entity.match in MATCHES[:-1]
    assert [(e.start, e.end) for e in located] == sorted({(e.start, e.end) for e in located})
    assert entities == located + [entity for entity in entities if entity.match == "absent"]
    for mention in mentions:
        alone = locate_mentions(text, [mention])
        assert alone
        assert {(e.start, e.end) for e in alone} <= {(e.start, e.end) for e in entities}


@given(
    st.lists(st.sampled_from(["Paris", "New York", "東京", "e\u0301t\u00e9", "U.S.", "👩‍💻", "x_1"]), min_size=1),
    st.data(),
)
@settings(max_examples=200, derandomize=True, deadline=None)
def test_every_word_of_a_text_is_found_everywhere_it_stands(words: list[str], data: st.DataObject) -> None:
    text, expected = "", []
    mention = data.draw(st.sampled_from(words))
    for word in words:
        if word == mention:
            expected.append((len(text), len(text) + len(word), "exact"))
        text += word + data.draw(st.sampled_from([" ", ", ", "\n", " (", '" ']))
    assert places(text, mention) == expected


@given(TEXT, st.data())
@settings(max_examples=300, derandomize=True, deadline=None)
def test_a_mention_in_another_normal_form_is_found_where_the_same_form_is(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text)))
    mention = text[start : data.draw(st.integers(start, len(text)))]
    if is_extender(mention[:1] or "a"):
        return  # a mark without its character: where it begins is a matter of taste
    exact = {place[:2] for place in places(text, mention) if place[2] == "exact"}
    for form in ("NFC", "NFD"):
        other = places(text, unicodedata.normalize(form, mention))
        if exact and not any(place[2] == "exact" for place in other):
            assert exact <= {place[:2] for place in other}


@pytest.mark.parametrize(
    ("text", "mention", "expected"),
    [
        ("least east East", "east", [(6, 10, "exact")]),
        ("Apple apple APPLE", "aPPle", [(0, 5, "case"), (6, 11, "case"), (12, 17, "case")]),
        ("New\r\nYork, New  York", "New York", [(0, 9, "whitespace"), (11, 20, "whitespace")]),
        ("the U . S . Army", "U.S. Army", [(4, 16, "whitespace")]),
        ("the U.S.Army", "U . S . Army", [(4, 12, "whitespace")]),
        ("a part apart", "apart", [(7, 12, "exact")]),
        ("l\u00adeast \u00adeast\u00ad", "east", [(8, 12, "exact")]),
        ("ایرانی\u200cها", "ایرانی", [(0, 6, "exact")]),
        (
            "at \u2068Ada\u2069, \u200fAda\u200f \ufeffAda",
            "Ada",
            [(4, 7, "exact"), (11, 14, "exact"), (17, 20, "exact")],
        ),
        ("new\u200bYork", "York", [(4, 8, "exact")]),
        ("apart", "a part", [(None, None, "absent")]),
        ("aboard the _Pequod_ of Nantucket", "Pequod", [(12, 18, "exact")]),
        ("By:____John Doe____ (Seller)", "John Doe", [(7, 15, "exact")]),
        ("__Müller__, _Müller", "Müller", [(2, 8, "exact"), (13, 19, "exact")]),
        ("_Pequod_", "_Pequod_", [(0, 8, "exact")]),
        ("my_Pequod_id, my_Pequod, Pequod__id", "Pequod", [(None, None, "absent")]),
        ("é_Pequod, Pequod_é", "Pequod", [(None, None, "absent")]),
        ("東_Pequod_京", "Pequod", [(2, 8, "exact")]),
        ("a_\u200f_Pequod", "Pequod", [(None, None, "absent")]),
        ("_Ada_ _ada_", "ADA", [(1, 4, "case"), (7, 10, "case")]),
        ("Peter O’Hara", "O'Hara", [(6, 12, "typographic")]),
        ("Peter O'Hara", "o’hara", [(6, 12, "typographic")]),
        ("“Jaws” opens", '"Jaws"', [(0, 6, "typographic")]),
        ("Coca‑Cola – new", "coca-cola", [(0, 9, "typographic")]),
        ("１２３４ Ｌｔｄ．", "1234 Ltd.", [(0, 9, "typographic")]),
        ("1234 Ltd.", "１２３４ Ｌｔｄ．", [(0, 9, "typographic")]),
        ("Caﬀé Œuvre", "Caffé", [(0, 4, "case")]),
        ("the Ĳssel", "IJssel", [(4, 9, "typographic")]),
        ("ｶﾞｿﾘﾝ", "ガソリン", [(0, 5, "typographic")]),
        ("Micro\u00adsoft", "Microsoft", [(0, 10, "typographic")]),
        ("O'Hara and O’Hara", "O’Hara", [(11, 17, "exact")]),
        ("don’t", "don", [(0, 3, "exact")]),
        ("ﬁnance", "nance", [(None, None, "absent")]),
        ("Straße", "STRASSE", [(0, 6, "case")]),
        ("Strasse", "Straße", [(0, 7, "case")]),
        ("in İSTANBUL now", "İstanbul", [(3, 11, "case")]),
        ("the ﬁne print", "FINE", [(4, 7, "case")]),
        ("ﬁne", "i", [(None, None, "absent")]),
        ("ΟΔΥΣΣΕΥΣ", "Οδυσσευς", [(0, 8, "case")]),
        ("cafe\u0301 x", "caf\u00e9", [(0, 5, "canonical")]),
        ("caf\u00e9 x", "cafe\u0301", [(0, 4, "canonical")]),
        ("cafe\u0301 x", "cafe", [(None, None, "absent")]),
        ("a\u0323\u0307b", "a\u0307\u0323b", [(0, 4, "canonical")]),
        ("\u1100\u1161\u11a8", "각", [(0, 3, "canonical")]),
        ("\u1100\u1161\u11a8", "\u1100\u1161", [(None, None, "absent")]),
        ("👩‍💻 👩", "👩", [(4, 5, "exact")]),
        ("👍🏽👍", "👍", [(2, 3, "exact")]),
        ("I ❤️ you", "❤", [(2, 4, "canonical")]),
        ("🇩🇪🇫🇷", "🇫🇷", [(2, 4, "exact")]),
        ("🇩🇪🇫🇷", "🇪🇫", [(None, None, "absent")]),
        ("東京都は東京", "東京", [(0, 2, "exact"), (4, 6, "exact")]),
        ("買iPhone手機", "iPhone", [(1, 7, "exact")]),
        ("서울에서", "서울", [(0, 2, "exact")]),
        ("อยู่กรุงเทพฯ", "กรุงเทพ", [(4, 11, "exact")]),
        ("שלום עולם", "עולם", [(5, 9, "exact")]),
        ("COVID-19 COVID19 x_COVID", "COVID", [(0, 5, "exact")]),
        ("19 9", "9", [(3, 4, "exact")]),
        ("C++, C", "C++", [(0, 3, "exact")]),
        ("C++11", "C++", [(0, 3, "exact")]),
        ("John's", "John", [(0, 4, "exact")]),
        ("हिन्दी हि", "हि", [(7, 9, "exact")]),
        ("9 \U0001f3fd", "9\n\U0001f3fd", [(0, 3, "whitespace")]),
        ("Paris", " Paris ", [(0, 5, "whitespace")]),
        ("a b", "", [(None, None, "absent")]),
        ("a b", " ", [(None, None, "absent")]),
        ("", "a", [(None, None, "absent")]),
        ("a\r\n", "\n", [(None, None, "absent")]),
        ("ああああ", "ああ", [(0, 2, "exact"), (2, 4, "exact")]),
    ],
)
def test_each_rule_on_an_example(text: str, mention: str, expected: list[tuple[int | None, int | None, str]]) -> None:
    assert places(text, mention) == expected


def test_overlapping_mentions_are_all_kept_in_order_of_place() -> None:
    found = locate_mentions("New York City", ["York City", "New York", "City", "Boston", "York City"])
    assert [entity.text for entity in found] == ["New York", "York City", "City", "Boston"]


def test_the_stricter_match_keeps_a_place_that_two_mentions_claim() -> None:
    assert locate_mentions("USA", ["usa", "USA"], [0.2, 0.9]) == [Entity("USA", 0, 3, "exact", 0.9)]


def test_scores_follow_their_mentions_to_every_place_and_to_absent_ones() -> None:
    found = locate_mentions("a b a", ["a", "z"], [0.5, None])
    assert [(entity.text, entity.score) for entity in found] == [("a", 0.5), ("a", 0.5), ("z", None)]


@pytest.mark.parametrize(
    ("text", "mention", "count"),
    [
        ("a" * 300_000, "a", 0),
        (" a" * 300_000, "a", 300_000),
        ("a" * 300_000, "a" * 100_000, 0),
        ("ab " * 100_000, "ab " * 30_000 + "a", 0),
        ("é" * 300_000, "e\u0301" * 100_000, 0),
        ("\u0301" * 300_000, "\u0301", 0),
        (" " * 300_000 + "a \n b" + " " * 300_000, "a b", 1),
        ("🇩" * 300_000, "🇩🇩", 150_000),
    ],
)
def test_long_repetitive_texts_are_searched_in_linear_time(text: str, mention: str, count: int) -> None:
    assert sum(entity.start is not None for entity in locate_mentions(text, [mention])) == count


@given(st.one_of(TEXT, st.text(max_size=10)))
@settings(max_examples=500, derandomize=True, deadline=None)
def test_a_border_is_inside_where_it_cuts_a_word_or_a_character(text: str) -> None:
    for position in range(-1, len(text) + 2):
        assert is_inside(text, position) == (cuts_word(text, position) or cuts_character(text, position))


@given(TEXT, st.one_of(TEXT, st.text("aB e", max_size=3)))
@settings(max_examples=500, derandomize=True, deadline=None)
def test_a_mention_alone_is_found_as_beside_others(text: str, mention: str) -> None:
    beside = locate_mentions(text, [mention, "no such words"])
    assert locate_mentions(text, [mention]) == [entity for entity in beside if entity.text != "no such words"]


@given(st.text("aé_ -\u00ad東", max_size=12), st.data())
@settings(max_examples=400, derandomize=True, deadline=None)
def test_underscores_are_a_border_unless_they_join_two_words(text: str, data: st.DataObject) -> None:
    position = data.draw(st.integers(0, len(text)))
    left = text[:position].replace("\u00ad", "").rstrip("_")
    right = text[position:].replace("\u00ad", "").lstrip("_")
    joined = left[-1:] in ("a", "é") and right[:1] in ("a", "é")
    assert cuts_word(text, position) == (joined and 0 < position < len(text))


@pytest.mark.parametrize("mention", ["_", "__", "x_", "_x"])
def test_a_form_full_of_blanks_takes_no_longer_than_its_length(mention: str) -> None:
    text = "_" * 200_000 + "x" + "_" * 200_000
    assert locate_mentions(text, [mention])
