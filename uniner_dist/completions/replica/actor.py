"""The Ray actor of a replica: what the pool may ask of it.

Prompts and answers never pass through the pool: a call names a work item, and the replica reads and writes its files.
Several calls of `complete` run at once, each in its own thread: while the engine answers one shard the next is read and
tokenised and the previous one is written, so the engine never waits at the end of a shard.
"""

from __future__ import annotations

import os
import socket
import time
from dataclasses import replace

import pyarrow as pa

from uniner_dist.completions.engine import Engine, create_engine, engine_version, engine_warning
from uniner_dist.completions.replica.engine_loop import EngineLoop
from uniner_dist.completions.replica.files import cached_answers, commit, is_committed, prompts_of, read_ranges
from uniner_dist.completions.replica.prompt_ids import assemble
from uniner_dist.completions.replica.protocol import PlacementInfo, ReplicaSpec, StartInfo, WorkResult
from uniner_dist.completions.replica.rows import completions_table, fill_in, poison_row, result_of
from uniner_dist.completions.work import WorkItem
from uniner_dist.core.detokenize import AnswerDecoder
from uniner_dist.core.outcomes import Outcome
from uniner_dist.core.template import get_template
from uniner_dist.core.tokens import PromptTokenizer, shared_tokens
from uniner_dist.storage.credentials import adopt
from uniner_dist.storage.layout import RunLayout
from uniner_dist.storage.place_layout import StoreLayout
from uniner_dist.storage.shards import is_open, read_prompts


class Replica:
    """Actor body. `start` loads the model; `complete` and `merge` do work items; `progress` answers at any time.

    Args:
        spec: what to load, and the folders to work in; its storage credentials are set in this process.
    """

    def __init__(self, spec: ReplicaSpec) -> None:
        adopt(spec.credentials)
        self._spec = spec
        self._loop = EngineLoop(self._load_engine, spec.max_in_flight, spec.engine.max_model_len)

    @property
    def engine(self) -> Engine | None:
        """The engine; None until `start` has loaded it."""
        return self._loop.engine

    def placement_info(self) -> PlacementInfo:
        """Return node and process of this replica; answers as soon as the actor is placed."""
        import ray

        node_id = ray.get_runtime_context().get_node_id()
        return PlacementInfo(node_id, socket.gethostname(), os.getpid())

    def start(self) -> StartInfo:
        """Load tokenizer and engine.

        Returns:
            The seconds that it took, the engine's version, and a warning if there is one.

        Raises:
            RuntimeError: with the engine's own message.
            ConfigError: the tokenizer cannot be used.
        """
        begun = time.monotonic()
        spec = self._spec
        self._tokenizer = PromptTokenizer.from_json(spec.tokenizer_json, get_template(spec.template))
        self._decoder = AnswerDecoder(spec.tokenizer_json, anchor=self._tokenizer.suffix_ids("entity")[-1])
        self._loop.start()
        warnings = [self._tokenizer.reason, engine_warning(spec.engine.kind)]
        warning = "; ".join(filter(None, warnings)) or None
        return StartInfo(time.monotonic() - begun, engine_version(spec.engine.kind), warning)

    def begin(self, layout: RunLayout, store: StoreLayout) -> None:
        """Work for another run of the same fingerprint, and count from zero; nothing may be in flight.

        Args:
            layout: folders of the run whose shards are completed next.
            store: folders of the store that gets its answers.
        """
        self._spec = replace(self._spec, layout=layout, store=store)
        self._loop.count_from_zero()

    def complete(self, item: WorkItem) -> WorkResult:
        """Answer the prompts of a work item and commit its file. What is committed already costs nothing.

        Args:
            item: a whole shard, or a range of a suspect one.

        Returns:
            Counters of the prompts that were asked; all 0 for an item that was committed before.

        Raises:
            EngineDiedError: the engine died; the process is about to exit.
            StageError: the shard's prompts, or what triage has left out of them, cannot be read, or storage failed; the
                engine still works.
        """
        begun, spec = time.monotonic(), self._spec
        prompts = prompts_of(spec, item)
        if is_committed(spec, item, prompts.num_rows):
            return WorkResult(0, 0, 0, 0, {}, time.monotonic() - begun, written=False)
        known = cached_answers(spec, item, prompts) if item.known else None
        asked = prompts if known is None else prompts.filter(is_open(known))
        answered = self._answer(asked)
        written = commit(spec, item, answered if known is None else fill_in(known, answered))
        return result_of(answered, time.monotonic() - begun, written)

    def merge(self, item: WorkItem, ranges: list[tuple[int, int]], poison: list[int]) -> WorkResult:
        """Assemble a suspect shard's finished ranges and its given-up prompts into its file.

        Args:
            item: the whole shard.
            ranges: `(start, stop)` of each finished range, as row numbers; with `poison` they cover every row once.
            poison: row numbers of the prompts that were given up.

        Returns:
            Counters of the given-up prompts only, since the ranges were counted when they were finished.

        Raises:
            StageError: the prompts or the file of a range cannot be read, or storage failed.
        """
        begun, spec = time.monotonic(), self._spec
        prompts = read_prompts(spec.layout, item.shard)
        pieces = read_ranges(spec, item.shard, ranges)
        pieces += [(row, poison_row(prompts.slice(row, 1))) for row in poison]
        table = pa.concat_tables([piece for _, piece in sorted(pieces, key=lambda pair: pair[0])])
        written = commit(spec, item, table)
        failures = {str(Outcome.KILLER): len(poison)} if poison else {}
        return WorkResult(len(poison), 0, 0, 0, failures, time.monotonic() - begun, written)

    def progress(self) -> dict[str, int]:
        """Return counters that move while the engine is alive; see `EngineLoop.progress`."""
        return self._loop.progress()

    def stop(self) -> None:
        """Close the engine; the process is expected to be killed afterwards."""
        self._loop.stop()

    def _load_engine(self) -> Engine:
        """Load the engine; with scores an empty list is answered to its end, whose probability counts."""
        tokenizer_json, eos_id = self._spec.tokenizer_json, self._tokenizer.eos_id
        spec = replace(self._spec.engine, tokenizer_json=tokenizer_json, eos_id=eos_id)
        if not spec.scores:
            spec = replace(spec, empty_list_ids=tuple(self._decoder.empty_list_ids()))
        return create_engine(spec)

    def _answer(self, prompts: pa.Table) -> pa.Table:
        """Ask prompts and wait for all of them; rows of `schemas.COMPLETIONS`."""
        prompt_ids = assemble(self._tokenizer, prompts)
        shared = shared_tokens(prompts.column("passage_id").to_pylist(), prompt_ids)
        answers = self._loop.answer(prompt_ids, shared)
        return completions_table(
            prompts, [len(ids) for ids in prompt_ids], answers, self._decoder, self._spec.engine.max_model_len
        )
