"""Files with offsets: each mention is compared with the text, however they count; refusals name file and line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.gold_files import found_in, read_file, rows, texts_of
from uniner_dist.errors import ConfigError
from uniner_dist.formats.coordinates import Claim, place_claims
from uniner_dist.formats.sources import read_documents, source_format


@given(st.text("aé😀\r\n ", min_size=1, max_size=12), st.data())
@settings(max_examples=400, derandomize=True, deadline=None)
def test_offsets_of_any_way_of_counting_come_back_as_code_points(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    units = (len, lambda part: len(part.encode("utf-16-le")) // 2, lambda part: len(part.encode()))
    for encode in units:
        # The rest of the text makes sure that only one way of counting is true.
        claims = [Claim(encode(text[:at]), encode(text[: at + 1]), text[at], "f") for at in range(len(text))]
        claims = [claim for claim in claims if not (claim.said or "").isspace()]
        claims.append(Claim(encode(text[:start]), encode(text[:end]), text[start:end], "f"))
        placed = place_claims(text, claims)[-1]
        assert "".join(placed["text"].split()) == "".join(text[start:end].split())


def brat(folder: Path, text: bytes, *mentions: str) -> Any:
    (folder / "a.txt").write_bytes(text)
    return read_file(folder, "a.ann", "".join(f"T{n}\t{line}\n" for n, line in enumerate(mentions)))[0][0]


def test_brat_offsets_may_count_line_breaks_marks_and_units_otherwise(tmp_path: Path) -> None:
    crlf = brat(tmp_path, b"Ada met Bob.\r\nShe left Rome.\r\n", "PER 0 3\tAda", "PER 13 16\tShe", "LOC 22 26\tRome")
    assert found_in(crlf) == {"PER": [(0, 3, "Ada"), (14, 17, "She")], "LOC": [(23, 27, "Rome")]}
    same = brat(tmp_path, b"Ada met Bob.\r\nShe left Rome.\r\n", "PER 14 17\tShe", "LOC 23 27\tRome")
    assert found_in(same) == {"PER": [(14, 17, "She")], "LOC": [(23, 27, "Rome")]}
    for first in ("0 3", "1 4"):
        marked = brat(tmp_path, b"\xef\xbb\xbfAda met", f"PER {first}\tAda")
        assert (marked.text, found_in(marked)) == ("Ada met", {"PER": [(0, 3, "Ada")]})
    emoji = brat(tmp_path, "\U0001f600 Ada".encode(), "PER 3 6\tAda")
    assert found_in(emoji) == {"PER": [(2, 5, "Ada")]}


def test_brat_mentions_that_are_not_where_they_say_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"a.ann, line 1: offsets 9 to 14 are 'afka ' in the text, not 'Kafka'"):
        brat(tmp_path, b"Ich las Kafka gern.", "PER 9 14\tKafka")
    with pytest.raises(ConfigError, match=r"a.ann, line 2: offsets 4 to 7"):
        brat(tmp_path, b"Ada met Bob.", "PER 0 3\tAda", "PER 4 7\tBob")
    with pytest.raises(ConfigError, match=r"a.txt, line 2: is not UTF-8"):
        brat(tmp_path, b"Ada\nJos\xe9", "PER 0 3\tAda")


def test_brat_mentions_in_pieces_are_compared_piece_by_piece(tmp_path: Path) -> None:
    document = brat(tmp_path, b"North and South\nKorea", "LOC 0 5;16 21\tNorth Korea", "LOC 10 15;16 21\tSouth Korea")
    assert found_in(document) == {"LOC": [(0, 21, "North and South\nKorea"), (10, 21, "South\nKorea")]}
    with pytest.raises(ConfigError, match="line 1: offsets"):
        brat(tmp_path, b"North and South Korea", "LOC 0 5;16 21\tNorth China")


def task(text: str, *regions: dict[str, Any], **data: Any) -> dict[str, Any]:
    result = [{"type": kind, "to_name": "t", "value": value} for one in regions for kind, value in one.items()]
    return {"id": 1, "data": {"text": text, **data}, "annotations": [{"result": result}]}


def region(start: int, end: int, text: str, label: str = "PER") -> dict[str, Any]:
    return {"labels": {"start": start, "end": end, "text": text, "labels": [label]}}


@pytest.mark.parametrize("said", ["Anna\\nLarsen", "AnnaLarsen", "Anna Larsen", "Anna\nLarsen"])
def test_label_studio_shows_line_breaks_as_it_likes(tmp_path: Path, said: str) -> None:
    [document], _ = read_file(tmp_path, "p.json", json.dumps([task("Dr:\nAnna\nLarsen", region(4, 15, said))]))
    assert found_in(document) == {"PER": [(4, 15, "Anna\nLarsen")]}


def test_label_studio_offsets_behind_the_end_are_utf16_or_wrong(tmp_path: Path) -> None:
    [document], said = read_file(tmp_path, "p.json", json.dumps([task("go \U0001f600", region(3, 5, "\U0001f600"))]))
    assert found_in(document) == {"PER": [(3, 4, "\U0001f600")]}
    assert "1 documents whose offsets count UTF-16 units" in said
    with pytest.raises(ConfigError, match=r"task 1: offsets 3 to 12 are not in the text of 7"):
        read_file(tmp_path, "p.json", json.dumps([task("In Rome", region(3, 12, "Rome"))]))


@pytest.mark.parametrize(
    ("one", "problem"),
    [
        (task("x", {"paragraphlabels": {"start": "0", "end": "0", "paragraphlabels": ["A"]}}), "type paragraphlabels"),
        (
            task("<p>x", {"hypertextlabels": {"start": "/p[1]/text()[1]", "end": "/p[1]", "hypertextlabels": ["A"]}}),
            "type hyper",
        ),
        (task("x", {"rectanglelabels": {"x": 1}}), "type rectanglelabels"),
        (
            {"id": 1, "data": {"dialogue": [{"text": "x"}], "title": "y"}, "annotations": [{"result": []}]},
            "no string under `text`",
        ),
        (task("s3://bucket/a.txt"), "URLs in place of their texts"),
    ],
)
def test_label_studio_parts_that_cannot_be_read_are_refused(tmp_path: Path, one: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        read_file(tmp_path, "p.json", json.dumps([one]))


def test_label_studio_texts_are_told_apart_by_what_was_marked(tmp_path: Path) -> None:
    one = task("", region(4, 7, "Ada"))
    one["data"] = {"title": "The title", "body": "and Ada"}
    [document], _ = read_file(tmp_path, "p.json", json.dumps([one]))
    assert (document.text, found_in(document)) == ("and Ada", {"PER": [(4, 7, "Ada")]})


def test_label_studio_choices_are_counted_and_json_min_is_read(tmp_path: Path) -> None:
    one = task("Ada", region(0, 3, "Ada"), {"choices": {"choices": ["sport"]}})
    [document], said = read_file(tmp_path, "p.json", json.dumps([one]))
    assert texts_of(document) == {"PER": ["Ada"]}
    assert "1 results of type choices are not mentions and are left out" in said
    small = {
        "id": 7,
        "text": "Ada",
        "label": [{"start": 0, "end": 3, "text": "Ada", "labels": ["PER"]}],
        "annotator": 1,
    }
    [document], _ = read_file(tmp_path, "min.json", json.dumps([small]))
    assert texts_of(document) == {"PER": ["Ada"]}


PAIR = ["Ada met Bob", {"entities": [[0, 3, "PER"], [8, 11, "PER"]]}]
WORDS = ["Ada", "met", "Bob"]
TOKENS = [{"orth": word, "ner": tag} for word, tag in [("Ada", "U-PER"), ("met", "O"), ("Bob", "U-PER")]]

PARAGRAPH = {"raw": "Ada met Bob", "sentences": [{"tokens": TOKENS}]}


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("a.jsonl", rows({"id": 7, "text": "Ada met Bob", "label": [[0, 3, "PER"], [8, 11, "PER"]]}), "doccano"),
        (
            "b.jsonl",
            rows({"id": 7, "text": "Ada met Bob", "relations": [], "entities": [
                {"id": 1, "label": "PER", "start_offset": 0, "end_offset": 3},
                {"id": 2, "label": "PER", "start_offset": 8, "end_offset": 11}]}),
            "doccano",
        ),
        (
            "c.jsonl",
            rows(
                {"text": "Ada met Bob", "meta": {"id": 7}, "answer": "accept", "spans": [
                    {"start": 0, "end": 3, "label": "PER", "token_start": 0}, {"start": 8, "end": 11, "label": "PER"}]},
                {"text": "x", "spans": [], "answer": "ignore"},
            ),
            "Prodigy",
        ),
        ("d.json", json.dumps([{"id": 7, "paragraphs": [PARAGRAPH]}]), "spaCy"),
        ("e.json", json.dumps({"id": 7, "text": "Ada met Bob", "ents": [
            {"start": 0, "end": 3, "label": "PER"}, {"start": 8, "end": 11, "label": "PER"}], "tokens": []}), "spaCy"),
        ("7.json", json.dumps([PAIR]), "pairs of text and entities"),
        ("7.jsonl", rows(PAIR), "pairs of text and entities"),
        ("f.json", json.dumps({"classes": ["PER"], "annotations": [None, PAIR]}), "pairs of text and entities"),
        ("g.json", json.dumps([{"id": 7, "tokenized_text": WORDS, "ner": [[0, 0, "PER"], [2, 2, "PER"]]}]), "GLiNER"),
        ("h.jsonl", rows({"id": 7, "tokens": ["Ada", "met", "Bob"], "ner_tags": ["B-PER", "O", "B-PER"]}), "token"),
        ("i.json", json.dumps({"train": [{"id": 7, "words": WORDS, "ner": ["PER", "O", "PER"]}]}), "token"),
        ("j.txt", "7|t|Ada met\n7|a|Bob\n7\t0\t3\tAda\tPER\tD1\n7\t8\t11\tBob\tPER\n7\tCID\tD1\tD2\n\n", "PubTator"),
    ],
)  # fmt: skip
def test_every_tool_s_form_gives_the_same_mentions(tmp_path: Path, name: str, content: str, kind: str) -> None:
    documents, said = read_file(tmp_path, name, content)
    assert len(documents) == 1
    assert documents[0].text.split() == ["Ada", "met", "Bob"]
    assert found_in(documents[0]) == {"PER": [(0, 3, "Ada"), (8, 11, "Bob")]}
    assert kind in said[0]
    assert documents[0].doc_id in ("7", "7-0", "f-0")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ({"doc_id": "d", "text": "In Rome", "annotations": [{"entity_type": "LOC", "entities": [
            {"text": "Rome", "start": 3, "end": 12}]}]}, "offsets 3 to 12 are not in the text of 7 characters"),
        ({"doc_id": "d", "text": "x", "annotations": [{"entity_type": "L", "entities": []}] * 2}, "'L' occurs twice"),
        ({"id": 1, "text": "In Rome", "label": [[3, 12, "LOC"]]}, "offsets 3 to 12 are not in the text"),
        ({"id": 1, "text": "fine", "label": ["positive"]}, "one of the whole text"),
        ({"text": "In Rome", "spans": [{"start": 3, "end": 2, "label": "LOC"}]}, "offsets 3 to 2"),
        ({"tokens": ["Ada"], "ner_tags": [1]}, "nothing says their names"),
        ({"tokens": ["Ada"], "ner_tags": ["O", "O"]}, "1 tokens and 2 ner_tags"),
        ({"tokenized_text": ["Ada"], "ner": [[0, 1, "PER"]]}, "tokens 0 to 1 are not in a text of 1"),
        ({"sentence": "Ada"}, "is not of a known form: keys sentence"),
    ],
)  # fmt: skip
def test_rows_that_contradict_themselves_name_file_and_line(tmp_path: Path, content: Any, problem: str) -> None:
    with pytest.raises(ConfigError, match=r"a\.jsonl, line 2") as caught:
        read_file(tmp_path, "a.jsonl", "\n" + rows(content))
    assert problem in str(caught.value)


def test_prodigy_tasks_without_marks_are_documents_without_mentions(tmp_path: Path) -> None:
    bare = {"text": "It rains", "_task_hash": 1, "answer": "accept"}
    marked = {"text": "Ada", "spans": [{"start": 0, "end": 3, "label": "PER"}], "answer": "accept"}
    documents, _ = read_file(tmp_path, "p.jsonl", rows(bare, marked, {"text": "x", "answer": "reject"}))
    assert [document.answers["PER"] != [] for document in documents] == [False, True]


def test_a_text_by_url_is_named_as_one(tmp_path: Path) -> None:
    one = task("https://x.org/a.txt", region(0, 3, "Ada"))
    with pytest.raises(ConfigError, match=r"task 1: has a URL in place of its text"):
        read_file(tmp_path, "p.json", json.dumps([one]))


def test_rows_of_two_kinds_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"line 2: is not of the form of doccano"):
        read_file(tmp_path, "a.jsonl", rows({"text": "x", "label": []}, {"tokens": ["x"], "ner_tags": ["O"]}))


def test_pubtator_mentions_are_compared_with_title_and_abstract(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"a.pubtator, line 3: offsets 7 to 10"):
        read_file(tmp_path, "a.pubtator", "7|t|Ada met\n7|a|Bob\n7\t7\t10\tBob\tPER\tD1\n")


NAMES = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
FEATURES = {"tokens": {"feature": {"dtype": "string", "_type": "Value"}, "_type": "Sequence"},
            "ner_tags": {"feature": {"names": NAMES, "_type": "ClassLabel"}, "_type": "Sequence"}}  # fmt: skip
TABLE = pa.table({"id": ["a"], "tokens": [["Ada", "Byron", "saw", "Rome"]], "ner_tags": [[1, 2, 0, 3]]})


@pytest.mark.parametrize("place", ["metadata", "info", "card", "arrow", "nowhere"])
def test_hugging_face_tags_have_the_names_of_their_features(tmp_path: Path, place: str) -> None:
    metadata = {"huggingface": json.dumps({"info": {"features": FEATURES}})}
    table = TABLE.replace_schema_metadata(metadata if place in ("metadata", "arrow") else None)
    if place == "arrow":
        with pa.ipc.new_stream(tmp_path / "data-00000-of-00001.arrow", table.schema) as writer:
            writer.write_table(table)
        (tmp_path / "dataset_info.json").write_text("{}")
        (tmp_path / "state.json").write_text("{}")
    else:
        pq.write_table(table, tmp_path / "train.parquet")
    if place == "info":
        (tmp_path / "dataset_info.json").write_text(json.dumps({"features": FEATURES}))
    if place == "card":
        names = "".join(f"\n          '{number}': {name}" for number, name in enumerate(NAMES))
        (tmp_path / "README.md").write_text(
            "---\ndataset_info:\n  features:\n  - name: ner_tags\n    sequence:\n      class_label:\n        names:"
            + names
            + "\n---\n"
        )
    kind = source_format(str(tmp_path))
    assert kind == "dataset"
    if place == "nowhere":
        with pytest.raises(ConfigError, match=r"train.parquet, row 0.*nothing says their names"):
            read_documents(str(tmp_path), kind)
        return
    [document], _ = read_documents(str(tmp_path), kind)
    assert (document.doc_id, texts_of(document)) == ("a", {"PER": ["Ada Byron"], "LOC": ["Rome"]})
