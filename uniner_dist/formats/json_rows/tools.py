"""Rows of annotation tools: doccano and Prodigy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from uniner_dist.formats import shapes
from uniner_dist.formats.coordinates import Claim
from uniner_dist.formats.gold_document import GoldDocument, ReadingNotes
from uniner_dist.formats.json_rows.row import JsonRow
from uniner_dist.formats.shapes import any_value, fields, items, maybe, text, whole

_NAMED = {"text": maybe(text), "answer": maybe(text)}
PRODIGY_SHAPE = fields(
    {"text": text},
    {"answer": text, "spans": maybe(items(fields({"label": text, "start": whole, "end": whole}, _NAMED)))},
)
_RELATIONS = {"relations": maybe(items(any_value))}


def doccano_shape(values: Any, place: str) -> None:
    """Check that a row is one of doccano.

    Args:
        values: a parsed JSON object for which `is_doccano` is true.
        place: path of the value in its row, for messages; empty for the row itself.

    Raises:
        ValueError: it has another form.
    """
    key = next(name for name in _MARKS if name in values)
    marks = {"text" if "text" in values else "data": text, key: maybe(items(_doccano_mark))}
    fields(marks, _RELATIONS)(values, place)


def _doccano_mark(value: Any, place: str) -> None:
    if isinstance(value, list):
        shapes.row(whole, whole, text)(value, place)
    elif not isinstance(value, str):  # a label of the whole text, which its reader refuses
        borders = (name if isinstance(value, Mapping) and name in value else f"{name}_offset" for name in _BORDERS)
        fields({"label": text, **dict.fromkeys(borders, whole)}, {"text": maybe(text)})(value, place)


_MARKS = ("label", "labels", "entities")
_BORDERS = ("start", "end")


def is_doccano(values: Any) -> bool:
    """Return whether a row has a text (`text` or `data`) and `label`, `labels` or `entities`.

    Args:
        values: a parsed JSON object.
    """
    return ("text" in values or "data" in values) and any(name in values for name in _MARKS)


def read_doccano(row: JsonRow, notes: ReadingNotes) -> GoldDocument:
    """Return the document of a row of doccano.

    Mentions are in `label: [[start, end, label], …]`, or in `entities: [{start_offset, end_offset, label}, …]` with
    relations next to them, which are left out.

    Args:
        row: a row that fits `doccano_shape`.
        notes: receives how many relations were left out, and how offsets were read.

    Raises:
        ConfigError: a mention is not at its offsets.
        ValueError: a label is one of the whole text.
    """
    values = row.values
    key = next(name for name in _MARKS if name in values)
    if values.get("relations"):
        notes.count("relations are not mentions and are left out", len(values["relations"]))
    labelled = [_doccano_mention(row, one) for one in values[key] or ()]
    return row.document(values["text"] if "text" in values else values["data"], labelled, notes)


def _doccano_mention(row: JsonRow, one: Any) -> tuple[str, Claim]:
    if isinstance(one, str):
        raise ValueError(f"its label {one!r} is one of the whole text, not of a mention")
    if isinstance(one, list):
        start, end, label = one
        return label, row.claim(start, end)
    start, end = (one[name] if name in one else one[f"{name}_offset"] for name in _BORDERS)
    return one["label"], row.claim(start, end, one.get("text"))


def is_prodigy(values: Any) -> bool:
    """Return whether a row has a text and `spans`, or, where nothing was marked, an answer or a hash of Prodigy's.

    Args:
        values: a parsed JSON object.
    """
    return "text" in values and any(name in values for name in ("spans", "_task_hash", "answer"))


def read_prodigy(row: JsonRow, notes: ReadingNotes) -> GoldDocument | None:
    """Return the document of a row of Prodigy, with `spans: [{start, end, label}, …]`.

    Args:
        row: a row that fits `PRODIGY_SHAPE`.
        notes: receives how many tasks were left out, and how offsets were read.

    Returns:
        The document; None: the task was rejected or ignored, and is no gold.

    Raises:
        ConfigError: a mention is not at its offsets.
    """
    answer = row.values.get("answer", "accept")
    if answer != "accept":
        notes.count(f"tasks were answered {answer} and are left out")
        return None
    spans = [span for span in row.values.get("spans") or () if (span.get("answer") or "accept") == "accept"]
    labelled = [(span["label"], row.claim(span["start"], span["end"], span.get("text"))) for span in spans]
    return row.document(row.values["text"], labelled, notes)
