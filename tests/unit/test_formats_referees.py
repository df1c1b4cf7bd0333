"""Independent referees: seqeval, nervaluate, conllu, bioc, spaCy and datasets read the same files and give the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import conllu
import datasets
import pytest
import spacy
from bioc import pubtator
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nervaluate import Evaluator
from seqeval.metrics import f1_score, precision_score, recall_score
from seqeval.scheme import BILOU, IOB1, IOB2, IOBES
from spacy.tokens import DocBin
from spacy.training import offsets_to_biluo_tags
from spacy.training.converters.conll_ner_to_docs import conll_ner_to_docs

from tests.support.evaluation_data import annotation, entity, write_annotations
from tests.support.gold_files import found_in, read_file, texts_of
from uniner_dist.evaluation import evaluate
from uniner_dist.formats.annotated_document import Document
from uniner_dist.formats.conll.writing import files as conll_files
from uniner_dist.formats.settings import ExportSettings
from uniner_dist.formats.tagging import read_tags

_TYPES = ("PER", "LOC")
_WORDS = [f"w{number}" for number in range(8)]
#: Mentions of a sentence of eight tokens that do not overlap: (type, first, behind).
_SENTENCE = st.lists(st.tuples(st.sampled_from(_TYPES), st.integers(0, 7), st.integers(1, 3)), max_size=4).map(
    lambda drawn: _disjoint([(name, first, min(8, first + length)) for name, first, length in drawn])
)
_SCHEMES = {IOB2: ("B", "I", "I", "B"), IOBES: ("B", "I", "E", "S"), BILOU: ("B", "I", "L", "U")}


def _disjoint(mentions: list[tuple[str, int, int]]) -> list[tuple[str, int, int]]:
    kept: list[tuple[str, int, int]] = []
    for mention in sorted(mentions, key=lambda one: one[1]):
        if not kept or mention[1] >= kept[-1][2]:
            kept.append(mention)
    return kept


def tags_of(mentions: list[tuple[str, int, int]], begin: str, inside: str, last: str, single: str) -> list[str]:
    tags = ["O"] * len(_WORDS)
    for name, first, behind in mentions:
        for token in range(first, behind):
            prefix = begin if token == first else last if token == behind - 1 else inside
            tags[token] = f"{single if behind - first == 1 else prefix}-{name}"
    return tags


@given(
    st.lists(st.tuples(_SENTENCE, _SENTENCE), min_size=1, max_size=6),
    st.sampled_from(list(_SCHEMES)),
)
@settings(max_examples=40, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_strict_scores_are_those_of_seqeval_and_nervaluate(
    tmp_path_factory: pytest.TempPathFactory, sentences: list[tuple[Any, Any]], scheme: Any
) -> None:
    folder = tmp_path_factory.mktemp("gold")
    # A last sentence has both types, so that each is asked of every sentence.
    whole = [("PER" if token < 4 else "LOC", token, token + 1) for token in range(len(_WORDS))]
    sentences = [*sentences, (whole, whole)]
    gold, found = ([tags_of(one[side], *_SCHEMES[scheme]) for one in sentences] for side in (0, 1))
    blocks = ["".join(f"{w}\t{t}\n" for w, t in zip(_WORDS, tags, strict=True)) for tags in gold]
    (folder / "g.conll").write_text("\n".join(blocks))
    rows = []
    for number, (_, answered) in enumerate(sentences):
        for name in _TYPES:
            mine = [(" ".join(_WORDS[a:b]), a * 3) for kind, a, b in answered if kind == name]
            rows.append(annotation(f"g-{number}", name, [entity(text, at) for text, at in mine]))
    scores = evaluate(write_annotations(folder / "a", rows), str(folder / "g.conll"))
    for name, measure in (("precision", precision_score), ("recall", recall_score), ("f1", f1_score)):
        assert scores["strict"][name] == pytest.approx(measure(gold, found, mode="strict", scheme=scheme), abs=1e-9)
    spans = [[_spans(tags) for tags in side] for side in (gold, found)]
    results = Evaluator(*spans, tags=list(_TYPES), loader="dict").evaluate()["overall"]
    assert scores["strict"]["f1"] == pytest.approx(results["strict"].f1, abs=1e-6)
    assert scores["strict"]["counts"]["correct"] == results["strict"].correct
    for name in _TYPES:  # `exact` takes any type for right, so each type is asked alone, as it is here
        alone = [[[span for span in one if span["label"] == name] for one in side] for side in spans]
        theirs = Evaluator(*alone, tags=[name], loader="dict").evaluate()["overall"]["exact"]
        mine = scores["by_type"][name]["strict"]
        assert (mine["counts"]["correct"], mine["f1"]) == (theirs.correct, pytest.approx(theirs.f1, abs=1e-6))


def _spans(tags: list[str]) -> list[dict[str, Any]]:
    return [{"label": name, "start": first, "end": behind - 1} for name, first, behind in read_tags(tags)]


@given(_SENTENCE)
@settings(max_examples=60, derandomize=True, deadline=None)
def test_valid_tags_of_every_scheme_are_read_as_seqeval_reads_them(mentions: list[tuple[str, int, int]]) -> None:
    from seqeval.scheme import Entities

    for scheme, prefixes in _SCHEMES.items():
        tags = tags_of(mentions, *prefixes)
        theirs = [(one.tag, one.start, one.end) for one in Entities([tags], scheme).entities[0]]
        assert read_tags(tags) == sorted(theirs, key=lambda one: one[1])
    apart = [one for number, one in enumerate(mentions) if not number or mentions[number - 1][2] < one[1]]
    inside = tags_of(apart, "I", "I", "I", "I")
    theirs = [(one.tag, one.start, one.end) for one in Entities([inside], IOB1).entities[0]]
    assert read_tags(inside) == sorted(theirs, key=lambda one: one[1])


def test_spacy_reads_what_is_exported_without_comments() -> None:
    text = "Ada Byron met # in New York. 東京 too."
    places = {"famous person": ["Ada Byron"], "city": ["New York", "東京"]}
    answers = [
        {"entity_type": name, "outcome": "found", "score": None,
         "entities": [entity(one, text.index(one)) for one in found]}
        for name, found in places.items()
    ]  # fmt: skip
    settings = ExportSettings(tuple(places), (), (), "xx", comments=False)
    [(_, content)] = conll_files([Document("1", text, answers)], "a", settings)
    docs = list(conll_ner_to_docs(content.decode(), n_sents=1, no_print=True))
    assert [len(doc) for doc in docs] == [8, 4]
    found = [(ent.text, ent.label_) for doc in docs for ent in doc.ents]
    assert found == [("Ada Byron", "famous_person"), ("New York", "city"), ("東 京", "city")]


def test_conllu_and_our_reader_have_the_same_sentences(tmp_path: Path) -> None:
    content = (
        "# newdoc id = a\n# sent_id = 1\n# text = du Pont\n1-2\tdu\t_\t_\t_\t_\t_\t_\t_\t_\n"
        "1\tde\tde\tADP\t_\t_\t3\tcase\t_\t_\n2\tle\tle\tDET\t_\t_\t3\tdet\t_\t_\n"
        "3\tPont\tPont\tPROPN\t_\t_\t0\troot\t_\tNE=B-LOC\n\n"
    )
    [document], _ = read_file(tmp_path, "a.conllu", content)
    [sentence] = conllu.parse(content)
    assert document.text == sentence.metadata["text"]
    tagged = [token["form"] for token in sentence if (token["misc"] or {}).get("NE") == "B-LOC"]
    assert texts_of(document) == {"LOC": tagged}


def test_bioc_and_our_reader_have_the_same_pubtator_mentions(tmp_path: Path) -> None:
    content = "12|t|Ada had flu\n12|a|Bob too, with \u00e9 flu\n12\t0\t3\tAda\tPER\t1\n12\t28\t31\tflu\tDIS\tD1\n\n"
    [document], _ = read_file(tmp_path, "a.pubtator", content)
    [theirs] = pubtator.loads(content)
    assert document.doc_id == theirs.pmid
    assert document.text == f"{theirs.title}\n{theirs.abstract}"
    expected = sorted((int(one.start), int(one.end), one.text) for one in theirs.annotations)
    assert sorted(one for mentions in found_in(document).values() for one in mentions) == expected


def test_spacy_writes_docbin_and_json_that_read_alike(tmp_path: Path) -> None:
    nlp = spacy.blank("xx")
    doc = nlp("Ada Byron met Bob in Rome, \U0001f600 today.")
    places = [(0, 9, "PER"), (14, 17, "PER"), (21, 25, "LOC")]
    doc.set_ents([span for span in (doc.char_span(*place) for place in places) if span is not None])
    expected = {"PER": [(0, 9, "Ada Byron"), (14, 17, "Bob")], "LOC": [(21, 25, "Rome")]}
    [binary], said = read_file(tmp_path, "a.spacy", DocBin(docs=[doc]).to_bytes())
    assert found_in(binary) == expected
    assert "spaCy DocBin" in said[0]
    [written], _ = read_file(tmp_path, "a.json", json.dumps(doc.to_json()))
    assert found_in(written) == expected
    offsets = [(ent.start_char, ent.end_char, ent.label_) for ent in doc.ents]
    tags = offsets_to_biluo_tags(doc, offsets)
    tokens = [{"orth": token.text, "ner": tag} for token, tag in zip(doc, tags, strict=True)]
    old = [{"id": 0, "paragraphs": [{"raw": doc.text, "sentences": [{"tokens": tokens}]}]}]
    [training], _ = read_file(tmp_path, "b.json", json.dumps(old))
    assert found_in(training) == expected


def test_datasets_writes_files_that_are_read_with_the_names_of_their_tags(tmp_path: Path) -> None:
    names = ["O", "B-PER", "I-PER"]
    tags = datasets.Sequence(datasets.ClassLabel(names=names))
    features = datasets.Features({"tokens": datasets.Sequence(datasets.Value("string")), "ner_tags": tags})
    data = datasets.Dataset.from_dict({"tokens": [["Ada", "Byron", "met"]], "ner_tags": [[1, 2, 0]]}, features=features)
    data.to_parquet(tmp_path / "train.parquet")
    data.save_to_disk(tmp_path / "saved")
    [from_parquet], _ = read_file(tmp_path / "x", "train.parquet", (tmp_path / "train.parquet").read_bytes())
    assert texts_of(from_parquet) == {"PER": ["Ada Byron"]}
    from uniner_dist.formats.sources import read_documents, source_format

    kind = source_format(str(tmp_path / "saved"))
    assert kind == "dataset"
    [saved] = read_documents(str(tmp_path / "saved"), kind)[0]
    assert texts_of(saved) == {"PER": ["Ada Byron"]}
