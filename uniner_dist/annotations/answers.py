"""From completions files to answers per passage: the half of stage 3 that reads shards, parses and locates.

Reads the names of committed shards, in Arrow batches inside a Spark task, and the two files of each. Yields one row per
passage with one answer per entity type, in the order of the configuration. An answer that is just the empty list, as
most are, is null here and costs nothing until rows are written. No text is shuffled: a row has one only if an answer of
its passage failed, because the quarantine repeats it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from uniner_dist.annotations.fast_path import read_vectorised
from uniner_dist.annotations.filled import EMPTY_OUTPUTS
from uniner_dist.core.confidence import score_answer
from uniner_dist.core.hashing import passage_id
from uniner_dist.core.outcomes import Outcome
from uniner_dist.core.parse import parse_output
from uniner_dist.core.questions import Questions
from uniner_dist.core.spans import Entity, locate_mentions
from uniner_dist.errors import AuditError, StageError
from uniner_dist.schemas import ENTITY
from uniner_dist.storage.filesystem import remove
from uniner_dist.storage.layout import RunLayout
from uniner_dist.storage.shards import ForeignFileError, is_skipped, read_completions, read_prompts

_CLEAN = frozenset({"exact"})

#: The answer to one question about one passage or document. It always has entities and outcome; fields are nullable
#: because pyarrow writes no null struct otherwise.
ANSWER = pa.struct(
    [
        pa.field("entities", pa.list_(pa.field("element", ENTITY, nullable=False))),
        pa.field("outcome", pa.string()),
        pa.field("repair", pa.string()),
        pa.field("score", pa.float32()),
        pa.field("raw_output", pa.string()),
        pa.field("error", pa.string()),
    ]
)

#: One row per passage; `answers` has one element per label, in the order of the configuration. Null means
#: `EMPTY_ANSWER`.
ANSWERS = pa.schema(
    [
        pa.field("passage_id", pa.string(), nullable=False),
        pa.field("text", pa.string()),  # only where an answer is a failure
        pa.field("answers", pa.list_(pa.field("element", ANSWER)), nullable=False),
    ]
)

#: The answer that is the empty list, neither scored nor repaired.
EMPTY_ANSWER: Mapping[str, object] = {
    "entities": [],
    "outcome": Outcome.NONE.value,
    "repair": None,
    "score": None,
    "raw_output": None,
    "error": None,
}


@dataclass
class AnswerColumns:
    """Answers as growing columns: building nested Arrow arrays from columns is ten times faster than from rows."""

    outcome: list[str] = field(default_factory=list)
    repair: list[str | None] = field(default_factory=list)
    score: list[float | None] = field(default_factory=list)
    raw_output: list[str | None] = field(default_factory=list)
    error: list[str | None] = field(default_factory=list)
    entities: list[Sequence[Entity]] = field(default_factory=list)

    def add(
        self,
        outcome: str,
        entities: Sequence[Entity] = (),
        repair: str | None = None,
        score: float | None = None,
        raw_output: str | None = None,
        error: str | None = None,
    ) -> None:
        """Append one answer.

        Args:
            outcome: value of a `core.outcomes.Outcome`, such as "found".
            entities: its mentions with their offsets in code points; none by default.
            repair: name of the parsing rule beyond the official parser that was used; None for none.
            score: confidence in [0, 1] of the whole answer; None where none was computed.
            raw_output: what the model wrote, kept where parsing or locating was not clean; else None.
            error: why there is no answer; None where there is one.
        """
        self.outcome.append(outcome)
        self.entities.append(entities)
        self.repair.append(repair)
        self.score.append(score)
        self.raw_output.append(raw_output)
        self.error.append(error)

    def to_arrow(self) -> pa.StructArray:
        """Return all answers in the order in which they were added, of type `ANSWER`."""
        strings = pa.string()
        arrays = [
            _entity_lists(self.entities),
            pa.array(self.outcome, strings),
            pa.array(self.repair, strings),
            pa.array(self.score, pa.float32()),
            pa.array(self.raw_output, strings),
            pa.array(self.error, strings),
        ]
        return pa.StructArray.from_arrays(arrays, fields=list(ANSWER))


def with_empty_answers(answers: pa.StructArray) -> pa.StructArray:
    """Return the same answers with `EMPTY_ANSWER` in place of null.

    Args:
        answers: of type `ANSWER`, with nulls.
    """
    nothing = pa.array([EMPTY_ANSWER], ANSWER)
    positions = np.where(np.asarray(answers.is_valid()), np.arange(1, len(answers) + 1), 0)
    return pa.concat_arrays([nothing, answers]).take(pa.array(positions))


def answer_lists(answers: pa.StructArray, types: int) -> pa.ListArray:
    """Return consecutive groups of `types` answers as lists.

    Args:
        answers: of type `ANSWER`; all answers of the first passage or document, then all of the next one.
        types: answers of each group. At least 1; the number of answers is a multiple of it.
    """
    offsets = pa.array(np.arange(0, len(answers) + 1, types, dtype=np.int32))
    return pa.ListArray.from_arrays(offsets, answers, type=ANSWERS.field("answers").type)


class AnswerReader:
    """The function that Spark runs over Arrow batches of (`shard`); yields one batch of `ANSWERS` per shard.

    Args:
        layout: where prompts and completions are stored.
        fingerprint: key the completions must have.
        questions: what was asked of each passage, in the order of the prompts, and for which labels.
        scores: whether to compute confidences.
    """

    def __init__(self, layout: RunLayout, fingerprint: str, questions: Questions, scores: bool) -> None:
        self._layout = layout
        self._fingerprint = fingerprint
        self._asks = questions.asked
        self._label_asks = np.asarray(questions.of_labels, dtype=np.int64)
        self._scores = scores

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield one batch of answers per shard id in the first column."""
        for batch in batches:
            for shard in batch.column(0).to_pylist():
                yield self.read(shard)

    def read(self, shard: str) -> pa.RecordBatch:
        """Read, parse and locate the answers of one shard.

        Args:
            shard: id of a shard of the manifest, whose prompts and completions are committed.

        Returns:
            Rows of `ANSWERS`, one per passage, in the order of the shard's prompts.

        Raises:
            AuditError: the completions do not belong row by row to the prompts, or a text is not the one of its id.
            StageError: the completions file is not a whole committed one of this shard and fingerprint; it is removed.
        """
        prompts = read_prompts(self._layout, shard)
        completions = self._completions(shard, prompts.num_rows)
        _check_aligned(shard, prompts, completions)
        types = len(self._asks)
        first_rows = pa.array(np.arange(0, prompts.num_rows, types))
        texts, ids = (_whole(prompts[name].take(first_rows)) for name in ("text", "passage_id"))
        passages = texts.to_pylist()
        _check_texts(shard, ids.to_pylist(), passages)
        answers = self._answer(shard, texts, passages, completions)
        failed = _failed_passages(answers, types)
        columns = [
            ids,
            pc.if_else(failed, texts, pa.scalar(None, pa.string())),
            answer_lists(self._by_label(answers, len(texts)), len(self._label_asks)),
        ]
        return pa.RecordBatch.from_arrays(columns, schema=ANSWERS)

    def _completions(self, shard: str, rows: int) -> pa.Table:
        """The committed answers; a file that was damaged since is removed, so that the next start does it again."""
        path = self._layout.completions_file(shard)
        try:
            return read_completions(path, shard, self._fingerprint, rows)
        except ForeignFileError as error:
            remove(path)
            raise StageError(
                f"{error}; it was removed: run the same command again, which answers it once more"
            ) from error

    def _by_label(self, answers: pa.StructArray, passages: int) -> pa.StructArray:
        """From one answer per question to one per label."""
        types = len(self._asks)
        if np.array_equal(self._label_asks, np.arange(types)):
            return answers
        rows = (np.arange(passages, dtype=np.int64) * types)[:, None] + self._label_asks[None, :]
        return answers.take(pa.array(rows.reshape(-1)))

    def _answer(self, shard: str, texts: pa.Array, passages: Sequence[str], completions: pa.Table) -> pa.StructArray:
        """Read every completion: empty lists become null, plain and skipped ones go in columns, others one by one.

        Args:
            shard: id of the shard, for error messages and for the rows of unread answers.
            texts: text of each passage.
            passages: the same in Python.
            completions: rows of `schemas.COMPLETIONS`, in the order of the shard's prompts.
        """
        skipped = np.asarray(is_skipped(completions))
        rest = np.flatnonzero(~skipped)
        positions = np.full(completions.num_rows, -1)
        positions[skipped] = np.arange(len(positions) - len(rest))
        read = [_skipped(_whole(completions["score"].filter(pa.array(skipped))))]
        if not self._scores:
            empty = np.asarray(pc.is_in(completions["output"], pa.array(EMPTY_OUTPUTS)))
            rest = np.flatnonzero(~skipped & ~empty)
            outputs = _whole(completions["output"].take(pa.array(rest)))
            plain, entities = read_vectorised(texts, passages, rest // len(self._asks), outputs)
            positions[rest[plain]] = np.arange(len(plain)) + len(read[0])
            read.append(_found(entities))
            rest = np.delete(rest, plain)
        positions[rest] = np.arange(len(rest)) + sum(map(len, read))
        read.append(self._one_by_one(shard, passages, rest, completions.take(pa.array(rest))))
        return pa.concat_arrays(read).take(pa.array(positions, mask=positions < 0))

    def _one_by_one(self, shard: str, passages: Sequence[str], rows: Any, completions: pa.Table) -> pa.StructArray:
        """Read completions in Python; `rows` are their positions in the shard."""
        columns = AnswerColumns()
        texts = [passages[passage] for passage in (rows // len(self._asks)).tolist()]
        values = [completions[name].to_pylist() for name in ("output", "finish_reason", "error_kind", "error")]
        nothing = [None] * len(rows)
        extra = [completions[name].to_pylist() for name in ("tokens", "logprobs")] if self._scores else [nothing] * 2
        for text, output, finish_reason, error_kind, error, *scored in zip(texts, *values, *extra, strict=True):
            if output is None:
                columns.add(error_kind or Outcome.ENGINE_ERROR.value, error=error or "no answer and no reason given")
            else:
                self._parse(columns, shard, text, output, finish_reason, *scored)
        return columns.to_arrow()

    def _parse(
        self,
        columns: AnswerColumns,
        shard: str,
        text: str,
        output: str,
        finish_reason: str | None,
        tokens: Sequence[str] | None,
        logprobs: Sequence[float] | None,
    ) -> None:
        parsed = parse_output(output, finish_reason)
        score = mention_scores = None
        if tokens is not None and logprobs is not None:
            scored = score_answer(tokens, logprobs, parsed.mentions)
            score, mention_scores = scored.answer, scored.mentions
        entities = locate_mentions(text, parsed.mentions, mention_scores)
        check_offsets(f"shard {shard}", text, entities)
        outcome = parsed.outcome
        clean = parsed.repair is None and not outcome.is_failure and {e.match for e in entities} <= _CLEAN
        columns.add(outcome.value, entities, parsed.repair, score, None if clean else output)


def _entity_lists(lists: Sequence[Sequence[Entity]]) -> pa.ListArray:
    offsets = np.zeros(len(lists) + 1, dtype=np.int32)
    np.cumsum([len(entities) for entities in lists], out=offsets[1:])
    flat = [entity for entities in lists for entity in entities]
    columns = zip(*flat, strict=True) if flat else [()] * len(ENTITY)
    arrays: list[Any] = [pa.array(values, field.type) for values, field in zip(columns, ENTITY, strict=True)]
    entities = pa.StructArray.from_arrays(arrays, fields=list(ENTITY))
    return pa.ListArray.from_arrays(pa.array(offsets), entities, type=ANSWER.field("entities").type)


def _found(entities: pa.ListArray) -> pa.StructArray:
    """Clean answers that name something."""
    count = len(entities)
    lists = pa.ListArray.from_arrays(entities.offsets, entities.values, type=ANSWER.field("entities").type)
    columns = {"entities": lists, "outcome": pa.repeat(Outcome.FOUND.value, count)}
    arrays = [columns.get(field.name, pa.nulls(count, field.type)) for field in ANSWER]
    return pa.StructArray.from_arrays(arrays, fields=list(ANSWER))


def _skipped(scores: pa.Array) -> pa.StructArray:
    """What was not asked, with the probability that there is something."""
    count = len(scores)
    nothing = pa.array([[]] * count, ANSWER.field("entities").type)
    columns = {"entities": nothing, "outcome": pa.repeat(Outcome.SKIPPED.value, count), "score": scores}
    arrays = [columns.get(field.name, pa.nulls(count, field.type)) for field in ANSWER]
    return pa.StructArray.from_arrays(arrays, fields=list(ANSWER))


def _failed_passages(answers: pa.StructArray, types: int) -> pa.Array:
    """For each passage, whether any of its answers is a failure."""
    outcomes = pc.struct_field(answers, "outcome")
    good = pc.is_in(outcomes, pa.array([Outcome.FOUND.value, Outcome.NONE.value, Outcome.SKIPPED.value, None]))
    failed = ~np.asarray(good).reshape(-1, types)
    return pa.array(failed.any(axis=1))


def _check_aligned(shard: str, prompts: pa.Table, completions: pa.Table) -> None:
    for name in ("passage_id", "entity_type"):
        if not prompts[name].combine_chunks().equals(completions[name].combine_chunks()):
            raise AuditError(
                f"shard {shard}: {name} of its completions differs from its prompts; remove both and resume"
            )


def _check_texts(shard: str, ids: Sequence[str], texts: Sequence[str]) -> None:
    """The id is the hash of the text in the corpus: with it, true offsets into the passage are true in the document."""
    for known, text in zip(ids, texts, strict=True):
        if passage_id(text) != known:
            raise AuditError(f"shard {shard}: the text of passage {known} is not the one of the corpus")


def check_offsets(name: str, text: str, entities: Sequence[Entity]) -> None:
    """Check that every located mention is the slice of the text that its offsets say, and others have no offsets.

    Args:
        name: the shard or document that an error message names.
        text: the text that the offsets refer to.
        entities: mentions with offsets in code points; "absent" ones have None for both.

    Raises:
        AuditError: naming what `name` says, the mention and its offsets.
    """
    for entity in entities:
        if entity.start is None or entity.end is None:
            true = entity.match == "absent" and entity.start is entity.end
        else:
            true = 0 <= entity.start < entity.end and text[entity.start : entity.end] == entity.text
        if not true:
            raise AuditError(f"{name}: {entity.text!r} is not at {entity.start}:{entity.end} of its text")


def _whole(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
