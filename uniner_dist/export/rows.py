"""Make documents of rows of answers and of texts, sorted by document; column by column, as Arrow makes objects slowly.

Takes Arrow batches with a row for each answer (`entity_type`, `outcome`, `score`, `entities`) and one for each text
that a corpus has for an id (`rank`, `carried`, `text`); rows of one id follow each other. Yields id, text and answers
of each document.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

_Numbers = npt.NDArray[np.int64]


@dataclass
class Rows:
    """Rows of one document.

    Attributes:
        doc_id: document id, of the type that the column has.
        answers: answers in the order of the types.
        text: text of the best candidate; None without any.
        place: rank of the corpus and the carried columns of that candidate; of several candidates the least counts.
    """

    doc_id: Any
    answers: list[dict[str, Any]] = field(default_factory=list)
    text: str | None = None
    place: tuple[int, str] = (0, "")

    def add_text(self, text: str, place: tuple[int, str]) -> None:
        """Take the text of a row of a corpus if the row precedes the one whose text is held.

        The first row by place, and of equal places by the SHA-256 of the text, is the one that was annotated (see
        `find_repeats`).

        Args:
            text: text of the row.
            place: (rank of the corpus, its carried columns as JSON).
        """
        if self.text is None or place < self.place or (place == self.place and _hash(text) < _hash(self.text)):
            self.text, self.place = text, place


def documents(batches: Iterable[pa.RecordBatch], order: Mapping[str, int]) -> Iterator[Rows]:
    """Group rows by document.

    Args:
        batches: rows of annotations and of texts in which rows of one id follow each other; a document may continue in
            the next batch.
        order: entity type → its position among the answers of a document; it has every type of the rows.

    Yields:
        The rows of each document that has an answer, in the order of the batches.
    """
    held: Rows | None = None
    for batch in batches:
        for rows in _groups(batch, order):
            if held is not None and _is_same(held.doc_id, rows.doc_id):
                held.answers = sorted(held.answers + rows.answers, key=lambda answer: order[answer["entity_type"]])
                if rows.text is not None:
                    held.add_text(rows.text, rows.place)
                continue
            if held is not None and held.answers:
                yield held
            held = rows
    if held is not None and held.answers:
        yield held


def _groups(batch: pa.RecordBatch, order: Mapping[str, int]) -> Iterator[Rows]:
    """The documents of a batch, of which the first and the last may have rows in others."""
    if not batch.num_rows:
        return
    ids = batch.column("id").dictionary_encode()
    # Ids are numbered as they come, so numbers ascend.
    values, numbers = _values(ids.dictionary), ids.indices.to_numpy()
    starts = np.flatnonzero(np.diff(numbers, prepend=-1))
    has_text = batch.column("text").is_valid().to_numpy(zero_copy_only=False)
    answers = iter(_answers(batch, order, np.flatnonzero(~has_text), numbers))
    texts, candidates = _texts(batch), np.add.reduceat(has_text.astype(np.int64), starts)
    sizes = np.diff(starts, append=batch.num_rows) - candidates
    for number, size, count in zip(numbers[starts].tolist(), sizes.tolist(), candidates.tolist(), strict=True):
        rows = Rows(values[number], list(islice(answers, size)))
        for text, place in islice(texts, count):
            rows.add_text(text, place)
        yield rows


def _texts(batch: pa.RecordBatch) -> Iterator[tuple[str, tuple[int, str]]]:
    """Text and place of each row that has a text."""
    texts, ranks, carried = (_values(batch.column(name).drop_null()) for name in ("text", "rank", "carried"))
    return zip(texts, zip(ranks, carried, strict=True), strict=True)


def _answers(
    batch: pa.RecordBatch, order: Mapping[str, int], rows: _Numbers, documents: _Numbers
) -> list[dict[str, Any]]:
    """The answers, by document and then by type.

    Most have neither mentions nor a confidence: equal ones of those are one object.

    Args:
        batch: rows sorted by document id.
        order: entity type → its position among the answers of a document.
        rows: numbers of the rows that are answers.
        documents: ascending number of the document of each row.
    """
    types, outcomes = (batch.column(name).dictionary_encode("encode") for name in ("entity_type", "outcome"))
    names, words = types.dictionary.to_pylist(), outcomes.dictionary.to_pylist()
    kinds, found = types.indices.to_numpy(), outcomes.indices.to_numpy()
    plain = [_answer(name, word, None, []) for name in names for word in words]
    ranks = np.array([-1 if name is None else order[name] for name in names], dtype=np.int64)  # rows of texts have none
    rows = rows[np.lexsort((ranks[kinds[rows]], documents[rows]))]
    special = _special_answers(batch)
    codes = kinds[rows] * len(words) + found[rows]
    answers = [plain[code] for code in codes.tolist()]
    for place in np.flatnonzero(np.isin(rows, list(special))).tolist() if special else ():
        score, entities = special[int(rows[place])]
        answers[place] = {**answers[place], "score": score, "entities": entities}
    return answers


def _special_answers(batch: pa.RecordBatch) -> dict[int, tuple[float | None, list[dict[str, object]]]]:
    """Confidence and mentions of the rows that have any, by row."""
    column, scores = batch.column("entities"), batch.column("score")
    sizes = column.value_lengths().fill_null(0).to_numpy()
    mentions = _structs(column.flatten())
    rows = np.flatnonzero((sizes > 0) | scores.is_valid().to_numpy(zero_copy_only=False))
    values = _values(scores.take(pa.array(rows)))
    return {
        row: (score, list(islice(mentions, size)))
        for row, size, score in zip(rows.tolist(), sizes[rows].tolist(), values, strict=True)
    }


def _answer(entity_type: str, outcome: str, score: float | None, entities: list[dict[str, object]]) -> dict[str, Any]:
    return {"entity_type": entity_type, "outcome": outcome, "score": score, "entities": entities}


def _structs(structs: pa.StructArray) -> Iterator[dict[str, object]]:
    names = [structs.type.field(number).name for number in range(structs.type.num_fields)]
    return (dict(zip(names, values, strict=True)) for values in zip(*map(_values, structs.flatten()), strict=True))


def _values(column: pa.Array) -> list[Any]:
    """`column.to_pylist()`, faster for the types of most columns."""
    if column.null_count == len(column):
        return [None] * len(column)
    is_text = pa.types.is_string(column.type)
    is_quick = is_text or (column.null_count == 0 and column.type in (pa.int32(), pa.float32()))
    found: list[Any] = column.to_numpy(zero_copy_only=not is_text).tolist() if is_quick else column.to_pylist()
    return found


def _is_same(one: Any, other: Any) -> bool:
    """Whether two ids are equal; NaN is equal to itself, as for Spark."""
    return bool(one == other or (one != one and other != other))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
