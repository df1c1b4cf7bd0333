"""Gold in the formats of others, and its import as a corpus."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.evaluation_data import annotation, conversation, entity, write_annotations
from uniner_dist.errors import ConfigError
from uniner_dist.evaluation import evaluate, import_gold
from uniner_dist.evaluation.gold import read_gold
from uniner_dist.formats.conll.reading import read_conll
from uniner_dist.formats.conversations import read_answer, read_conversations
from uniner_dist.formats.sources import read_source, source_format
from uniner_dist.formats.tagging import read_tags

_SPANS = st.lists(st.tuples(st.sampled_from(["PER", "LOC", "B-x"]), st.integers(1, 3), st.integers(0, 2)), max_size=6)


def mentions_of(drawn: list[tuple[str, int, int]], gap: int) -> tuple[list[tuple[str, int, int]], int]:
    """Mentions side by side or apart: (type, first, behind), and the number of tokens."""
    mentions, position = [], 0
    for name, length, space in drawn:
        position += max(space, gap)
        mentions.append((name, position, position + length))
        position += length
    return mentions, position + 1


def tags_of(mentions: list[tuple[str, int, int]], tokens: int, first: str, last: str, single: str) -> list[str]:
    tags = ["O"] * tokens
    for name, begin, behind in mentions:
        inside = ["I"] * (behind - begin)
        inside[0] = first
        inside[-1] = last if len(inside) > 1 else single
        tags[begin:behind] = [f"{prefix}-{name}" for prefix in inside]
    return tags


@settings(deadline=None)
@given(_SPANS, st.sampled_from([("B", "I", "B"), ("B", "E", "S"), ("B", "L", "U")]))
def test_every_tagging_scheme_gives_its_mentions_back(drawn: Any, scheme: tuple[str, str, str]) -> None:
    mentions, tokens = mentions_of(drawn, 0)
    assert read_tags(tags_of(mentions, tokens, *scheme)) == mentions


@settings(deadline=None)
@given(_SPANS)
def test_tags_that_only_say_inside_give_mentions_that_do_not_touch(drawn: Any) -> None:
    mentions, tokens = mentions_of(drawn, 1)
    assert read_tags(tags_of(mentions, tokens, "I", "I", "I")) == mentions


def test_a_file_without_borders_has_a_document_per_sentence() -> None:
    content = "EU\tB-ORG\nrejects\tO\n\nPeter\tB-PER\r\nBlackburn\tI-PER\r\n\n\n"
    documents = read_conll(content, "eng.testa")
    assert [(d.doc_id, d.text) for d in documents] == [
        ("eng.testa-0", "EU rejects"),
        ("eng.testa-1", "Peter Blackburn"),
    ]
    assert documents[1].answers == {"PER": [{"text": "Peter Blackburn", "start": 0, "end": 15}]}


def test_document_starts_join_sentences_and_offsets_count_through() -> None:
    sentences = ["EU NNP B-NP B-ORG\n. . O O", "In IN O O\nHong NNP O I-LOC\nKong NNP O I-LOC"]
    content = "\n\n".join(["-DOCSTART- -X- -X- O", *sentences, "-DOCSTART- -X- O O", "Hi UH O O\n"])
    first, second = read_conll(content, "a")
    assert first.text == "EU .\nIn Hong Kong"
    for mentions in first.answers.values():
        for mention in mentions:
            assert first.text[mention["start"] : mention["end"]] == mention["text"]
    assert {name: [m["text"] for m in mentions] for name, mentions in first.answers.items()} == {
        "ORG": ["EU"],
        "LOC": ["Hong Kong"],
    }
    assert (second.doc_id, second.text, second.answers) == ("a-1", "Hi", {})


def test_id_comments_name_documents_and_other_comments_are_skipped() -> None:
    content = "# id = doc-7\n# text = # O\n#\tO\n#id\tO\nRome\tS-LOC\n\n# id 0012 domain=en\nOslo B-LOC\n"
    documents = read_conll(content, "a")
    assert [(d.doc_id, d.text) for d in documents] == [("doc-7", "# #id Rome"), ("0012", "Oslo")]


@pytest.mark.parametrize("space", ["\u00a0", "\u2028", "\x85", "\u3000"])
def test_white_space_of_unicode_inside_a_token_stays_there(space: str) -> None:
    [document] = read_conll(f"5{space}km NN B-length\nfar  RB  O\n", "a")
    assert (document.text, document.answers["length"][0]["text"]) == (f"5{space}km far", f"5{space}km")


def test_a_line_without_a_tag_is_named() -> None:
    with pytest.raises(ConfigError, match=r"gold a.conll, line 2: expected a token and a tag .* got 'Rome'"):
        read_conll("EU B-ORG\nRome\n", "a", "a.conll")


def test_a_folder_of_conll_files_is_one_gold_over_all_types(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.conll").write_text("Rome B-LOC\n")
    (tmp_path / "sub" / "a.bio").write_text("\ufeffAda B-PER\n", encoding="utf-8")
    documents = read_source(str(tmp_path), "conll")
    assert [(d.doc_id, sorted(d.answers)) for d in documents] == [("a-0", ["LOC", "PER"]), ("sub/a-0", ["LOC", "PER"])]
    (tmp_path / "b.json").write_text("[]")
    with pytest.raises(ConfigError, match="both CoNLL and JSON"):
        read_gold(str(tmp_path))


@pytest.mark.parametrize("columns", [["tokens", "ner_tags"], ["doc_id", "entity_type", "entities"]])
def test_a_folder_of_parquet_and_other_gold_files_is_refused(tmp_path: Path, columns: list[str]) -> None:
    pq.write_table(pa.table({name: [["O"]] for name in columns}), tmp_path / "a.parquet")
    for beside in ("README.md", "LICENSE.txt", "dataset_infos.json"):
        (tmp_path / beside).write_text("{}")
    assert source_format(str(tmp_path)) == ("dataset" if "tokens" in columns else None)
    (tmp_path / "b.conll").write_text("Rome B-LOC\n")
    with pytest.raises(ConfigError, match="both CoNLL and Parquet files"):
        source_format(str(tmp_path))


def test_files_that_differ_in_their_endings_alone_are_all_read(tmp_path: Path) -> None:
    for name, line in {"a.conll": "Rome B-LOC", "a.iob": "Ada B-PER", "a.conll.txt": "Oslo B-LOC"}.items():
        (tmp_path / name).write_text(line)
    documents = read_source(str(tmp_path), "conll")
    assert {d.doc_id: d.text for d in documents} == {"a.conll-0": "Rome", "a.conll.txt-0": "Oslo", "a.iob-0": "Ada"}


def test_conversations_about_one_text_are_one_document() -> None:
    content = json.dumps(
        [
            conversation(0, "In Rome", ("city", '["Rome"]')),
            conversation(1, "In Rome", ("the text? in the text?", "[]")),
            conversation(2, "Oslo ", ("city", '["Oslo"]'), ("river", "[]")),
            conversation(3, "In Rome", ("city", "[]")),
        ]
    )
    documents = read_conversations(content, "CrossNER_AI")
    assert [(d.doc_id, d.text, d.answers) for d in documents] == [
        ("CrossNER_AI-0", "In Rome", {"city": ["Rome"], "the text? in the text?": []}),
        ("CrossNER_AI-1", "Oslo ", {"city": ["Oslo"], "river": []}),
        ("CrossNER_AI-2", "In Rome", {"city": []}),
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not JSON"),
        ("{}", "must be a list"),
        ('[{"id": 1}]', "conversation 0"),
        (json.dumps([conversation(0, "x")]), "2 turns"),
        (json.dumps([conversation(0, "x", ("a", "[]"))]).replace("What describes", "Where is"), "unknown question"),
    ],
)
def test_json_of_another_form_is_refused_with_a_reason(content: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_conversations(content, "x", "x.json")


def test_gold_answers_are_read_as_the_authors_do_with_brackets_kept() -> None:
    assert read_answer('["a", "b"] and more') == ["a", "b"]
    assert read_answer('["x [1] y"]') == ["x [1] y"]
    assert read_answer("['a']") == []
    assert read_answer('[1, "a"]') == []


def test_imported_gold_scores_like_its_source(tmp_path: Path) -> None:
    source = tmp_path / "data.json"
    pairs = [conversation(0, "In Rome", ("city", '["Rome"]')), conversation(1, "In Rome", ("person", "[]"))]
    source.write_text(json.dumps(pairs))
    summary = import_gold(str(source), str(tmp_path / "corpus"), str(tmp_path / "gold"))
    assert summary == {"documents": 1, "pairs": 2, "mentions": 1, "types": ["city", "person"], "read": []}
    assert pq.read_table(tmp_path / "corpus").to_pylist() == [{"doc_id": "data-0", "text": "In Rome"}]
    rows = [annotation("data-0", "city", [entity("Rome", 3)]), annotation("data-0", "person", [entity("Rome", 3)])]
    annotations = write_annotations(tmp_path / "annotations", rows)
    of_source, of_import = (evaluate(annotations, str(path)) for path in (source, tmp_path / "gold"))
    assert of_source["official"] == of_import["official"]
    assert of_source["official"]["counts"] == {"correct": 1, "predicted": 2, "gold": 1}


def test_imported_conll_keeps_offsets(tmp_path: Path) -> None:
    (tmp_path / "a.conll").write_text("In O\nRome B-city\n\nNothing O\n")
    import_gold(str(tmp_path / "a.conll"), str(tmp_path / "corpus"), str(tmp_path / "gold"))
    assert pq.read_table(tmp_path / "gold").to_pylist() == [
        {"doc_id": "a-0", "entity_type": "city", "entities": [{"text": "Rome", "start": 3, "end": 7}]},
        {"doc_id": "a-1", "entity_type": "city", "entities": []},
    ]
    assert read_gold(str(tmp_path / "gold")).has_spans


def test_import_refuses_a_folder_with_other_files(tmp_path: Path) -> None:
    (tmp_path / "a.conll").write_text("Rome B-city\n")
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "mine.parquet").write_bytes(b"")
    with pytest.raises(ConfigError, match=r"holds other files \(mine.parquet\)"):
        import_gold(str(tmp_path / "a.conll"), str(tmp_path / "corpus"), str(tmp_path / "gold"))
    with pytest.raises(ConfigError, match=r"no CoNLL .* files there"):
        import_gold(str(tmp_path / "corpus"), str(tmp_path / "c"), str(tmp_path / "g"))
