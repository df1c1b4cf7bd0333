"""Annotations of gold pairs as columns of numbers: one batch of rows with the mentions that are in them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from uniner_dist.core.outcomes import Outcome
from uniner_dist.core.scoring import official_answer, official_mentions
from uniner_dist.evaluation.answer import is_passage_outputs
from uniner_dist.evaluation.gold_columns import NONE
from uniner_dist.evaluation.vocabulary import Mentions, Numbers, Small

Flags = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

#: Outcomes of whole answers.
WHOLE = (Outcome.FOUND.value, Outcome.NONE.value)


@dataclass(frozen=True)
class RowBatch:
    """Rows of pairs that are gold.

    Args:
        pair: number of each row's pair in the gold.
        outcome: number of each row's outcome in `outcomes`.
        outcomes: names of outcomes; some may occur in no row.
        failed: whether a row has no whole answer.
        score: confidence of each row, NaN where there is none; None: no row has one.
        row: of each mention, the number of its row in the batch; ascending.
        counted: whether it counts: none of a failed row, because what it lists is known not to be the whole.
        text: of each mention.
        mentions: vocabulary of the mentions.
        start: of each mention in code points, `NONE` where it is nowhere in its text.
        end: one past its last.
        mention_score: confidence of each mention, NaN where there is none; None: no mention has one.
        raw: rows with a raw output that says more than their mentions → the official mentions in it.
    """

    pair: Numbers
    outcome: Small
    outcomes: list[str]
    failed: Flags
    score: Floats | None
    row: Numbers
    counted: Flags
    text: pa.Array
    mentions: Mentions
    start: Small
    end: Small
    mention_score: Floats | None
    raw: dict[int, list[str]]

    @cached_property
    def mention(self) -> Small:
        """The number of each mention."""
        return self.mentions.numbers(self.text)


def read_batch(batch: pa.RecordBatch, pair: Numbers, mentions: Mentions) -> RowBatch:
    """Convert the columns `entities` and `outcome` and, where they exist, `raw_output` and `score`.

    Args:
        batch: rows of an annotations dataset.
        pair: number of each row's pair in the gold; same length as `batch`.
        mentions: vocabulary that mentions are numbered by; new ones are added when `RowBatch.mention` is first used.

    Returns:
        The same rows as columns of numbers, and their mentions in the order of the rows.
    """
    entities = batch.column("entities")
    counts = pc.fill_null(pc.list_value_length(entities), 0).to_numpy(zero_copy_only=False)
    flat = entities.flatten()
    encoded = batch.column("outcome")
    if not pa.types.is_dictionary(encoded.type):
        encoded = encoded.cast(pa.string()).dictionary_encode()
    outcomes, outcome = encoded.dictionary.to_pylist(), encoded.indices.to_numpy(zero_copy_only=False)
    failed = np.array([name not in WHOLE for name in outcomes], dtype=bool)[outcome]
    row = np.repeat(np.arange(batch.num_rows, dtype=np.int64), counts)
    return RowBatch(
        pair,
        outcome,
        outcomes,
        failed,
        _floats(batch, "score"),
        row,
        ~failed[row],
        _field(flat, "text", pa.string()),
        mentions,
        _offsets(flat, "start"),
        _offsets(flat, "end"),
        _scores(_field(flat, "score", pa.float64())),
        _raw(batch),
    )


def _field(structs: pa.Array, name: str, kind: pa.DataType) -> pa.Array:
    index = structs.type.get_field_index(name) if pa.types.is_struct(structs.type) else -1
    return structs.flatten()[index].cast(kind) if index >= 0 else pa.nulls(len(structs), kind)


def _offsets(structs: pa.Array, name: str) -> Small:
    values = _field(structs, name, pa.int32())
    numbers: Small = (values.fill_null(NONE) if values.null_count else values).to_numpy(zero_copy_only=False)
    return numbers


def _floats(batch: pa.RecordBatch, name: str) -> Floats | None:
    return _scores(batch.column(name).cast(pa.float64())) if name in batch.schema.names else None


def _scores(values: pa.Array) -> Floats | None:
    if values.null_count == len(values):
        return None
    return np.asarray(values.fill_null(float("nan")).to_numpy(zero_copy_only=False), dtype=np.float64)


def _raw(batch: pa.RecordBatch) -> dict[int, list[str]]:
    """The answers as the authors' evaluator reads them, where the mentions are not simply the answer."""
    if "raw_output" not in batch.schema.names or batch.column("raw_output").null_count == batch.num_rows:
        return {}
    column = batch.column("raw_output")
    rows = np.flatnonzero(column.is_valid().to_numpy(zero_copy_only=False)).tolist()
    outputs = {row: column[row].as_py() for row in rows}
    return {
        row: official_mentions(official_answer(output))
        for row, output in outputs.items()
        if not is_passage_outputs(output)
    }
