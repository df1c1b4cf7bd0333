"""A corpus that changes from day to day: only what is new is asked, and the output is what a full run gives."""

from __future__ import annotations

import shutil
from collections import Counter
from typing import Any

import pytest

from tests.support.answering import Cells, Corpus, answer, documents, write_rows
from tests.support.invariants import check_prompts
from uniner_dist.annotations.publication import publish
from uniner_dist.annotations.stage import write_annotations
from uniner_dist.completions.stage import is_complete
from uniner_dist.core.hashing import passage_id, text_digest
from uniner_dist.errors import StageError, ThresholdError
from uniner_dist.pipeline.renewal import is_published
from uniner_dist.prompts.stage import write_prompts
from uniner_dist.storage.answer_store import live_files

pytestmark = pytest.mark.spark

LONG = " ".join(f"Sentence {i} says that Paula met Erik in Oslo or Lima." for i in range(60))


def test_day_by_day_only_new_cells_are_asked_and_the_output_is_a_full_runs(corpus: Corpus) -> None:
    rows = documents(range(30)) | documents(range(30, 60), domain="mail")  # texts of d040 and later stand twice
    rows["long"] = {"text": LONG, "domain": "news"}
    asked: Cells = Counter()

    def day(**options: Any) -> Cells:
        corpus.write(rows)
        received = corpus.run(**options)
        expected, everything = corpus.full(**options)
        assert received == everything - asked, "exactly what was never asked before"
        labels = {row["entity_type"] for row in expected}
        assert [row for row in corpus.rows if row["entity_type"] in labels] == expected
        asked.update(received)
        return received

    assert len(day()) > 80

    rows |= documents(range(70, 75), "Nadia") | documents(range(4), "Rosa") | documents(range(4, 6), domain="mail")
    rows["long"]["text"] = LONG + " Ida was there."
    del rows["d020"], rows["d041"]
    texts = {text for text, _ in day()}
    assert {text for text in texts if "Sentence" not in text} == {
        row["text"] for row in (documents(range(70, 75), "Nadia") | documents(range(4), "Rosa")).values()
    }
    assert 0 < sum("Sentence" in text for text in texts) < 4, "only the passages around the edit"

    received = day(types="PLACE=place,person,event")
    assert {ask for _, ask in received} == {"event"}

    for key in list(rows)[:10]:
        del rows[key]
    assert not day(types="PLACE=place,person,event")
    assert not day(types="human=person"), "another label for the same question"


def test_a_run_with_nothing_new_is_complete_before_any_replica(corpus: Corpus) -> None:
    corpus.write(documents(range(20)))
    corpus.run()
    corpus.write(documents(range(5, 20)))
    run = corpus.open()
    summary = write_prompts(corpus.spark, run)
    assert (summary.prompts, summary.prompts_known, summary.prompts_to_ask) == (30, 30, 0)
    assert summary.estimated_tokens == 0
    assert is_complete(run)


def test_answers_of_a_run_that_never_finished_serve_the_next_one(corpus: Corpus) -> None:
    corpus.write(documents(range(20)))
    crashed = corpus.open()
    write_prompts(corpus.spark, crashed)
    kept = answer(crashed, shards=2)
    assert 0 < len(kept) < 40
    corpus.write(documents(range(10, 30)))
    received = corpus.run()
    expected, everything = corpus.full()
    assert received == everything - kept
    assert corpus.rows == expected


def test_known_passages_have_shards_of_their_own(corpus: Corpus) -> None:
    options = {"prompts.shard_tokens": 500, "prompts.min_shards": 1}
    corpus.write(documents(range(40)))
    corpus.run(**options)
    corpus.write(documents(range(40)) | documents(range(40, 44), "Nadia"))
    run = corpus.open(**options)
    summary = write_prompts(corpus.spark, run)
    shards = check_prompts(run)
    new = {passage_id(row["text"]) for row in documents(range(40, 44), "Nadia").values()}
    for name, passages in shards.items():
        assert set(passages) <= new or not new & set(passages), name
    assert summary.prompts_to_ask == 8
    assert len([name for name, passages in shards.items() if new & set(passages)]) <= 4 < len(shards)  # one a bucket


def test_another_way_of_answering_asks_all_again_and_keeps_old_answers(corpus: Corpus) -> None:
    corpus.write(documents(range(8)))
    first = corpus.run()
    old = corpus.open()
    files = live_files(old.store)
    assert files
    assert corpus.run(**{"model.max_tokens": 63}) == first
    assert live_files(old.store) == files
    # The scripted engine gives no log-probabilities: its answers serve no run that wants confidences.
    assert corpus.run(**{"run.scores": True}) == first


def test_documents_that_left_the_corpus_leave_the_output_alone_of_all(corpus: Corpus) -> None:
    other = documents(range(100, 103), domain="mail")
    elsewhere = write_rows(corpus.folder / "elsewhere", other)
    run = corpus.make_run(elsewhere, **{"engine.extra": {"log": str(corpus.folder / "log.jsonl")}})
    write_prompts(corpus.spark, run)
    answer(run)
    write_annotations(corpus.spark, run)
    publish(corpus.spark, run)

    corpus.write(documents(range(10)))
    corpus.run()
    corpus.write(documents(range(8)))
    corpus.run(types="person")
    cells = {(row["doc_id"], row["entity_type"]) for row in corpus.rows}
    keys = (documents(range(8)) | other).keys()
    assert cells == {(key, label) for key in keys for label in ("person", "PLACE")}, "of labels not asked, too"

    corpus.write(documents(range(3)))
    with pytest.raises(ThresholdError, match=r"10 of 16 rows .* of documents that it no longer has"):
        corpus.run(types="person")
    assert {(row["doc_id"], row["entity_type"]) for row in corpus.rows} == cells
    corpus.run(types="person", **{"output.removed_documents": "keep"})
    assert {(row["doc_id"], row["entity_type"]) for row in corpus.rows} == cells

    corpus.write(documents(range(2)))
    corpus.run(**{"output.removed_documents": "all", "run.max_removed_fraction": 1})
    assert corpus.rows == corpus.full()[0]


def test_a_corpus_that_is_again_as_it_was_is_published_again(corpus: Corpus) -> None:
    corpus.write(documents(range(6)))
    corpus.run()
    first = corpus.open()
    corpus.report(first)
    assert is_published(first)
    expected = corpus.rows
    saved = corpus.folder / "saved"
    shutil.copytree(corpus.folder / "corpus", saved, copy_function=shutil.copy2)
    corpus.write(documents(range(5)) | documents(range(6, 8), "Nadia"))
    corpus.run()
    assert corpus.rows != expected
    assert not is_published(first)
    shutil.rmtree(corpus.folder / "corpus")
    shutil.copytree(saved, corpus.folder / "corpus", copy_function=shutil.copy2)
    write_annotations(corpus.spark, first, again=True)
    present = corpus.rows
    with pytest.raises(StageError, match="a later run over"):
        publish(corpus.spark, first, again=True)
    assert corpus.rows == present, "whoever has not seen that the corpus is as it was publishes nothing"
    again = corpus.open()
    assert again.id == first.id
    publish(corpus.spark, again, again=True)
    assert corpus.rows == expected
    assert is_published(again)


def test_rows_of_types_no_longer_asked_stay_for_unchanged_texts_only(corpus: Corpus) -> None:
    long = {"text": LONG, "domain": "news"}
    corpus.write(documents(range(4)) | {"long": long, "longer": long})
    before = {text for text, _ in corpus.run()}
    edited = {"longer": {"text": LONG + " Ida was there.", "domain": "news"}}
    corpus.write(documents(range(3)) | documents(range(1), "Rosa") | {"long": long} | edited)
    asked = {text for text, _ in corpus.run(types="person")}
    assert not asked & before
    assert {text for text in asked if "Rosa" not in text and "Ida was there." not in text} == set()
    of_places = {row["doc_id"] for row in corpus.rows if row["entity_type"] == "PLACE"}
    assert of_places == {"d001", "d002", "long"}, "d000 and longer were edited, d003 has left"
    digests = {row["doc_id"]: row["text_digest"] for row in corpus.rows}
    assert digests["long"] == text_digest(LONG)
    assert digests["longer"] == text_digest(edited["longer"]["text"])
    options = {"types": "human=person", "output.other_types": "remove"}
    assert not corpus.run(**options)
    assert corpus.rows == corpus.full(**options)[0], "nothing of the old labels is left"
