"""Long texts become passages that fit, cover everything and share their borders; answers come back together."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.tokenizer_factory import byte_level_json, llama_json
from uniner_dist.core.characters import cuts_character
from uniner_dist.core.merge import PassageAnswer, join_passages, merge_passages
from uniner_dist.core.outcomes import Outcome
from uniner_dist.core.spans import Entity, locate_mentions
from uniner_dist.core.split import Passage, PassageTokenizer, split_passages
from uniner_dist.core.template import get_template
from uniner_dist.core.tokens import PromptTokenizer


class WordTokenizer:
    """Words of up to four letters and single other characters are tokens; a slice may take one token more alone."""

    def __init__(self, extra: int = 0) -> None:
        self.extra = extra
        self.characters_seen = 0

    def token_spans(self, text: str) -> npt.NDArray[np.int64]:
        self.characters_seen += len(text)
        spans = [match.span() for match in re.finditer(r" ?[a-z]{1,4}|\S| ", text)]
        return np.array(spans, np.int64).reshape(-1, 2)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(self.token_spans(text)) + self.extra for text in texts]


TOKENIZERS: dict[str, PassageTokenizer] = {
    "words": WordTokenizer(),
    "one_more_alone": WordTokenizer(extra=1),
    "llama_legacy": PromptTokenizer.from_json(llama_json(legacy=True), get_template("ie_as_qa")),
    "llama": PromptTokenizer.from_json(llama_json(legacy=False), get_template("ie_as_qa")),
    "byte_level": PromptTokenizer.from_json(byte_level_json(), get_template("ie_as_qa")),
}
WORDS = st.sampled_from(
    ["a", "Marie", "Curie.", "end!\n", "東京都", "。", "\u0301\u0301", "👩‍💻", "x" * 40, "  ", "\r\n", "</s>", "Zoë"]
)
LONG_TEXT = st.lists(st.one_of(WORDS, st.text(st.characters(exclude_categories=["Cs"]), max_size=5)), max_size=120).map(
    " ".join
)
GLUED_TEXT = st.lists(WORDS, max_size=80).map("".join)


class Counting:
    """Another tokenizer, how many characters it has seen, and the most of them at once."""

    def __init__(self, tokenizer: PassageTokenizer) -> None:
        self.tokenizer = tokenizer
        self.characters_seen = self.longest = 0

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        self.characters_seen += sum(map(len, texts))
        return self.tokenizer.count_tokens(texts)

    def token_spans(self, text: str) -> npt.NDArray[np.int64]:
        self.characters_seen += len(text)
        self.longest = max(self.longest, len(text))
        return self.tokenizer.token_spans(text)


def check(passages: list[Passage], text: str, tokenizer: PassageTokenizer, max_tokens: int) -> None:
    """Passages cover the text, advance, and fit."""
    assert passages[0].start == 0
    assert passages[-1].end == len(text)
    for before, after in pairwise(passages):
        assert before.start < after.start <= before.end < after.end
    counts = tokenizer.count_tokens([text[passage.start : passage.end] for passage in passages])
    assert all(count <= max_tokens for count in counts)


def check_overlap(passages: list[Passage], spans: npt.NDArray[np.int64], overlap: int) -> None:
    """Any so many tokens in a row are whole in some passage."""
    for first in range(len(spans) - overlap + 1):
        start, end = spans[first][0], spans[first + overlap - 1][1]
        assert any(passage.start <= start and end <= passage.end for passage in passages)


@pytest.mark.parametrize("kind", sorted(TOKENIZERS))
@given(text=st.one_of(LONG_TEXT, GLUED_TEXT), max_tokens=st.integers(16, 60), share=st.sampled_from([0, 2, 4, 8]))
@settings(max_examples=60, derandomize=True, deadline=None)
def test_passages_fit_cover_the_text_and_advance(kind: str, text: str, max_tokens: int, share: int) -> None:
    tokenizer = TOKENIZERS[kind]
    overlap = max_tokens // share if share else 0
    passages = split_passages(text, tokenizer, max_tokens, overlap)
    check(passages, text, tokenizer, max_tokens)
    assert (len(passages) == 1) == (tokenizer.count_tokens([text])[0] <= max_tokens)


@given(
    words=st.lists(st.sampled_from(["ab", "cde", "f.", "ghij!\n", "klmnop", "東京"]), min_size=60, max_size=150),
    data=st.data(),
)
@settings(max_examples=80, derandomize=True, deadline=None)
def test_a_mention_no_longer_than_the_overlap_is_whole_in_some_passage(words: list[str], data: st.DataObject) -> None:
    tokenizer, text = WordTokenizer(), " ".join(words)
    max_tokens = data.draw(st.integers(32, 80))
    overlap = max_tokens // data.draw(st.sampled_from([2, 3, 4, 8]))
    passages = split_passages(text, tokenizer, max_tokens, overlap)
    check_overlap(passages, tokenizer.token_spans(text), overlap)


PIECES = ["a", "Marie", "Curie.", "end!\n", "東京都", "。", "\u0301\u0301", "👩‍💻", "x" * 40, "  ", "\r\n", "Zoë", " "]


@pytest.mark.parametrize("kind", sorted(TOKENIZERS))
@pytest.mark.parametrize(("max_tokens", "overlap"), [(16, 0), (16, 4), (24, 12), (60, 8)])
@pytest.mark.parametrize("seed", range(2))
def test_a_very_long_text_is_split_in_sections_that_join_as_passages_do(
    kind: str, max_tokens: int, overlap: int, seed: int
) -> None:
    chance = random.Random(seed)
    glue = " " if seed % 2 else ""
    text = glue.join(chance.choices(PIECES, weights=[chance.random() for _ in PIECES], k=max_tokens * 150))
    tokenizer = TOKENIZERS[kind]
    counting = Counting(tokenizer)
    passages = split_passages(text, counting, max_tokens, overlap)
    assert counting.longest < len(text) / 2
    check(passages, text, tokenizer, max_tokens)
    if kind == "words" and overlap:  # then tokens are the same wherever a slice begins
        check_overlap(passages, tokenizer.token_spans(text), overlap)


def test_sections_end_behind_sentences() -> None:
    text = "one two three. four five six. " * 400
    passages = split_passages(text.strip(), WordTokenizer(), 40, 4)
    assert all(text[passage.end - 1] == "." for passage in passages)


def test_a_text_that_fits_is_one_passage() -> None:
    assert split_passages("", WordTokenizer(), 8, 2) == [Passage(0, 0)]
    assert split_passages("a b c d", WordTokenizer(), 4, 1) == [Passage(0, 7)]


def test_passages_end_behind_sentences_where_there_are_any() -> None:
    text = "one two three. four five six. " * 20
    passages = split_passages(text.strip(), WordTokenizer(), 40, 4)
    assert len(passages) > 2
    assert all(text[passage.end - 1] == "." for passage in passages)


def test_passages_end_between_words_where_there_are_no_sentences() -> None:
    text = "word " * 200
    for passage in split_passages(text.strip(), WordTokenizer(), 40, 4):
        assert text[passage.start : passage.end].split() == ["word"] * ((passage.end - passage.start + 1) // 5)


@pytest.mark.parametrize("unit", ["東京", "e\u0301", "👩‍💻", "🇩🇪", "한국", "\r\n.", "a\r\n", "क्षि"])
def test_without_spaces_no_character_is_cut(unit: str) -> None:
    text = unit * 300
    for passage in split_passages(text, WordTokenizer(), 41, 5):
        assert not cuts_character(text, passage.start)
        assert not cuts_character(text, passage.end)


def test_a_code_point_larger_than_the_limit_is_a_passage_of_its_own() -> None:
    tokenizer = TOKENIZERS["byte_level"]
    assert tokenizer.count_tokens(["😀"])[0] > 2
    passages = split_passages("😀" * 5, tokenizer, 2, 0)
    assert passages == [Passage(index, index + 1) for index in range(5)]


@pytest.mark.parametrize("unit", ["word and more. ", "x", "東", " ", ".", "\u0301", "\n", '."'])
def test_a_megabyte_is_tokenised_only_a_few_times(unit: str) -> None:
    tokenizer = WordTokenizer()
    text = unit * (1_000_000 // len(unit))
    passages = split_passages(text, tokenizer, 500, 50)
    assert passages[-1].end == len(text)
    assert tokenizer.characters_seen < 8 * len(text)


@pytest.mark.parametrize("kind", sorted(TOKENIZERS))
def test_where_whole_texts_may_be_twice_as_long_all_is_tokenised_once(kind: str) -> None:
    tokenizer, chance = Counting(TOKENIZERS[kind]), random.Random(1)
    for size in (300, 2000, 12000):
        text = " ".join(chance.choices(PIECES, k=size))
        tokenizer.characters_seen = 0
        passages = split_passages(text, tokenizer, 50, 6, whole_tokens=100)
        assert len(passages) > 1
        assert tokenizer.characters_seen < 1.7 * len(text)  # what sections share, and a look at the beginning
        check(passages, text, tokenizer, 100)
        counts = tokenizer.count_tokens([text[passage.start : passage.end] for passage in passages])
        assert sum(count <= 54 for count in counts) > 0.99 * len(counts)  # a few more on their own


@pytest.mark.parametrize(("max_tokens", "overlap"), [(0, 0), (100, 51), (100, -1)])
def test_impossible_sizes_are_refused(max_tokens: int, overlap: int) -> None:
    with pytest.raises(ValueError, match="max_tokens"):
        split_passages("a", WordTokenizer(), max_tokens, overlap)
    with pytest.raises(ValueError, match="whole_tokens"):
        split_passages("a", WordTokenizer(), 10, 2, whole_tokens=9)


def test_merging_shifts_offsets_and_merges_what_overlaps() -> None:
    merged = merge_passages(
        "-.a.......b...",
        [
            PassageAnswer(
                10,
                Outcome.FOUND,
                [Entity("b", 0, 1, "case", 0.9), Entity("a", None, None, "absent"), Entity("z", None, None, "absent")],
                None,
                0.5,
            ),
            PassageAnswer(
                0,
                Outcome.TRUNCATED,
                [Entity("a", 2, 3, "exact"), Entity("b", 10, 11, "exact", 0.2), Entity("z", None, None, "absent")],
                "cut_off",
                0.4,
            ),
        ],
    )
    assert merged.outcome == Outcome.TRUNCATED
    assert merged.repair == "cut_off"
    assert merged.score == 0.4
    assert merged.entities == (
        Entity("a", 2, 3, "exact"),
        Entity("b", 10, 11, "exact", 0.9),
        Entity("z", None, None, "absent"),
    )


class FramedTokenizer(WordTokenizer):
    """Words are tokens; in a prompt a text takes some more of them than bare, or less."""

    def token_spans(self, text: str) -> npt.NDArray[np.int64]:
        return np.array([match.span() for match in re.finditer(r"\S+ ?", text)], np.int64).reshape(-1, 2)


@pytest.mark.parametrize(("words", "extra", "fits"), [(18, 3, False), (20, 1, False), (22, -2, True), (27, -7, True)])
def test_whether_a_text_fits_is_counted_as_in_a_prompt(words: int, extra: int, fits: bool) -> None:
    """Bare, a text of 18 words has fewer tokens than 20, and one of 22 has more."""
    passages = split_passages("word " * words, FramedTokenizer(extra), 10, 2, whole_tokens=20)
    assert (len(passages) == 1) == fits


def test_sections_share_what_passages_share_however_long_tokens_are() -> None:
    tokenizer, text = FramedTokenizer(), " ".join(f"{number:050d}" for number in range(400))
    passages = split_passages(text, tokenizer, 16, 8)
    check_overlap(passages, tokenizer.token_spans(text), 8)


def test_of_two_matches_at_one_place_the_stricter_one_is_kept() -> None:
    places = [(0, 10, "case"), (10, 0, "exact")]
    parts = [PassageAnswer(start, Outcome.FOUND, [Entity("b", at, at + 1, match)]) for start, at, match in places]
    for order in (parts, parts[::-1]):
        assert merge_passages("..........b...", order).entities == (Entity("b", 10, 11, "exact"),)


def test_a_document_without_mentions_is_none_and_scored_as_its_passages() -> None:
    merged = merge_passages(
        "a b c d e", [PassageAnswer(0, Outcome.NONE, [], score=0.5), PassageAnswer(5, Outcome.NONE, [])]
    )
    assert (merged.outcome, merged.entities, merged.repair, merged.score) == (Outcome.NONE, (), None, None)


@given(
    words=st.lists(st.sampled_from(["Ada", "met", "Bob.", "in", "東京", "Zoë"]), min_size=1, max_size=120),
    between=st.sampled_from([" ", ""]),
)
@settings(max_examples=120, derandomize=True, deadline=None)
def test_passages_merged_give_what_the_whole_document_gives(words: list[str], between: str) -> None:
    text = between.join(words)
    mentions = ["Ada", "Bob", "東京", "Ada met Bob", "ZOË"]
    parts = []
    for passage in split_passages(text, WordTokenizer(), 64, 8):
        entities = locate_mentions(text[passage.start : passage.end], mentions)
        parts.append(PassageAnswer(passage.start, Outcome.FOUND, entities))
    assert list(merge_passages(text, parts).entities) == locate_mentions(text, mentions)


def test_a_mention_found_in_another_case_elsewhere_is_not_absent() -> None:
    parts = [
        PassageAnswer(0, Outcome.FOUND, [Entity("ZOË", None, None, "absent")]),
        PassageAnswer(9, Outcome.FOUND, [Entity("Zoë", 0, 3, "case")]),
    ]
    assert merge_passages("in town, Zoë", parts).entities == (Entity("Zoë", 9, 12, "case"),)


def test_a_word_that_only_a_passages_border_made_is_absent() -> None:
    """A text without spaces is cut anywhere: "east" at the start of a passage may be the end of "least"."""
    alone = merge_passages("xxleastxx", [PassageAnswer(3, Outcome.FOUND, [Entity("east", 0, 4, "exact", 0.5)])])
    assert alone.entities == (Entity("east", None, None, "absent", 0.5),)
    beside = [Entity("east", 0, 4, "exact"), Entity("east", 5, 9, "exact")]
    merged = merge_passages("xxleast east", [PassageAnswer(3, Outcome.FOUND, beside)])
    assert merged.entities == (Entity("east", 8, 12, "exact"),)


@given(text=LONG_TEXT, cuts=st.lists(st.tuples(st.integers(0, 300), st.integers(0, 20)), max_size=6))
@settings(max_examples=80, derandomize=True, deadline=None)
def test_overlapping_passages_join_to_their_text(text: str, cuts: list[tuple[int, int]]) -> None:
    parts, covered = [], 0
    for length, overlap in cuts:
        start = max(0, covered - overlap)
        parts.append((start, text[start : covered + length]))
        covered = min(len(text), covered + length)
    assert join_passages([*parts, (covered, text[covered:])]) == text


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([(0, "abc"), (4, "de")], "leaves a gap after 3"),
        ([(1, "abc")], "leaves a gap after 0"),
        ([(-1, "abc")], "leaves a gap"),
        ([(0, "abc"), (2, "xd")], "starts at 2 is not what is there"),
        ([(0, "abcd"), (1, "b_")], "starts at 1 is not what is there"),
    ],
)
def test_passages_that_contradict_each_other_make_no_text(parts: list[tuple[int, str]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        join_passages(parts)
