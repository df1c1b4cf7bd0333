"""Rows of Arrow batches are those that Arrow makes; an export's tokens are cut where mentions begin and end."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from uniner_dist.export.rows import rows_of
from uniner_dist.formats.annotated_document import Mention, without_overlaps
from uniner_dist.formats.tokens import tokenize
from uniner_dist.schemas import ENTITY

_ANSWER = pa.struct(
    [
        ("entity_type", pa.string()),
        ("outcome", pa.string()),
        ("score", pa.float32()),
        ("entities", pa.list_(ENTITY)),
    ]
)
_SCHEMA = pa.schema([("id", pa.int64()), ("text", pa.string()), ("answers", pa.list_(_ANSWER))])
_ENTITY = {"text": "Ada", "start": 0, "end": 3, "match": "exact", "score": None}
_ANSWERS = st.lists(
    st.builds(
        dict,
        entity_type=st.sampled_from(["a", "b"]),
        outcome=st.sampled_from(["found", "none"]),
        score=st.sampled_from([None, 0.5]),
        entities=st.lists(st.just(_ENTITY), max_size=2),
    ),
    max_size=4,
)


@given(st.lists(st.tuples(st.integers(0, 9), st.sampled_from([None, "Ada"]), _ANSWERS), min_size=1, max_size=5))
@settings(max_examples=50, derandomize=True, deadline=None)
def test_rows_are_those_that_arrow_makes(rows: list[tuple[int, str | None, list[object]]]) -> None:
    values = [dict(zip(_SCHEMA.names, row, strict=True)) for row in rows]
    batch = pa.RecordBatch.from_pylist(values, schema=_SCHEMA)
    for part in (batch, batch.slice(1)):
        assert [dict(zip(_SCHEMA.names, row, strict=True)) for row in rows_of(part)] == part.to_pylist()


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
