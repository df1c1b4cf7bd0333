"""Exports: what each format carries comes back from it, by its own library and by our readers."""

from __future__ import annotations

import json
import math
import random
import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import lake_tables
from tests.support.evaluation_data import entity
from tests.support.published import marker_of, published
from uniner_dist.cli.export import ExportOptions, _longest, run_export
from uniner_dist.config.loading import load_sections
from uniner_dist.errors import ConfigError
from uniner_dist.evaluation.gold import read_gold
from uniner_dist.export import writing
from uniner_dist.export.ownership import (
    changed_files,
    check_folder,
    clear_folder,
    has_documents,
    keep_only,
    list_documents,
    write_files,
)
from uniner_dist.export.texts import TextSource, text_sources
from uniner_dist.formats import tokens
from uniner_dist.formats.annotated_document import Document, Mention, without_overlaps
from uniner_dist.formats.conll import writing as conll
from uniner_dist.formats.gold_document import GoldDocument
from uniner_dist.formats.settings import ExportSettings
from uniner_dist.formats.sources import read_source, source_format
from uniner_dist.formats.tokens import borders_of, sentences, tag_bio, tokenize
from uniner_dist.formats.writers import FORMATS, count, get_format
from uniner_dist.schemas import ENTITY
from uniner_dist.storage.tables.open import Wanted

LABELS = ("person", "musical artist", "Ort|a", "Ort/a")
SETTINGS = ExportSettings(LABELS, ("a model",), ("CC BY-NC 4.0",))


def answer(label: str, *entities: dict[str, Any], outcome: str | None = None, score: float | None = None) -> dict:
    found = outcome or ("found" if entities else "none")
    return {"entity_type": label, "outcome": found, "score": score, "entities": list(entities)}


def hostile() -> list[Document]:
    """Ids, texts and mentions that a careless writer would lose or break."""
    emoji = "\U0001f469\u200d\U0001f52c Marie Curie\r\nmet  Ada\u00a0Lovelace \U0001f1e8\U0001f1ed!"
    return [
        Document(
            "1/ü 7 ",
            emoji,
            [
                answer("person", entity("Marie Curie", 4, 0.5), entity("Ada\u00a0Lovelace", 22), entity("Ada", 22)),
                answer("musical artist", entity("Curie\r\nmet  Ada", 10), entity("Curie", 10, match="case")),
                answer("Ort|a", entity("\U0001f1e8\U0001f1ed", 35), score=0.25),
                answer("Ort/a", entity("Atlantis")),
            ],
        ),
        Document(
            "# id = x", "#\n# text = no.\n\nO\tB-x -DOCSTART- </s>", [answer("person"), answer("Ort|a", entity("#", 0))]
        ),
        Document(
            "..", "北京大学在北京。 Hi.", [answer("Ort|a", entity("北京", 0), entity("北京", 5), entity("北京大学", 0))]
        ),
        Document("cut", "Ada ", [answer("person", entity("Ada ", 0), outcome="truncated"), answer("Ort/a")]),
        Document("left out", "Ada", [answer("person", outcome="skipped", score=0.01), answer("Ort/a")]),
        Document("plain", "Nothing here", [answer(label) for label in LABELS]),
    ]


ROWS = pa.schema(
    [
        *[(name, pa.string()) for name in ("id", "text", "carried", "entity_type", "outcome")],
        ("rank", pa.int32()),
        ("score", pa.float32()),
        ("entities", pa.list_(ENTITY)),
    ]
)


def as_rows(doc_id: str, text: str | None, answers: Sequence[Any]) -> list[dict[str, Any]]:
    """What Spark hands to a task of one document."""
    texts = [] if text is None else [{"id": doc_id, "text": text, "rank": 0, "carried": ""}]
    return [*({"id": doc_id, **answer} for answer in answers), *texts]


def spans(answers: dict[str, list[Any]]) -> dict[str, list[tuple[int, int, str]]]:
    return {name: sorted((e["start"], e["end"], e["text"]) for e in found) for name, found in answers.items()}


def placed(document: Document, mentions: Sequence[Mention] | None = None) -> dict[str, list[tuple[int, int, str]]]:
    """What gold should say about a document: its answered types, and the mentions that have a place."""
    kept = document.mentions() if mentions is None else mentions
    found: dict[str, list[tuple[int, int, str]]] = {name: [] for name in document.answered.types}
    for mention in kept:
        found.setdefault(mention.label, []).append((mention.start, mention.end, mention.text))
    return {name: sorted(values) for name, values in found.items()}


def write(folder: Path, name: str, documents: Sequence[Document]) -> Path:
    """As a task does, in two files, with what the export has as a whole."""
    chosen = FORMATS[name]
    half = len(documents) // 2
    written = [*chosen.files(documents[:half], "part-0", SETTINGS), *chosen.files(documents[half:], "part-1", SETTINGS)]
    for path, content in [*written, *chosen.extras(SETTINGS).items(), ("export.json", b"{}")]:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return folder


def read(folder: Path) -> dict[str, GoldDocument]:
    kind = source_format(str(folder))
    assert kind is not None
    return {document.doc_id: document for document in read_source(str(folder), kind)}


def test_the_hostile_documents_are_as_annotated() -> None:
    assert all(document.is_as_annotated() for document in hostile())


# -- overlaps and tokens ---------------------------------------------------------------------------------------------

_PLACES = st.lists(st.tuples(st.integers(0, 12), st.integers(1, 6), st.sampled_from("ab")), max_size=8)


@given(_PLACES)
def test_of_mentions_that_overlap_the_longest_stays_then_the_earliest(drawn: list[tuple[int, int, str]]) -> None:
    mentions = [Mention(label, start, start + length, "x" * length) for start, length, label in drawn]
    kept = without_overlaps(mentions)
    assert all(before.end <= after.start for before, after in pairwise(kept))
    for mention in mentions:
        better = [
            one
            for one in kept
            if one.start < mention.end
            and mention.start < one.end
            and (one.start - one.end, one.start) <= (mention.start - mention.end, mention.start)
        ]
        assert mention in kept or better, "what is left out overlaps something longer, or earlier and as long"


@settings(deadline=None)
@given(st.text(st.sampled_from("aB7_ .,-\n\t\x1c\r\v'"), max_size=30))
def test_the_fast_way_for_ascii_finds_the_same_tokens(text: str) -> None:
    assert list(tokens._ascii(text)) == list(tokens._any(text))


@settings(deadline=None)
@given(st.text(max_size=40), st.sets(st.integers(0, 40), max_size=6))
def test_tokens_hold_everything_but_white_space_and_span_no_border(text: str, borders: set[int]) -> None:
    found = tokenize(text, borders)
    assert "".join(text[start:end] for start, end in found) == "".join(text.split())
    assert all(start < end and not any(start < border < end for border in borders) for start, end in found)


def test_words_accents_and_emoji_stay_whole() -> None:
    text = "The U.S. cafe\u0301, \U0001f469\u200d\U0001f52c 北京 naïve_1"
    found = [text[start:end] for start, end in tokenize(text)]
    assert found == ["The", "U", ".", "S", ".", "cafe\u0301", ",", "\U0001f469\u200d\U0001f52c", "北", "京", "naïve_1"]


def test_tags_and_sentences_keep_mentions_whole() -> None:
    text = "Mr. Bean met Ada. Bob left."
    mentions = [Mention("a", 0, 8, "Mr. Bean"), Mention("b", 18, 21, "Bob")]
    found = tokenize(text, borders_of(mentions))
    assert tag_bio(found, mentions) == ["B-a", "I-a", "I-a", "O", "O", "O", "B-b", "O", "O"]
    assert [list(sentence) for sentence in sentences(text, found, mentions)] == [[0, 1, 2, 3, 4, 5], [6, 7, 8]]


@settings(deadline=None, max_examples=200)
@given(st.text(st.sampled_from("aB7 .!'\n\t\r"), min_size=1, max_size=30), _PLACES)
def test_lines_of_plain_texts_are_those_of_all_texts(text: str, drawn: list[tuple[int, int, str]]) -> None:
    mentions = [
        Mention(label, at, at + size, text[at : at + size]) for at, size, label in drawn if at + size <= len(text)
    ]
    kept = without_overlaps(mentions)
    assert list(conll._plain_sentences(text, kept)) == list(conll._sentences(text, kept))


# -- formats that our readers read back ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["jsonl", "brat", "labelstudio", "conll"])
def test_an_export_read_back_as_gold_has_lost_nothing_that_it_can_carry(name: str, tmp_path: Path) -> None:
    documents = hostile()
    folder = write(tmp_path, name, documents)
    if name == "labelstudio":
        accept_predictions(folder)
    found = read(folder)
    assert set(found) == {document.doc_id for document in documents}
    for document in documents:
        gold = found[document.doc_id]
        assert gold.text == document.text
        expected = placed(document, without_overlaps(document.mentions()) if name == "conll" else None)
        if name == "conll":
            expected = {n: [(s, s + len(t.rstrip()), t.rstrip()) for s, _, t in v] for n, v in expected.items()}
        if name == "brat":  # knows no difference between an empty answer and none
            expected = {label: expected.get(label, []) for label in LABELS}
        if name == "jsonl":
            expected = {a: found for a, found in expected.items() if a in document.answered.types}
        assert spans(gold.answers) == expected


def accept_predictions(folder: Path) -> None:
    """What Label Studio exports when somebody has submitted every task as predicted."""
    for path in folder.glob("part-*.json"):
        tasks = json.loads(path.read_text(encoding="utf-8"))
        for number, task in enumerate(tasks, 1):
            submitted = {"id": number, "was_cancelled": False, "result": task["predictions"][0]["result"]}
            cancelled = {"id": number + 100, "was_cancelled": True, "result": []}
            task |= {"id": number, "annotations": [submitted, cancelled]}
        path.write_text(json.dumps(tasks), encoding="utf-8")


def test_json_lines_carry_everything(tmp_path: Path) -> None:
    folder = write(tmp_path, "jsonl", hostile())
    lines = [line for n in (0, 1) for line in (folder / f"part-{n}.jsonl").read_bytes().decode().splitlines()]
    rows = [json.loads(line) for line in lines]
    assert rows == [{"doc_id": d.doc_id, "text": d.text, "annotations": d.answers} for d in hostile()]


def test_what_a_format_leaves_out_is_counted() -> None:
    document = hostile()[0]
    assert count(document, FORMATS["conll"]) == {
        "mentions": 6,
        "overlaps_left_out": 4,
        "absent": 1,
        "absent_left_out": 1,
        "overlaps_not_flat": 0,
        "details_left_out": 2,
        "unanswered_left_out": 0,
        "ids_left_out": 0,
        "empty_left_out": 0,
    }
    assert count(document, FORMATS["conll"], replace(SETTINGS, comments=False))["ids_left_out"] == 1
    assert count(document, FORMATS["spacy"])["overlaps_not_flat"] == 4
    assert count(document, FORMATS["jsonl"])["overlaps_left_out"] == 0
    assert count(document, FORMATS["brat"])["absent_left_out"] == 1
    with pytest.raises(ConfigError, match="--format tsv: unknown; one of conll, spacy"):
        get_format("tsv")


def test_conll_without_comments_is_tokens_and_tags_alone(tmp_path: Path) -> None:
    documents = [document for document in hostile() if document.text.strip()]
    settings = replace(SETTINGS, comments=False)
    [(path, content)] = FORMATS["conll"].files(documents, "part", settings)
    lines = content.decode().split("\n")
    assert all(line.count("\t") == 1 for line in lines if line)
    [(_, commented)] = FORMATS["conll"].files(documents, "part", SETTINGS)
    bare = [line for line in commented.decode().split("\n") if not line.startswith("# ")]
    assert [line.replace(" ", "_") for line in lines] == [line.replace(" ", "_") for line in bare]
    assert path == "part.conll"


def test_an_export_in_which_people_worked_is_never_replaced(tmp_path: Path) -> None:
    folder = str(tmp_path / "export")
    write_files(folder, "part-0", [("part-00000-00000.conll", b"Ada\tO\n"), ("part-00000-00000/a.ann", b"T1")])
    (tmp_path / "export" / "export.json").write_text(
        json.dumps({"dataset": "uniner-dist export", "format": "conll", "complete": False})
    )
    check_folder(folder, replace=False)
    assert list(changed_files(folder)) == []
    (tmp_path / "export" / "part-00000-00000.conll").write_text("Ada\tB-PER\n")
    (tmp_path / "export" / "notes.txt").write_text("mine")
    assert list(changed_files(folder)) == ["part-00000-00000.conll", "notes.txt"]
    with pytest.raises(ConfigError, match=r"2 files were changed or added .*\(part-00000-00000.conll, notes.txt\)"):
        check_folder(folder, replace=False)
    check_folder(folder, replace=True)
    write_files(folder, "part-0", [("part-00000-00000.conll", b"Ada\tB-PER\n")])  # a task that is tried again
    assert list(changed_files(folder)) == ["notes.txt", "part-00000-00000/a.ann"]
    (tmp_path / "export/.part-00000-00000.conll.0123456789abcdef.tmp").write_bytes(b"Ada")  # of a task that was killed
    clear_folder(folder)
    assert [path.name for path in (tmp_path / "export").rglob("*.*")] == ["notes.txt"]
    with pytest.raises(ConfigError, match="already holds something else"):
        check_folder(folder, replace=True)


def test_changed_tokens_of_a_conll_export_are_an_error_but_not_tags(tmp_path: Path) -> None:
    folder = write(tmp_path, "conll", [Document("a", "Ada  met Bob", [answer("person", entity("Ada", 0))])])
    path = folder / "part-1.conll"
    content = path.read_text()
    path.write_text(content.replace("Bob\tO", "Bob\tB-person"))
    assert spans(read(folder)["a"].answers) == {"person": [(0, 3, "Ada"), (9, 12, "Bob")]}
    path.write_text(content.replace("Bob\tO", "Rob\tO"))
    with pytest.raises(ConfigError, match="the token 'Rob' is not the next one"):
        read(folder)


def test_a_conll_type_that_breaks_lines_is_refused() -> None:
    document = Document("a", "Ada", [answer("a\nb", entity("Ada", 0))])
    with pytest.raises(ConfigError, match="choose another format"):
        list(FORMATS["conll"].files([document], "part", SETTINGS))
    with pytest.raises(ConfigError, match="choose another format"):  # also before there are documents
        list(FORMATS["conll"].files([], "", replace(SETTINGS, labels=("a\nb",))))


def test_brat_files_are_as_brat_writes_them(tmp_path: Path) -> None:
    folder = write(tmp_path, "brat", hostile())
    [path] = folder.glob("part-0/1%2F*.ann")
    lines = path.read_text(encoding="utf-8").splitlines()
    assert "T1\tperson 4 15\tMarie Curie" in lines
    assert "#1\tAnnotatorNotes T1\tscore=0.5000" in lines
    assert "T2\tmusical_artist 10 15\tCurie" in lines
    assert "#2\tAnnotatorNotes T2\tmatch=case" in lines
    assert "T3\tmusical_artist 10 15;17 25\tCurie met  Ada" in lines
    assert "T6\tOrt_a 35 37\t\U0001f1e8\U0001f1ed" in lines
    configuration = (folder / "annotation.conf").read_text()
    assert "[entities]\nperson\nmusical_artist\nOrt_a\nOrt_a_2\n" in configuration
    assert "musical_artist | musical artist\nOrt_a | Ort/a\nOrt_a_2 | Ort/a" in (folder / "visual.conf").read_text()
    with pytest.raises(ConfigError, match="cannot be the name of a file"):
        list(FORMATS["brat"].files([Document("ü" * 100, "a")], "part", SETTINGS))


def test_foreign_brat_files_are_gold_for_all_their_types(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.txt").write_text("Ada met Bob in Rome.")
    (tmp_path / "a.ann").write_text("T1\tPER 0 3;8 11\tAda Bob\nR1\tknows Arg1:T1 Arg2:T1\n#1\tAnnotatorNotes T1\tx\n")
    (tmp_path / "b.txt").write_text("Rome")
    (tmp_path / "b.ann").write_text("T9\tLOC 0 4\tRome\n")
    found = read(tmp_path)
    assert spans(found["a"].answers) == {"PER": [(0, 11, "Ada met Bob")], "LOC": []}
    assert spans(found["b"].answers) == {"PER": [], "LOC": [(0, 4, "Rome")]}
    assert list(read_gold(str(tmp_path / "b.ann")).answers()) == ["b"]
    (tmp_path / "b.ann").write_text("T9\tLOC 0 5\tRome\n")
    with pytest.raises(ConfigError, match=r"b.ann, line 1: offsets 0 to 5 are not in the text of 4"):
        read(tmp_path)
    (tmp_path / "b.txt").unlink()
    with pytest.raises(ConfigError, match=r"its text, b.txt, is not there"):
        read(tmp_path)
    with pytest.raises(ConfigError, match=r"its text, b.txt, is not there"):
        read(tmp_path / "b.ann")
    assert list(read(tmp_path / "a.ann")) == ["a"]
    monkeypatch.chdir(tmp_path)
    assert list(read(Path("a.ann"))) == ["a"]


def test_label_studio_offsets_of_both_kinds_are_read(tmp_path: Path) -> None:
    def task(number: int, start: int, **more: Any) -> dict[str, Any]:
        value = {"start": start, "end": start + 3, "text": "Ada", "labels": ["PER"]}
        result = [{"id": "r", "from_name": "l", "to_name": "t", "type": "labels", "value": value}]
        return {"id": number, "data": {"text": "\U0001f4a9 Ada"}, "annotations": [{"result": result}], **more}

    path = tmp_path / "project.json"
    path.write_text(json.dumps([task(1, 2), task(2, 3), task(3, 2, annotations=[])]))
    found = read(path)
    assert {name: spans(gold.answers) for name, gold in found.items()} == {
        "project-1": {"PER": [(2, 5, "Ada")]},
        "project-2": {"PER": [(2, 5, "Ada")]},
    }
    path.write_text(json.dumps([task(1, 1)]))
    with pytest.raises(ConfigError, match=r"task 1: offsets 1 to 4"):
        read(path)
    path.write_text(json.dumps([task(1, 2, annotations=[])]))
    with pytest.raises(ConfigError, match="no task of this Label Studio file was annotated"):
        read(path)


def test_json_min_has_tasks_without_mentions_and_tasks_without_annotation(tmp_path: Path) -> None:
    def task(number: int | None, annotation: int | None, **more: Any) -> dict[str, Any]:
        own = {
            "annotator": 1,
            "annotation_id": annotation,
            "created_at": "2026",
            "updated_at": "2026",
            "lead_time": 1.5,
        }
        return {"text": "Ada", **({} if number is None else {"id": number}), **more, **own}

    label = [{"start": 0, "end": 3, "text": "Ada", "labels": ["PER"]}]
    path = tmp_path / "project.json"
    path.write_text(json.dumps([task(1, 10), task(2, 20, label=label), task(3, 30, kind="a"), task(4, None)]))
    assert {name: spans(gold.answers) for name, gold in read(path).items()} == {
        "project-1": {"PER": []},
        "project-2": {"PER": [(0, 3, "Ada")]},
        "project-3": {"PER": []},
    }
    path.write_text(json.dumps([task(1, 10)]))
    assert {name: gold.text for name, gold in read(path).items()} == {"project-1": "Ada"}
    path.write_text(json.dumps([task(None, 10), task(None, 20), task(3, 30, doc_id=7, entity_types=["PER", "LOC"])]))
    assert {name: list(gold.answers) for name, gold in read(path).items()} == {
        "project-0": ["PER", "LOC"],
        "project-1": ["PER", "LOC"],
        "7": ["PER", "LOC"],
    }


def test_label_studio_tasks_may_be_one_object_or_below_a_key(tmp_path: Path) -> None:
    result = [{"type": "labels", "value": {"start": 0, "end": 3, "text": "Ada", "labels": ["PER"]}}]
    task = {"id": 1, "data": {"text": "Ada"}, "annotations": [{"result": result}]}
    path = tmp_path / "project.json"
    for content in (task, {"data": [task]}, [task]):
        path.write_text(json.dumps(content))
        assert {name: spans(gold.answers) for name, gold in read(path).items()} == {
            "project-1": {"PER": [(0, 3, "Ada")]}
        }


def test_label_studios_own_library_accepts_tasks_and_interface(tmp_path: Path) -> None:
    from label_studio_sdk.label_interface.interface import LabelInterface  # a second to import

    folder = write(tmp_path, "labelstudio", hostile())
    interface: Any = LabelInterface((folder / "labelling_interface.xml").read_text(encoding="utf-8"))
    interface.validate()
    tasks = [task for n in (0, 1) for task in json.loads((folder / f"part-{n}.json").read_text(encoding="utf-8"))]
    assert all(interface.validate_task({"data": task["data"]}) for task in tasks)
    assert {label for control in interface.controls for label in control.labels} == set(LABELS)
    for task in tasks:
        problems = interface.validate_prediction(task["predictions"][0], return_errors=True)
        assert problems == []
    tasks[0]["predictions"][0]["result"][0]["value"]["labels"] = ["no such label"]
    assert interface.validate_prediction(tasks[0]["predictions"][0], return_errors=True), "the library does look"


def test_a_task_writes_files_of_some_documents_each_and_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "_DOCUMENTS", 2)
    rows = [row for document in hostile() for row in as_rows(document.doc_id, document.text, document.answers[::-1])]
    answers = hostile()[0].answers
    rows += [*as_rows("gone", None, answers), *as_rows("edited", "another", answers), *as_rows("unasked", "text", ())]
    batches = pa.Table.from_pylist(rows, ROWS).to_batches(max_chunksize=3)
    write_task = writing.DocumentWriter(str(tmp_path), "jsonl", SETTINGS)
    [counted] = [batch.to_pylist()[0] for batch in write_task(iter(batches))]
    assert (counted["documents"], counted["files"], counted["without_text"], counted["text_changed"]) == (6, 3, 1, 1)
    assert counted["mentions"] == sum(len(document.mentions()) for document in hostile())
    stems = counted["parts"]
    assert sorted(path.name for path in tmp_path.glob("part-*")) == [f"{stem}.jsonl" for stem in stems]
    assert [re.sub("-[0-9a-f]{8}$", "", stem) for stem in stems] == [f"part-00000-0000{n}" for n in range(3)]
    first = json.loads((tmp_path / f"{stems[0]}.jsonl").read_text(encoding="utf-8").splitlines()[0])
    assert [answer["entity_type"] for answer in first["annotations"]] == list(LABELS)
    twice = pa.Table.from_pylist(as_rows("a", "a", [answer("person")] * 2), ROWS).to_batches()
    with pytest.raises(ConfigError, match="document a: an entity type is more than once"):
        list(write_task(iter(twice)))


def test_of_two_attempts_of_a_task_of_an_export_one_counts(tmp_path: Path) -> None:
    folder = str(tmp_path)
    for attempt in ("aaaaaaaa", "bbbbbbbb"):
        stem = f"part-00000-00000-{attempt}"
        list_documents(folder, stem, "salt", ["a", attempt])
        write_files(folder, stem, [(f"{stem}.jsonl", b"{}"), (f"{stem}/a.txt", b"a")])
    write_files(folder, "extras", [("README.md", b"")])
    keep_only(folder, ["part-00000-00000-bbbbbbbb", "extras"])
    names = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    stem = "part-00000-00000-bbbbbbbb"
    lists = {f"_export/{name}" for name in (f"{stem}.sha256", f"{stem}.documents", "extras.sha256")}
    assert names == {f"{stem}.jsonl", f"{stem}/a.txt", "README.md", *lists}
    assert list(changed_files(folder)) == []
    assert [has_documents(folder, "salt", [one]) for one in ("a", "aaaaaaaa", "bbbbbbbb")] == [True, False, True]


# -- formats that their own libraries read back ----------------------------------------------------------------------


def test_spacy_reads_every_mention_and_everything_published(tmp_path: Path) -> None:
    import spacy
    from spacy.tokens import DocBin

    folder = write(tmp_path, "spacy", hostile())
    nlp = spacy.blank("xx")
    docs = [doc for n in (0, 1) for doc in DocBin().from_disk(folder / f"part-{n}.spacy").get_docs(nlp.vocab)]
    for document, doc in zip(hostile(), docs, strict=True):
        assert doc.text == document.text
        assert doc.user_data["doc_id"] == document.doc_id
        assert json.dumps(doc.user_data["annotations"]) == json.dumps(document.answers)
        found = [(span.label_, span.start_char, span.end_char, span.text) for span in doc.spans["sc"]]
        assert found == [(m.label, m.start, m.end, m.text) for m in document.mentions()]
        flat = [(m.label, m.start, m.end) for m in without_overlaps(document.mentions())]
        assert [(span.label_, span.start_char, span.end_char) for span in doc.ents] == flat


@settings(deadline=None, max_examples=60)
@given(st.text(st.sampled_from("aB \n.,'\u00e9\u4eac\U0001f469"), min_size=1, max_size=24), st.randoms())
def test_any_span_of_any_text_is_a_span_of_spacy(text: str, rng: random.Random) -> None:
    from uniner_dist.formats.spacy.writing import _doc, _pipeline

    borders = sorted(rng.sample(range(len(text) + 1), min(len(text) + 1, 4)))
    pairs = [(start, end) for start in borders for end in borders if start < end]
    document = Document("a", text, [answer("x", *[entity(text[s:e], s) for s, e in pairs])])
    doc = _doc(_pipeline("xx"), document)
    assert doc.text == text
    assert sorted((span.start_char, span.end_char) for span in doc.spans["sc"]) == sorted(pairs)


def test_conllu_reads_tokens_tags_and_comments(tmp_path: Path) -> None:
    import conllu

    documents = [document for document in hostile() if "#" not in document.text]  # begins a comment to this library
    folder = write(tmp_path, "conll", documents)
    content = "".join((folder / f"part-{n}.conll").read_text(encoding="utf-8") for n in (0, 1))
    found: dict[str, list[tuple[str, str]]] = {}
    doc_id = ""
    for sentence in conllu.parse(content, fields=["form", "tag"]):
        if "uniner_id" in sentence.metadata:  # with a document's first sentence
            doc_id = json.loads(sentence.metadata["uniner_id"])
        found.setdefault(doc_id, []).extend((token["form"], token["tag"]) for token in sentence)
    for document in documents:
        kept = without_overlaps(document.mentions())
        places = tokenize(document.text, borders_of(kept))
        words = [document.text[start:end] for start, end in places]
        assert found[document.doc_id] == list(zip(words, tag_bio(places, kept), strict=True))


def test_hugging_face_datasets_reads_rows_features_and_tags(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    import datasets

    folder = write(tmp_path / "export", "hf", hostile())
    loaded = datasets.load_dataset(str(folder), split="train", cache_dir=str(tmp_path / "cache"))
    names = loaded.features["ner_tags"].feature.names
    assert names[:3] == ["O", "B-person", "I-person"]
    for document, row in zip(hostile(), loaded, strict=True):
        assert (row["doc_id"], row["text"]) == (document.doc_id, document.text)
        published = [{**e, "entity_type": a["entity_type"]} for a in document.answers for e in a["entities"]]
        assert [{**e, "score": None} for e in row["entities"]] == [{**e, "score": None} for e in published]
        assert all(
            a["score"] == b["score"] or math.isclose(a["score"], b["score"], rel_tol=1e-6)
            for a, b in zip(row["entities"], published, strict=True)
        )
        assert [(a["entity_type"], a["outcome"]) for a in row["answers"]] == [
            (a["entity_type"], a["outcome"]) for a in document.answers
        ]
        kept = without_overlaps(document.mentions())
        places = tokenize(document.text, borders_of(kept))
        assert row["tokens"] == [document.text[start:end] for start, end in places]
        assert [names[tag] for tag in row["ner_tags"]] == tag_bio(places, kept)


# -- options ---------------------------------------------------------------------------------------------------------


def test_wrong_options_are_named_before_spark_is_started(tmp_path: Path) -> None:
    def refused(words: str, **options: Any) -> None:
        given = {"annotations": str(tmp_path / "none"), "to": str(tmp_path / "to"), "format": "jsonl", **options}
        with pytest.raises(ConfigError, match=words):
            run_export(ExportOptions(**given), (), [], print)

    refused("--format docx: unknown; one of conll, spacy, labelstudio, hf, brat, jsonl", format="docx")
    refused("none: is not there")
    (tmp_path / "none").mkdir()
    refused("does not say what it was made of; give --corpus")
    refused("--sample 0: must be at least 1", sample=0)
    (tmp_path / "corpus").mkdir()
    refused("--language xqz: spaCy has no tokenizer", format="spacy", language="xqz", corpus=str(tmp_path / "corpus"))
    (tmp_path / "to").mkdir()
    (tmp_path / "to" / "thesis.txt").write_text("mine")
    refused(r"already holds something else \(thesis.txt", corpus="anything")


def test_texts_come_from_every_corpus_named_the_latest_first() -> None:
    marker = marker_of(
        a=published("/c/day=1", 1, text_column="body"),
        b=published("/other", 2),
        c=published("/c", 3, text_column="body"),
        d=published("/other", 4, text_column="content"),
    )
    plain = load_sections(None).corpus
    sources = text_sources("/annotations", marker, None, None, plain)
    assert sources == [TextSource("/other", "content"), TextSource("/c", "body")]
    assert text_sources("/annotations", marker, "/mine", "words", plain) == [TextSource("/mine", "words")]
    assert text_sources("/annotations", marker, "/c", None, plain) == [TextSource("/c", "body")]


def test_texts_of_a_table_are_those_of_the_version_that_was_annotated(tmp_path: Path) -> None:
    path = lake_tables.delta(tmp_path / "t", 1, 2)
    marker = marker_of(a=published(path, 1, corpus_pinned="7"), b=published(path, 2, corpus_pinned="0"))
    plain = load_sections(None).corpus
    pinned = TextSource(path, "text", Wanted(pinned="0"))
    assert text_sources("/annotations", marker, None, None, plain) == [pinned]
    assert text_sources("/annotations", marker, path, None, plain) == [pinned]
    asked = load_sections(None, ["corpus.version=1"]).corpus
    assert text_sources("/annotations", marker, None, None, asked) == [TextSource(path, "text", Wanted(version="1"))]
    DeltaTable(path).delete("doc_id = '2'")
    assert sum(pinned.snapshot().rows) == 2
    DeltaTable(path).vacuum(0, dry_run=False, enforce_retention_duration=False)
    with pytest.raises(ConfigError, match=r"was vacuumed.*the version that was annotated; `--set corpus\.version="):
        pinned.listing()


def test_texts_are_as_long_as_any_run_of_the_output_took_them() -> None:
    marker = marker_of(a=published("/c", 1, max_text_bytes=200 << 20), b=published("/d", 2))
    assert _longest(marker, 64 << 20) == 200 << 20
    assert _longest(marker, 300 << 20) == 300 << 20
    assert _longest(None, 64 << 20) == 64 << 20
