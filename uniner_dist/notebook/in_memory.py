"""Documents in memory through the pool: what stages 1 and 3 do with Spark, over Arrow tables and without Java.

Takes a table of ids and texts; returns one annotation row per document and type, in the order of both, and the texts
that cannot be used. The functions that Spark runs in its tasks (splitting, packing, reading answers, merging passages)
are called here as they are, on one piece of the data at a time; this module only does the joins.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from uniner_dist.annotations.answers import ANSWERS, AnswerReader, answer_lists, with_empty_answers
from uniner_dist.annotations.documents import DocumentMerger
from uniner_dist.completions.decisions import order_shards
from uniner_dist.completions.pool import Pool
from uniner_dist.completions.snapshot import Snapshots, Totals
from uniner_dist.completions.work import Shard
from uniner_dist.config.schema import Config
from uniner_dist.core.hashing import TEXT_DIGITS, passage_id
from uniner_dist.notebook.inputs import Columns
from uniner_dist.notebook.warm_pool import WarmPool
from uniner_dist.prompts.budget import passage_budget
from uniner_dist.prompts.corpus import VISIBLE
from uniner_dist.prompts.packing import Packing
from uniner_dist.prompts.passages import LongTextSplitter
from uniner_dist.prompts.shard_writer import ShardWriter
from uniner_dist.reporting.live import LiveView
from uniner_dist.run.run import Run
from uniner_dist.runtime.signals import StopRequest
from uniner_dist.schemas import ANNOTATION_FIELDS, CELLS
from uniner_dist.storage.filesystem import remove
from uniner_dist.storage.shards import committed_shards, read_completions, shards_with_cached_answers

#: Estimated tokens of a shard here: seconds of work, so that a stop is soon and little is lost by it.
_SHARD_TOKENS = 50_000
#: Shards at least, for balance.
_MIN_SHARDS = 4
#: Answers that are remembered between calls at most; the oldest go first.
_REMEMBERED = 2_000_000


@dataclass(frozen=True)
class _Documents:
    """The usable documents of one piece: `row` (its index in the piece) and the id, side by side."""

    rows: pa.Array
    ids: pa.Array
    texts: pa.Array


class InMemoryAnnotator:
    """Annotates pieces of data with a warm pool, and remembers the answers: the same question is asked once.

    Args:
        warm: the pool.
    """

    def __init__(self, warm: WarmPool) -> None:
        self._warm = warm
        self._known = CELLS.empty_table()

    def annotate(self, table: pa.Table, columns: Columns, types: Any, stop: StopRequest) -> tuple[pa.Table, pa.Table]:
        """Annotate one piece of data.

        Args:
            table: the id, text and kept columns of the piece, with valid texts and unique ids (see `inputs.pieces`).
            columns: names of these columns.
            types: entity types in any form that `config.questions.parse_types` takes.
            stop: request of the current call to stop, which the pool polls while it answers.

        Returns:
            Annotations: id, kept columns, and `schemas.ANNOTATION_FIELDS`, one row per usable document and label, in
            the order of both. And the rows that cannot be used: id, text, and `reason` ("null_text", "blank_text" or
            "text_too_large"), which is `reason_` where the id or text column has that name.

        Raises:
            ConfigError: wrong types.
            DrainedError: a stop was requested; the answers so far are remembered.
            StageError: the pool gave up.
        """
        warm = self._warm
        warm.config(types=types)  # wrong types are reported before anything is loaded
        pool = warm.pool()
        run = warm.run(warm.config(types=types), warm.next_number())
        documents, rejects = _sort_out(table, columns, run.config.corpus.max_text_bytes)
        try:
            passages = self._passages(documents, run.config)
            shards = self._write_shards(passages, run)
            self._complete(pool, run, shards, stop)
            answers = _read_answers(run, shards)
            return _annotations(table, columns, documents, passages, answers, run), rejects
        finally:
            self._remember(run)
            remove(run.layout.root)

    def _passages(self, documents: _Documents, config: Config) -> pa.Table:
        """One row per passage: `document` (row and id), `passage`, `passages`, `start`, `text`, `text_hash`, its id."""
        source, tokenizer = self._warm.tokenizer
        budget = passage_budget(config, tokenizer)
        document = pa.StructArray.from_arrays([documents.rows, documents.ids], ["row", "id"])
        texts = documents.texts
        # A tokenizer with byte fallback never makes more tokens than bytes + 1 (see `prompts.passages.may_be_long`).
        long = pc.greater(pc.binary_length(texts), budget.whole - 1)
        whole = pa.table({"document": document, "text": texts}).filter(pc.invert(long))
        tables = [_whole_passages(whole)]
        splitter = LongTextSplitter(lambda: source, config.model.template, budget)
        split = pa.table({"document": document, "text": texts}).filter(long)
        hashes = pa.array([passage_id(text) for text in split["text"].to_pylist()], pa.string())
        batches = split.append_column("text_hash", hashes).to_batches()
        tables += [pa.Table.from_batches([batch]) for batch in splitter(iter(batches))]
        passages = pa.concat_tables(tables).combine_chunks()
        ids = pa.array([passage_id(text) for text in passages["text"].to_pylist()], pa.string())
        return passages.append_column("passage_id", ids)

    def _write_shards(self, passages: pa.Table, run: Run) -> list[Shard]:
        """Write the prompts, and what is known of their answers."""
        if not passages.num_rows:
            return []
        _, tokenizer = self._warm.tokenizer
        asks = run.config.questions.asked
        frame = len(tokenizer.prefix_ids([""])[0])
        questions = tuple(len(tokenizer.suffix_ids(ask)) for ask in asks)
        packing = Packing(1, min(run.config.prompts.shard_tokens, _SHARD_TOKENS), _MIN_SHARDS, frame, questions)
        ordered = passages.select(["passage_id", "text"]).sort_by("passage_id")
        ids = ordered["passage_id"].combine_chunks()
        bucket = pa.array(np.zeros(len(ids), dtype=np.int32))
        batch = {"bucket": bucket, "passage_id": ids, "text": ordered["text"].combine_chunks()}
        cells = self._cells(ids, asks, run.config.run.scores)
        if cells is not None:
            batch["cells"] = cells
        writer = ShardWriter(run.layout, run.fingerprint, asks, packing)
        found = [row for rows in writer(iter([pa.RecordBatch.from_pydict(batch)])) for row in rows.to_pylist()]
        return [Shard(row["shard"], row["prompts"], row["asked"], row["estimated_tokens"]) for row in found]

    def _complete(self, pool: Any, run: Run, shards: Sequence[Shard], stop: StopRequest) -> None:
        todo = [shard for shard in shards if shard.asked]
        if not todo:
            return
        pool.begin(run.layout, run.store)
        known, prompts = shards_with_cached_answers(run.layout), sum(shard.asked for shard in todo)
        totals = Totals(
            prompts=prompts,
            prompts_before=0,
            shards=len(todo),
            shards_before=0,
            shards_to_do=len(todo),
            prompts_to_do=prompts,
            gpu_hours_before=0.0,
        )
        snapshots = Snapshots(totals, run.config)
        with LiveView(run.layout.progress) as view:

            def look(pool: Pool) -> None:
                if view.due():
                    view.show(snapshots.of(pool, time.monotonic()))

            pool.on_change = look
            stop.listen()
            stop.draining = True
            try:
                pool.run(order_shards(todo), known)
            finally:
                stop.draining = False
                view.show(snapshots.of(pool, time.monotonic()), final=True)
                pool.on_change = lambda pool: None

    # -- what is known -------------------------------------------------------------------------------------------

    def _cells(self, ids: pa.Array, asks: Sequence[str], scores: bool) -> pa.Array | None:
        """For each passage the known answers, as `prompts.known.CachedAnswers` wants them; None: there are none."""
        place = pc.index_in(self._known["passage_id"], ids).combine_chunks()
        ask = pc.index_in(self._known["entity_type"], pa.array(asks, pa.string())).combine_chunks()
        wanted = pc.and_(pc.is_valid(place), pc.is_valid(ask))
        if scores:
            wanted = pc.and_(wanted, pc.is_valid(self._known["logprobs"]))
        known = self._known.append_column("place", place).append_column("ask", ask).filter(wanted).sort_by("place")
        if not known.num_rows:
            return None
        names = ["output", "finish_reason", "prompt_tokens", "completion_tokens", *(("logprobs", "tokens") * scores)]
        values = [known[name].combine_chunks() for name in ("ask", *names)]
        counts = np.bincount(known["place"].to_numpy(), minlength=len(ids))
        offsets = pa.array(np.concatenate([[0], np.cumsum(counts)]).astype(np.int32))
        return pa.ListArray.from_arrays(offsets, pa.StructArray.from_arrays(values, ["ask", *names]))

    def _remember(self, run: Run) -> None:
        """Keep what committed shards were answered, those of a call that was stopped too."""
        new = [self._known]
        for shard in committed_shards(run.layout):
            table = read_completions(run.layout.completions_file(shard), shard, run.fingerprint)
            own = pc.and_(pc.is_valid(table["output"]), pc.invert(table["reused"]))
            new.append(table.filter(own).select(CELLS.names).cast(CELLS))
        known = pa.concat_tables(new)
        self._known = known.slice(max(0, known.num_rows - _REMEMBERED)).combine_chunks()


def _sort_out(table: pa.Table, columns: Columns, longest: int) -> tuple[_Documents, pa.Table]:
    """Usable rows, and the others with the reason as the last column, by the rules of stage 1."""
    text = table[columns.text]
    blank = pc.invert(pc.match_substring_regex(text, VISIBLE))
    reason = pc.if_else(pc.is_null(text), "null_text", pc.if_else(blank, "blank_text", pa.scalar(None, pa.string())))
    too_large = pc.fill_null(pc.greater(pc.binary_length(text), longest), False)
    reason = pc.if_else(too_large, "text_too_large", reason)
    fits, ids = _whole(pc.is_null(reason)), _whole(table[columns.id_name])
    text, reason = _whole(text), _whole(reason)
    usable = _Documents(pa.array(np.arange(table.num_rows)).filter(fits), ids.filter(fits), text.filter(fits))
    # The reason has another name where one of the data's columns has this one.
    name = "reason_" if "reason" in (columns.id_name, columns.text) else "reason"
    return usable, pa.table({columns.id_name: ids, columns.text: text, name: reason}).filter(pc.invert(fits))


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)


def _whole_passages(documents: pa.Table) -> pa.Table:
    """Documents that are one passage, in the columns of `LongTextSplitter`."""
    count = documents.num_rows
    numbers: Mapping[str, int] = {"passage": 0, "passages": 1, "start": 0}
    columns = {name: pa.array(np.full(count, value, dtype=np.int32)) for name, value in numbers.items()}
    return pa.table(
        {
            "document": documents["document"],
            **columns,
            "text": documents["text"],
            "text_hash": pa.nulls(count, pa.string()),
        }
    )


def _read_answers(run: Run, shards: Sequence[Shard]) -> pa.Table:
    reader = AnswerReader(run.layout, run.fingerprint, run.config.questions, run.config.run.scores)
    return pa.Table.from_batches([reader.read(shard.name) for shard in shards], schema=ANSWERS).combine_chunks()


def _annotations(
    table: pa.Table, columns: Columns, documents: _Documents, passages: pa.Table, answers: pa.Table, run: Run
) -> pa.Table:
    """Passages' answers back to documents, and one row per document and label."""
    labels = [entity_type.label for entity_type in run.config.types]
    places = pc.index_in(passages["passage_id"], _whole(answers["passage_id"]))
    lists = _whole(answers["answers"]).take(_whole(places))
    passages = passages.append_column("answers", lists)
    single = pc.equal(passages["passages"], 1)
    digests = pc.utf8_slice_codeunits(passages["passage_id"], 0, TEXT_DIGITS)
    whole = passages.append_column("text_digest", digests).filter(single)
    parts = [whole.select(["document", "text_digest", "answers"])]
    parts += _merged(passages.filter(pc.invert(single)))
    merged = pa.concat_tables(parts).combine_chunks()
    rows = pc.struct_field(_whole(merged["document"]), "row") if merged.num_rows else pa.array([], pa.int64())
    order = pc.sort_indices(rows)
    flat = _whole(merged["answers"]).take(order).flatten() if merged.num_rows else _no_answers()
    source = table.take(pa.array(np.repeat(rows.take(order).to_numpy(), len(labels))))
    columns_out = {name: source[name] for name in dict.fromkeys([columns.id_name, *columns.keep])}
    flat = with_empty_answers(flat)
    values = {name: flat.field(name) for name in ("entities", "outcome", "repair", "score", "raw_output")}
    values["text_digest"] = (
        _whole(merged["text_digest"]).take(order).take(pa.array(np.repeat(np.arange(len(order)), len(labels))))
    )
    values["entity_type"] = pa.array(labels * len(order), pa.string())
    for name, value in {"run_id": run.id, "model": run.model_name, "fingerprint": run.fingerprint}.items():
        values[name] = pa.array([value], pa.string()).take(pa.array(np.zeros(len(flat), dtype=np.int32)))
    fields = [source.schema.field(name) for name in columns_out]
    ours = [values[field.name] for field in ANNOTATION_FIELDS]
    return pa.Table.from_arrays([*columns_out.values(), *ours], schema=pa.schema([*fields, *ANNOTATION_FIELDS]))


def _no_answers() -> pa.StructArray:
    return answer_lists(pa.array([], ANSWERS.field("answers").type.value_type), 1).flatten()


def _merged(split: pa.Table) -> list[pa.Table]:
    """Documents of several passages, their answers merged and checked as in stage 3."""
    if not split.num_rows:
        return []
    rows = pc.struct_field(_whole(split["document"]), "row")
    split = split.append_column("row", rows).sort_by([("row", "ascending"), ("passage", "ascending")]).combine_chunks()
    starts = np.flatnonzero(np.diff(split["row"].to_numpy(), prepend=-1))
    names = ["passage", "start", "text", "answers"]
    structs = pa.StructArray.from_arrays([_whole(split[name]) for name in names], names)
    offsets = pa.array(np.append(starts, split.num_rows).astype(np.int32))
    first = pa.array(starts)
    batch = pa.RecordBatch.from_pydict(
        {
            "document": _whole(split["document"]).take(first),
            "passages": _whole(split["passages"]).take(first),
            "text_hash": _whole(split["text_hash"]).take(first),
            "parts": pa.ListArray.from_arrays(offsets, structs),
        }
    )
    return [pa.Table.from_batches([merged]) for merged in DocumentMerger("id")(iter([batch]))]
