"""Merged answers of split documents are checked against the document's text before anyone sees them."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from uniner_dist.annotations.answers import ANSWERS, check_offsets
from uniner_dist.annotations.documents import DocumentMerger
from uniner_dist.core.hashing import passage_id
from uniner_dist.core.spans import Entity
from uniner_dist.errors import AuditError

TEXT = "In Rome lives Ada. Ada has a cat. The cat of Ada is old."
PARTS = pa.struct(
    [("passage", pa.int32()), ("start", pa.int32()), ("text", pa.string()), ANSWERS.field("answers")]  # as Spark has it
)


def part(number: int, start: int, end: int, *places: int) -> dict[str, Any]:
    """A passage of the text in which Ada was found at these offsets of the passage."""
    entities = [{"text": "Ada", "start": place, "end": place + 3, "match": "exact", "score": None} for place in places]
    answer = {"entities": entities, "outcome": "found", "repair": None, "score": None}
    return {
        "passage": number,
        "start": start,
        "text": TEXT[start:end],
        "answers": [answer | {"raw_output": None, "error": None}],
    }


def merge(*parts: dict[str, Any], text: str = TEXT) -> list[dict[str, Any]]:
    """The merged entities of one document."""
    batch = pa.RecordBatch.from_arrays(
        [
            pa.array([{"doc_id": "d1"}]),
            pa.array([2], pa.int32()),
            pa.array([passage_id(text)]),
            pa.array([list(parts)], pa.list_(PARTS)),
        ],
        names=["document", "passages", "text_hash", "parts"],
    )
    [merged] = DocumentMerger("doc_id")(iter([batch]))
    entities: list[dict[str, Any]] = merged.column("answers").to_pylist()[0][0]["entities"]
    return entities


def test_passages_are_joined_and_their_mentions_are_in_the_document() -> None:
    found = merge(part(1, 19, 56, 0, 26), part(0, 0, 33, 14, 19))
    assert [TEXT[entity["start"] : entity["end"]] for entity in found] == ["Ada"] * 3


def altered(number: int, **values: Any) -> list[dict[str, Any]]:
    """The two passages, one of them with other values."""
    parts = [part(0, 0, 33, 14, 19), part(1, 19, 56, 0, 26)]
    parts[number] |= values
    return parts


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (altered(1, start=20), "not what is there|do not make up"),
        (altered(1, start=18), "not what is there"),
        (altered(1, start=34), "leaves a gap"),
        (altered(1, text=TEXT[19:55]), "do not make up the text that was stored"),
        (altered(1, passage=2), r"its passages are \[0, 2\], not 2"),
        (altered(1, answers=part(1, 19, 56, 1)["answers"]), r"'Ada' is not at 20:23"),
        (altered(1, answers=part(1, 19, 56, 40)["answers"]), r"'Ada' is not at 59:62"),
    ],
)
def test_a_wrong_offset_or_missing_piece_names_the_document(parts: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(AuditError, match=message) as caught:
        merge(*parts)
    assert "document 'd1'" in str(caught.value)


def test_the_document_is_the_one_that_was_stored() -> None:
    with pytest.raises(AuditError, match="do not make up the text"):
        merge(*altered(0), text=TEXT.replace("Rome", "Bern"))


@pytest.mark.parametrize(
    "entity",
    [
        Entity("Ada", 15, 18, "exact"),
        Entity("Ada", -42, -39, "exact"),
        Entity("", 3, 3, "exact"),
        Entity("Ada", 14, None, "exact"),
        Entity("Ada", None, None, "exact"),
        Entity("Ada", 14, None, "absent"),
    ],
)
def test_offsets_that_do_not_slice_to_their_mention_are_an_error(entity: Entity) -> None:
    check_offsets("x", TEXT, [Entity("Ada", 14, 17, "exact"), Entity("Eve", None, None, "absent")])
    with pytest.raises(AuditError, match="is not at"):
        check_offsets("x", TEXT, [entity])
