"""Rows become the documents that a plain loop makes; an export's tokens are cut where mentions begin and end."""

from __future__ import annotations

import gc
import hashlib
from itertools import groupby
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from uniner_dist.export.joining import batch_limits
from uniner_dist.export.rows import documents
from uniner_dist.formats.annotated_document import Mention, without_overlaps
from uniner_dist.formats.tokens import tokenize
from uniner_dist.runtime.garbage import rare_collections
from uniner_dist.schemas import ENTITY

_SCHEMA = pa.schema(
    [
        ("id", pa.int64()),
        ("entity_type", pa.string()),
        ("outcome", pa.string()),
        ("score", pa.float32()),
        ("entities", pa.list_(ENTITY)),
        ("rank", pa.int32()),
        ("carried", pa.string()),
        ("text", pa.string()),
    ]
)
_ANSWER_COLUMNS = ("entity_type", "outcome", "score", "entities")
_ENTITY = {"text": "Ada", "start": 0, "end": 3, "match": "exact", "score": None}
_ANSWERS = st.builds(
    dict,
    id=st.integers(0, 3),
    entity_type=st.sampled_from(["a", "b", "c"]),
    outcome=st.sampled_from(["found", "none", None]),
    score=st.sampled_from([None, 0.5]),
    entities=st.lists(st.just(_ENTITY), max_size=2),
)
_TEXTS = st.builds(
    dict,
    id=st.integers(0, 3),
    rank=st.integers(0, 1),
    carried=st.sampled_from(["", "{}"]),
    text=st.sampled_from(["Ada", "Bob", ""]),
)
_ORDER = {"c": 0, "a": 1, "b": 2}


def _slow(rows: list[dict[str, Any]]) -> list[tuple[Any, str | None, list[Any]]]:
    found = []
    for doc_id, group in groupby(rows, key=lambda row: row["id"]):
        mine = list(group)
        answers = [{name: row[name] for name in _ANSWER_COLUMNS} for row in mine if row.get("text") is None]
        texts = [row for row in mine if row.get("text") is not None]
        texts.sort(key=lambda r: (r["rank"], r["carried"], hashlib.sha256(r["text"].encode()).hexdigest()))
        if answers:
            answers.sort(key=lambda answer: _ORDER[answer["entity_type"]])
            found.append((doc_id, texts[0]["text"] if texts else None, answers))
    return found


@given(st.lists(_ANSWERS | _TEXTS, max_size=16), st.integers(1, 5))
@settings(max_examples=100, derandomize=True, deadline=None)
def test_documents_are_those_of_a_plain_loop(rows: list[dict[str, Any]], size: int) -> None:
    rows.sort(key=lambda row: row["id"])
    table = pa.Table.from_pylist(rows, schema=_SCHEMA)
    found = list(documents(table.to_batches(max_chunksize=size), _ORDER))
    assert [(one.doc_id, one.text, one.answers) for one in found] == _slow(rows)


@given(st.text("ab _\x1c,.é\u0301 ", max_size=12), st.sets(st.integers(0, 12), max_size=4))
@settings(max_examples=100, derandomize=True, deadline=None)
def test_tokens_are_cut_at_borders_and_nowhere_else(text: str, borders: set[int]) -> None:
    whole, cut = tokenize(text), tokenize(text, borders)
    assert not any(start < border < end for border in borders for start, end in cut)
    assert {place for span in cut for place in span} - {place for span in whole for place in span} <= borders
    assert [text[start:end] for start, end in cut if text[start:end].isspace()] == []
    assert "".join(text[start:end] for start, end in cut) == "".join(text[start:end] for start, end in whole)


def test_mentions_that_do_not_overlap_all_stay_in_order() -> None:
    apart = [Mention("b", 4, 7, "Bob"), Mention("a", 0, 3, "Ada")]
    assert without_overlaps(apart) == apart[::-1]
    nested = [Mention("a", 0, 3, "Ada"), Mention("b", 0, 7, "Ada Bob"), Mention("c", 7, 8, ".")]
    assert without_overlaps(nested) == nested[1:]


@pytest.mark.parametrize(
    ("longest", "rows", "measured"), [(0, "4096", False), (1 << 14, "4096", False), (1 << 16, "1024", False),
                                      (1 << 20, "512", True), (1 << 28, "512", True)]
)  # fmt: skip
def test_batches_of_long_texts_are_smaller_and_measured(longest: int, rows: str, measured: bool) -> None:
    limits = batch_limits(longest)
    assert limits["spark.sql.execution.arrow.maxRecordsPerBatch"] == rows
    assert (int(limits["spark.sql.execution.arrow.maxBytesPerBatch"]) == 64 << 20) == measured


def test_collections_are_rare_for_a_while_only() -> None:
    before = gc.get_threshold()
    with rare_collections():
        assert gc.get_threshold()[0] > before[0]
    assert gc.get_threshold() == before


def test_collections_that_are_switched_off_stay_so() -> None:
    before = gc.get_threshold()
    gc.set_threshold(0)
    try:
        with rare_collections():
            assert gc.get_threshold()[0] == 0
    finally:
        gc.set_threshold(*before)
