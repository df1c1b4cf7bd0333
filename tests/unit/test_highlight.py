"""HTML with marked mentions: nothing of the text is lost or doubled, nothing of it is markup, overlaps are all seen."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uniner_dist.reporting.highlight import Marked, Mention, Placed, documents_html, excerpt, hues_of, text_html
from uniner_dist.reporting.terminal import highlight

LABELS = ("person", "location", "<i>tag</i>")
HUES = hues_of(LABELS)


class _Reader(HTMLParser):
    """What a browser shows of a fragment, labels aside, and which elements it has."""

    def __init__(self, fragment: str) -> None:
        super().__init__()
        self.text, self.tags, self.labels = "", [], []
        self._open: list[str] = []
        self.feed(fragment)
        assert not self._open, "every element is closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        kind = dict(attrs).get("class") or tag
        self._open.append(kind)
        self.tags.append(kind)
        if kind == "ud-label":
            self.labels.append("")

    def handle_endtag(self, tag: str) -> None:
        self._open.pop()

    def handle_data(self, data: str) -> None:
        if "ud-label" in self._open:
            self.labels[-1] += data
        elif "ud-more" not in self._open:
            self.text += data


def entity(text: str, mention: str, label: str) -> Mention:
    start = text.index(mention)
    return Mention(label, mention, start, start + len(mention))


@given(st.text("ab<&\n é", min_size=1, max_size=40), st.data())
def test_the_text_stands_there_once_and_every_mention_has_its_label(text: str, data: st.DataObject) -> None:
    place = st.tuples(st.integers(0, len(text)), st.integers(0, len(text)), st.sampled_from(LABELS))
    places = data.draw(st.lists(place, max_size=6))
    entities = [Mention(label, text[a:b], a, b) for a, b, label in places if a < b]
    page = _Reader(text_html(text, entities, HUES))
    assert page.text == text
    assert sorted(page.labels) == sorted(entity.label for entity in entities)


def test_a_mention_inside_another_is_a_mark_inside_a_mark() -> None:
    text = "the University of Paris"
    html = text_html(text, [entity(text, "Paris", "location"), entity(text, "University of Paris", "person")], HUES)
    assert html.index("University of ") < html.index("<mark", html.index("University of ")) < html.index("Paris")
    assert _Reader(html).tags.count("mark") == 2
    assert html.endswith('location</span></mark><span class="ud-label" style="--h:210">person</span></mark></div>')


def test_mentions_that_cross_have_lines_at_different_heights() -> None:
    text = "New York Times Square"
    html = text_html(text, [entity(text, "New York Times", "person"), entity(text, "Times Square", "location")], HUES)
    assert "mark" not in _Reader(html).tags
    assert "padding-bottom:1px" in html
    assert "padding-bottom:6px" in html


def test_nothing_of_the_corpus_is_markup_or_steers_the_page() -> None:
    text = "<script>alert(1)</script> \u202e\x1b[31m Ada"
    html = documents_html([Marked('"><b>', text, [entity(text, "Ada", "<i>tag</i>")])])
    body = html[html.index("</style>") :]
    assert "<script" not in body
    assert "<i>" not in body
    assert "<b>" not in body
    assert "\u202e" not in body
    assert "\x1b" not in body


def test_a_mention_without_a_place_is_listed_below() -> None:
    html = text_html("no names", [Mention("location", "Rome")], HUES)
    assert html.index("no names") < html.index("not in the text") < html.index("Rome")


def test_a_long_text_is_cut_around_its_first_mention() -> None:
    text = "word " * 200 + "Albert Einstein" + " word" * 200 + " Bern"
    html = text_html(text, [entity(text, "Albert Einstein", "person"), entity(text, "Bern", "location")], HUES, 100)
    assert "Albert Einstein" in html
    assert "1 more outside" in html
    assert len(_Reader(html).text) < 120


def test_a_cut_goes_through_no_mention_and_no_character() -> None:
    text = "x" * 95 + " Albert Einstein" + " é" * 100
    placed = [Placed("person", 0, 1), Placed("person", 96, 111)]
    assert excerpt(text, placed, 100) == (0, 111)
    text = "e\u0301" * 100
    assert excerpt(text, [], 101)[1] % 2 == 0


def test_lines_of_text_make_room_for_many_crossing_mentions() -> None:
    text = "one two three four five six"
    crossing = ["one two three", "two three four", "three four five"]
    html = text_html(text, [entity(text, words, words) for words in crossing], {})
    assert html.count("line-height:calc(2em + 10px)") == 1
    assert "line-height" not in text_html(text, [entity(text, words, words) for words in crossing[:2]], {})


def test_colours_are_the_same_for_the_same_labels() -> None:
    assert hues_of(["a", "b", "a"]) == {"a": hues_of(["a"])["a"], "b": hues_of(["x", "b"])["b"]}


def test_in_a_terminal_a_mention_below_another_of_the_same_place_is_named() -> None:
    text = "Marie Curie in Paris"
    entities = [entity(text, "Marie Curie", "person"), entity(text, "Marie Curie", "scientist")]
    shown = highlight(text, [*entities, entity(text, "Paris", "city")], {"person": "red", "scientist": "blue"})
    assert shown.plain == "Marie Curie[person] in Paris"
    styles = {(span.start, span.end, span.style) for span in shown.spans}
    assert {(0, 11, "blue"), (0, 11, "underline"), (15 + 8, 20 + 8, "bold")} <= styles


def test_in_a_terminal_a_long_text_is_cut_around_its_first_mention() -> None:
    text = "word " * 200 + "Albert\x1b Einstein" + " word" * 200
    shown = highlight(text, [entity(text, "Albert\x1b Einstein", "person")], {})
    assert "Albert  Einstein" in shown.plain
    assert shown.plain.startswith("…")
    assert shown.plain.endswith("…")
    assert len(shown.plain) < 250


@pytest.mark.parametrize(
    ("mentions", "expected"),
    [
        ([("Albert Einstein", "person"), ("Ulm", "city")], "[Albert Einstein](person) of [Ulm](city)."),
        ([("Einstein", "name"), ("Albert Einstein", "person")], "[Albert [Einstein](name)](person) of Ulm."),
        ([("Ulm", "city"), ("Ulm", "place")], "Albert Einstein of [[Ulm](place)](city)."),
        ([], "Albert Einstein of Ulm."),
    ],
)
def test_without_colours_mentions_stand_in_brackets(mentions: list[tuple[str, str]], expected: str) -> None:
    text = "Albert Einstein of Ulm."
    shown = highlight(text, [entity(text, mention, label) for mention, label in mentions], {}, plain=True)
    assert shown.plain == expected


def test_a_bracket_stays_beside_its_mention_where_a_long_text_is_cut() -> None:
    text = "x " * 200 + "Ulm" + " y" * 200
    shown = highlight(text, [entity(text, "Ulm", "city")], {}, plain=True).plain
    assert "x [Ulm](city) y" in shown
    assert shown[0] == shown[-1] == "…"
    assert len(shown) < 260
