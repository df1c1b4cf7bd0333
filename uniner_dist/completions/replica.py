"""One replica: an engine that never runs dry, behind a Ray actor.

Enters: names of works. Leaves: one completions file per shard on storage, and counters to the pool. Prompts and
answers never pass through the pool. Several calls of `complete` run at once, each in its own thread: while the engine
works on one shard the next is read and tokenised and the previous one is written, so no shard border is a barrier.
An engine that dies takes the process with it.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from uniner_dist.completions.engine import (
    Answer,
    Engine,
    EngineSpec,
    PromptRefusedError,
    create_engine,
    engine_version,
)
from uniner_dist.completions.queue import Work
from uniner_dist.completions.rows import KEYS, answered_row, fill_in, killer_row, refused_row
from uniner_dist.core.characters import visible
from uniner_dist.core.detokenize import AnswerDecoder
from uniner_dist.core.outcomes import Outcome
from uniner_dist.core.template import get_template
from uniner_dist.core.tokens import PromptTokenizer, shared_tokens
from uniner_dist.schemas import COMPLETIONS
from uniner_dist.storage.answer_store import contribute
from uniner_dist.storage.credentials import adopt
from uniner_dist.storage.filesystem import join, remove
from uniner_dist.storage.layout import RunLayout, StoreLayout
from uniner_dist.storage.shards import (
    ForeignFileError,
    read_completions,
    read_prompts,
    write_completions,
)

#: Seconds a dead replica waits for its callers to read the engine's message before it leaves.
_LAST_WORDS_S = 2.0


@dataclass(frozen=True)
class ReplicaSpec:
    """What a replica needs to know; picklable and small (the tokenizer's JSON is at most a few MB)."""

    engine: EngineSpec
    layout: RunLayout
    store: StoreLayout
    fingerprint: str
    template: str
    tokenizer_json: str
    max_in_flight: int
    credentials: Mapping[str, str] = field(default_factory=dict, repr=False)  # of the object store


@dataclass(frozen=True)
class WorkResult:
    """Counters of one finished work; nothing here grows with the number of prompts."""

    prompts: int
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    failures: dict[str, int]
    seconds: float
    written: bool  # False: another writer had committed this shard before


@dataclass
class _Job:
    """The prompts of one work on their way through the engine."""

    number: int
    prompt_ids: list[list[int]]
    shared_tokens: list[int]
    answers: list[Answer | str | None] = field(default_factory=list)  # a string is the reason of a refusal
    next_index: int = 0
    open: int = 0
    finished: threading.Event = field(default_factory=threading.Event)


class EngineDiedError(Exception):
    """The engine of this replica is dead; the message is the engine's own."""


class Replica:
    """Actor body. `start` loads the model; `complete` and `merge` do works; `progress` answers at any time."""

    def __init__(self, spec: ReplicaSpec) -> None:
        adopt(spec.credentials)
        self._spec = spec
        self._jobs: deque[_Job] = deque()
        self._by_number: dict[int, _Job] = {}
        self._wake = threading.Condition()
        self._in_flight = 0
        self._counter = 0
        self._finished_prompts = 0
        self._finished_tokens = 0
        self._engine: Engine | None = None
        self._failure: str | None = None
        self._stopping = False

    def where(self) -> dict[str, Any]:
        """Node and process of this replica; answers as soon as the actor is placed."""
        import ray

        node_id = ray.get_runtime_context().get_node_id()
        return {"node": node_id, "host": socket.gethostname(), "pid": os.getpid()}

    def start(self) -> dict[str, Any]:
        """Load tokenizer and engine; returns seconds, the engine's version, and a warning about the tokenizer, if any.

        Raises:
            RuntimeError: with the engine's own message.
        """
        begun = time.monotonic()
        spec = self._spec
        self._tokenizer = PromptTokenizer.from_json(spec.tokenizer_json, get_template(spec.template))
        self._decoder = AnswerDecoder(spec.tokenizer_json, anchor=self._tokenizer.suffix_ids("entity")[-1])
        loaded = threading.Event()
        threading.Thread(target=self._run_engine, args=(loaded,), name="engine", daemon=True).start()
        loaded.wait()
        if self._failure is not None:
            raise RuntimeError(self._failure)
        engine = engine_version(spec.engine.kind)
        return {"seconds": time.monotonic() - begun, "warning": self._tokenizer.reason, "engine": engine}

    def begin(self, layout: RunLayout, store: StoreLayout) -> None:
        """Work for another run of the same fingerprint, and count from zero; nothing may be in flight."""
        self._spec = replace(self._spec, layout=layout, store=store)
        self._finished_prompts = self._finished_tokens = 0

    def complete(self, work: Work) -> WorkResult:
        """Answer the prompts of a work and commit its file. What is committed already costs nothing."""
        begun = time.monotonic()
        prompts = read_prompts(self._spec.layout, work.shard)
        path = self._target(work)
        if work.stop is not None:
            prompts = prompts.slice(work.start, work.stop - work.start)
        if self._is_committed(path, work.shard, prompts.num_rows):
            return WorkResult(0, 0, 0, 0, {}, time.monotonic() - begun, written=False)
        known = self._known(work, prompts) if work.known else None
        asked = prompts if known is None else prompts.filter(pc.is_null(known.column("output")))
        answered = self._answer(asked)
        table = answered if known is None else fill_in(known, answered)
        written = self._commit(work, table)
        return _result(answered, time.monotonic() - begun, written)

    def merge(self, work: Work, ranges: list[tuple[int, int]], killers: list[int]) -> WorkResult:
        """Assemble the finished ranges of a suspect shard and its given-up prompts into its completions file."""
        begun = time.monotonic()
        prompts = read_prompts(self._spec.layout, work.shard)
        pieces = [(start, self._read_part(Work(work.shard, start, stop))) for start, stop in ranges]
        pieces += [(row, killer_row(prompts.slice(row, 1))) for row in killers]
        table = pa.concat_tables([piece for _, piece in sorted(pieces, key=lambda pair: pair[0])])
        written = self._commit(work, table)
        failures = {str(Outcome.KILLER): len(killers)} if killers else {}
        return WorkResult(len(killers), 0, 0, 0, failures, time.monotonic() - begun, written)

    def progress(self) -> dict[str, int]:
        """Counters that move while the engine is alive."""
        tokens = self._finished_tokens + (self._engine.tokens() if self._engine else 0)
        return {"finished_prompts": self._finished_prompts, "tokens": tokens}

    def stop(self) -> None:
        """Let the engine go; the process is expected to be killed afterwards."""
        with self._wake:
            self._stopping = True
            self._wake.notify_all()

    # -- prompts in ----------------------------------------------------------------------------------------------

    def _target(self, work: Work) -> str:
        if work.stop is None:
            return self._spec.layout.completions_file(work.shard)
        return join(self._spec.layout.parts, work.shard, f"{work.start}-{work.stop}.parquet")

    def _is_committed(self, path: str, shard: str, rows: int) -> bool:
        """Whether the shard's file is there and whole; a partial or foreign one is removed so that it is redone."""
        try:
            read_completions(path, shard, self._spec.fingerprint, rows)
            return True
        except FileNotFoundError:
            return False
        except ForeignFileError:
            remove(path)
            return False

    def _known(self, work: Work, prompts: pa.Table) -> pa.Table | None:
        """The answers to the prompts of this work that are there already; None when their file is gone or foreign."""
        path = self._spec.layout.known_file(work.shard)
        try:
            known = read_completions(path, work.shard, self._spec.fingerprint)
        except (FileNotFoundError, ForeignFileError):
            return None
        known = known.slice(work.start, prompts.num_rows)
        same = all(known[key].combine_chunks().equals(prompts[key].combine_chunks()) for key in KEYS)
        return known if same else None

    def _commit(self, work: Work, table: pa.Table) -> bool:
        """Write the answers of a work; those of a whole shard go into the store first, then commit the shard."""
        whole, spec = work.stop is None, self._spec
        if whole:
            contribute(spec.store, spec.layout.run_id, work.shard, table)
        return write_completions(self._target(work), work.shard, spec.fingerprint, table, exclusive=whole)

    def _answer(self, prompts: pa.Table) -> pa.Table:
        """Ask prompts and wait for all of them."""
        prompt_ids = self._assemble(prompts)
        job = self._submit(prompt_ids, shared_tokens(prompts.column("passage_id").to_pylist(), prompt_ids))
        self._wait_for(job)
        return self._table(prompts, prompt_ids, job.answers)

    def _assemble(self, prompts: pa.Table) -> list[list[int]]:
        """Token ids of every prompt: each passage tokenised once, each type once."""
        texts = prompts.column("text").to_pylist()
        passages = prompts.column("passage_id").to_pylist()
        types = prompts.column("entity_type").to_pylist()
        if not self._tokenizer.assembled:
            return [self._tokenizer.prompt_ids(text, kind) for text, kind in zip(texts, types, strict=True)]
        firsts = [i for i in range(len(passages)) if i == 0 or passages[i] != passages[i - 1]]
        prefixes = self._tokenizer.prefix_ids([texts[i] for i in firsts])
        suffixes = {kind: self._tokenizer.suffix_ids(kind) for kind in dict.fromkeys(types)}
        prompt_ids, position = [], -1
        for i, kind in enumerate(types):
            position += position + 1 < len(firsts) and firsts[position + 1] == i
            prompt_ids.append(prefixes[position] + suffixes[kind])
        return prompt_ids

    def _submit(self, prompt_ids: list[list[int]], shared: list[int]) -> _Job:
        with self._wake:
            self._counter += 1
            job = _Job(self._counter, prompt_ids, shared, [None] * len(prompt_ids), open=len(prompt_ids))
            self._by_number[job.number] = job
            self._jobs.append(job)
            self._wake.notify_all()
        if not prompt_ids:
            job.finished.set()
        return job

    def _wait_for(self, job: _Job) -> None:
        job.finished.wait()
        if self._failure is not None:
            raise EngineDiedError(self._failure)
        with self._wake:
            del self._by_number[job.number]

    # -- the engine's own thread ---------------------------------------------------------------------------------

    def _run_engine(self, loaded: threading.Event) -> None:
        """Load, then step for ever; any error that is not one prompt's own ends the process."""
        try:
            engine = self._engine = create_engine(self._engine_spec())
            loaded.set()
            while not self._stopping:
                self._admit(engine)
                for answer in engine.step() if self._in_flight else ():
                    self._deliver(answer)
            engine.close()
        except BaseException as error:
            self._fail(error, loaded)

    def _engine_spec(self) -> EngineSpec:
        """With scores an empty list is answered to its end, whose probability counts."""
        spec = self._spec.engine
        return spec if spec.scores else replace(spec, empty_list_ids=tuple(self._decoder.empty_list_ids()))

    def _admit(self, engine: Engine) -> None:
        """Hand prompts to the engine up to the limit, oldest shard first; sleep while there is nothing to do."""
        with self._wake:
            while not self._stopping and not self._jobs and not self._in_flight:
                self._wake.wait()
        while self._jobs and self._in_flight < self._spec.max_in_flight:
            job = self._jobs[0]
            if job.next_index == len(job.prompt_ids):
                self._jobs.popleft()
                continue
            self._hand_over(engine, job, job.next_index)
            job.next_index += 1

    def _hand_over(self, engine: Engine, job: _Job, index: int) -> None:
        prompt_ids, limit = job.prompt_ids[index], self._spec.engine.max_model_len
        try:
            if len(prompt_ids) >= limit:
                raise PromptRefusedError(f"{len(prompt_ids)} tokens do not fit a context of {limit}")
            engine.add(f"{job.number}:{index}", prompt_ids, job.shared_tokens[index])
            self._in_flight += 1
        except PromptRefusedError as refusal:
            self._record(job, index, str(refusal))

    def _deliver(self, answer: Answer) -> None:
        number, _, index = answer.request_id.partition(":")
        self._in_flight -= 1
        self._finished_tokens += len(answer.token_ids)
        # An engine may add a suffix to our id; the digits in front are ours.
        self._record(self._by_number[int(number)], int(index.split("-")[0]), answer)

    def _record(self, job: _Job, index: int, answer: Answer | str) -> None:
        job.answers[index] = answer
        job.open -= 1
        self._finished_prompts += 1
        if job.open == 0:
            job.finished.set()

    def _fail(self, error: BaseException, loaded: threading.Event) -> None:
        """Tell every caller why, then leave: a dead engine behind a live actor would fail all later calls."""
        self._failure = _explain(error)
        print(visible("".join(traceback.format_exception(error)), keep="\n"), file=sys.stderr, flush=True)
        loaded.set()
        for job in list(self._by_number.values()):
            job.finished.set()
        time.sleep(_LAST_WORDS_S)
        os._exit(1)

    # -- answers out ---------------------------------------------------------------------------------------------

    def _table(self, prompts: pa.Table, prompt_ids: list[list[int]], answers: list[Any]) -> pa.Table:
        """Answers as rows of `schemas.COMPLETIONS`, in the order of the prompts."""
        answered = [answer for answer in answers if isinstance(answer, Answer)]
        texts = iter(self._decoder.texts([answer.token_ids for answer in answered]))
        limit = self._spec.engine.max_model_len
        rows = [
            answered_row(answer, next(texts), len(ids), self._token_texts(answer))
            if isinstance(answer, Answer)
            else refused_row(answer, len(ids), too_long=len(ids) >= limit)
            for answer, ids in zip(answers, prompt_ids, strict=True)
        ]
        table = pa.Table.from_pylist(rows, schema=pa.schema([f for f in COMPLETIONS if f.name not in KEYS]))
        for position, key in enumerate(KEYS):
            table = table.add_column(position, COMPLETIONS.field(key), prompts.column(key))
        return table.combine_chunks()

    def _token_texts(self, answer: Answer) -> list[str] | None:
        return None if answer.logprobs is None else self._decoder.token_texts(answer.token_ids)

    def _read_part(self, work: Work) -> pa.Table:
        path = self._target(work)
        stop = work.stop or 0
        return read_completions(path, work.shard, self._spec.fingerprint, stop - work.start)


def _result(table: pa.Table, seconds: float, written: bool) -> WorkResult:
    failures: dict[str, int] = {}
    for kind in table.column("error_kind").drop_null().to_pylist():
        failures[kind] = failures.get(kind, 0) + 1

    def total(name: str) -> int:
        return int(sum(table.column(name).to_pylist()))

    return WorkResult(
        prompts=table.num_rows,
        prompt_tokens=total("prompt_tokens"),
        cached_tokens=total("cached_tokens"),
        completion_tokens=total("completion_tokens"),
        failures=failures,
        seconds=seconds,
        written=written,
    )


def _explain(error: BaseException) -> str:
    """The engine's own words: its exception, and the tail of this process's log when a child process failed."""
    chain: list[str] = []
    cause: BaseException | None = error
    while cause is not None and len(chain) < 4:
        chain.append(f"{type(cause).__name__}: {cause}")
        cause = cause.__cause__ or cause.__context__
    return " <- ".join(chain) + _log_tail()


def _log_tail(lines: int = 8) -> str:
    """Last error lines of what this process wrote to stderr, where an engine's child process tells its root cause."""
    with contextlib.suppress(OSError, UnicodeDecodeError):
        path = os.readlink("/proc/self/fd/2")
        with open(path, encoding="utf-8", errors="replace") as stream:
            errors = [line.strip() for line in stream.readlines()[-400:] if "ERROR" in line or "Error:" in line]
        return "".join(f"\n  {line[:300]}" for line in errors[-lines:])
    return ""
