"""The stages without Spark and Ray: their orchestration is the product's, what tasks compute is made here by pyarrow.

`install` replaces the functions that hand work to Spark, and the pool, by ones that write the same files in this
process (by the product's own writers wherever a task's function can be called). What a driver does, and in which order,
is left as it is: plans, leases, journals, markers, manifests, summaries, reports. So a command takes milliseconds, and
a process that runs one may be forked and killed. Texts are short: one document is one passage.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import reduce
from operator import xor
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

import uniner_dist.annotations.card as card
import uniner_dist.annotations.publication as publication
import uniner_dist.annotations.stage as stage_3
import uniner_dist.completions.replica.files as replica_files
import uniner_dist.export.joining as joining
import uniner_dist.gate.before_bulk as before_bulk
import uniner_dist.gate.before_publish as before_publish
import uniner_dist.maintenance.compact as compaction
import uniner_dist.pipeline.exclusive as exclusive
import uniner_dist.pipeline.stages as stages
import uniner_dist.prompts.stage as stage_1
import uniner_dist.spark.session as session
from uniner_dist.annotations import audit
from uniner_dist.annotations.card_text import Statistics
from uniner_dist.annotations.rewrite import FileRewriter, RewrittenFile
from uniner_dist.completions.attempts import Account
from uniner_dist.completions.manifest import read_manifest
from uniner_dist.completions.summary import PoolSummary
from uniner_dist.completions.work import WorkItem
from uniner_dist.core.hashing import TEXT_DIGITS, passage_id
from uniner_dist.prompts.shard_writer import ShardWriter
from uniner_dist.prompts.summary import Totals
from uniner_dist.prompts.survey import Survey
from uniner_dist.run.run import Run
from uniner_dist.schemas import ANNOTATION_FIELDS, CELLS, COMPLETIONS, ENTITY, SHARDS
from uniner_dist.storage.answer_store import live_files
from uniner_dist.storage.attempts import count_files, count_written
from uniner_dist.storage.control_files import AnnotationsSummary, Attempt, PromptsSummary
from uniner_dist.storage.erased import hash_document, hash_text, read_erased
from uniner_dist.storage.filesystem import find_files, join, read_bytes, remove, write_bytes
from uniner_dist.storage.shards import read_completions, read_prompts, read_shards, verified_shards
from uniner_dist.storage.stage_files import counting, remove_until_now

_DOCUMENT = pa.struct([("doc_id", pa.string())])
#: A document whose text has this word is refused by the engine until `mended` says otherwise.
REFUSED = "Refused"


class Anything:
    """What stands for a DataFrame, a session or a module that nobody looks into: every use of it is it again."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        return self


ANYTHING = Anything()


def install(mended: Callable[[], bool] = lambda: True) -> None:
    """Do without Spark and Ray for the rest of this process.

    Args:
        mended: whether the engine answers what it has refused.
    """
    quiet: Callable[..., Any] = lambda *arguments, **options: nullcontext()  # noqa: E731
    for module in (stage_1, stage_3, publication, card, compaction, joining, before_bulk, before_publish):
        _put(module, stage=quiet, settings=quiet, describe=lambda *arguments: None, read_table=_nothing, F=ANYTHING)
    _put(stages, spark_for=_session, require_engines=lambda *names: None, open_pool=lambda *arguments: nullcontext())
    _put(stages, complete_prompts=lambda run, pool, lease, view: _complete(run, mended()), ray_cluster=quiet)
    _put(session, spark_session=lambda *arguments, **options: nullcontext(ANYTHING))
    _put(exclusive, check_storages=lambda *arguments: None)  # which starts processes; it has tests of its own
    _put(stage_1, rows=ANYTHING, survey_corpus=_nothing, count_occurrences=_nothing, run_concurrently=_at_once)
    _put(stage_1, _write_rejects=_write_rejects, _write_occurrences=_write_occurrences, _write_shards=_write_shards)
    real = SimpleNamespace(check_committed=audit.check_committed, summarise=_audit, check_threshold=_nothing)
    _put(stage_3, audit=real, _write_answers=_nothing, whole_documents=_nothing, read_staged=_nothing)
    _put(stage_3, quarantine_rows=_nothing, _write_staged=_write_staged, _write_quarantine=_write_quarantine)
    _put(publication, rewrite_files=_rewrite_files, _types=lambda spark, run: {"doc_id": "string"})
    _put(publication, _write_placeholder=_write_placeholder)
    _put(card, _of_output=lambda spark, run: _statistics(run))
    _put(compaction, _write=_compact)
    _put(joining, find_labels=lambda spark, source, known: tuple(known))
    _put(joining, _rows=lambda spark, source: source, map_in_arrow=_export, _longest_text=lambda spark, source: 100)
    _put(before_bulk, corpus_texts=_corpus_texts, sample_ids=_sample_ids, unchanged=_unchanged)
    _put(before_publish, _staged_rows=_staged_rows)


def _put(module: Any, **values: Any) -> None:
    for name, value in values.items():
        setattr(module, name, value)


def _nothing(*arguments: Any, **options: Any) -> Any:
    return ANYTHING


@contextmanager
def _session(run: Run, stage: str) -> Iterator[Any]:
    yield _RunSession(run)


class _RunSession(Anything):
    """A session that knows what it was opened for."""

    def __init__(self, run: Run) -> None:
        self.run = run


def _write(table: pa.Table, path: str) -> None:
    buffer = pa.BufferOutputStream()
    pq.write_table(table, buffer)
    write_bytes(path, bytes(buffer.getvalue()))


def _read(path: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.ParquetFile(pa.BufferReader(read_bytes(path))).read(use_threads=False).to_pylist()
    return rows


# -- stage 1 -----------------------------------------------------------------------------------------------------------


def _corpus(path: str) -> list[dict[str, Any]]:
    return [row for file in sorted(find_files(path, ".parquet")) for row in _read(join(path, file))]


def _documents(run: Run) -> tuple[dict[str, str], dict[str, str]]:
    """Text by id of every document that is taken, and the reason of every other one."""
    corpus = _corpus(run.config.corpus.path)
    lists = [found for found in map(read_erased, run.erased_lists) if found is not None]
    taken, rejected = {}, {}
    for doc_id, text in ((row["doc_id"], row["text"]) for row in corpus):
        texts = [
            one.texts[hash_document(one.salt, doc_id)] for one in lists if hash_document(one.salt, doc_id) in one.texts
        ]
        hashes = [hash_text(one.salt, doc_id, passage_id(text)) for one in lists] if text else []
        if any(not known or set(known) & set(hashes) for known in texts):
            rejected[doc_id] = "erased"
        elif text is None:
            rejected[doc_id] = "null_text"
        else:
            taken[doc_id] = text
    return taken, rejected


def _at_once(spark: _RunSession, *looks: Callable[[], Any]) -> list[Any]:
    """The two places of stage 1 that look at several things at once."""
    taken, rejected = _documents(spark.run)
    found = [look() for look in looks]
    if isinstance(found[1], pa.Table):
        return [Totals(len(taken), len(taken), 0), found[1]]
    counts = {reason: list(rejected.values()).count(reason) for reason in dict.fromkeys(rejected.values())}
    return [Survey(len(taken) + len(rejected), counts, 10 * len(taken), 0, 0), False]


def _write_rejects(spark: Any, run: Run, corpus: Any, survey: Survey, repeats: Any) -> dict[str, int]:
    rows = [{"doc_id": doc, "reason": reason} for doc, reason in _documents(run)[1].items() if reason != "erased"]
    schema = pa.schema([("doc_id", pa.string()), ("reason", pa.string())])
    _write(pa.Table.from_pylist(rows, schema), join(run.layout.own(run.layout.rejects), "part-0.parquet"))
    count_written(run.layout.own(run.layout.rejects))
    return dict(survey.rejects)


def _write_occurrences(spark: Any, run: Run, *others: Any) -> tuple[Any, Any]:
    rows = [
        {"document": {"doc_id": doc}, "passage_id": passage_id(text), "passage": 0, "passages": 1, "start": 0}
        | {"estimated_tokens": 1, "text": None, "text_hash": None}
        for doc, text in _documents(run)[0].items()
    ]
    whole = [(name, pa.int32()) for name in ("passage", "passages", "start", "estimated_tokens")]
    fields = [("document", _DOCUMENT), ("passage_id", pa.string()), *whole]
    schema = pa.schema([*fields, ("text", pa.string()), ("text_hash", pa.string())])
    _write(pa.Table.from_pylist(rows, schema), join(run.layout.own(run.layout.occurrences), "part-0.parquet"))
    count_written(run.layout.own(run.layout.occurrences))
    return ANYTHING, ANYTHING


def _write_shards(
    spark: Any, run: Run, passages: Any, places: Any, count: int, packing: Any, selection: Any
) -> pa.Table:
    asks = run.config.questions.asked
    texts = sorted({(passage_id(text), text) for text in _documents(run)[0].values()})
    if not texts:
        return SHARDS.empty_table()
    cells: dict[str, list[dict[str, Any]]] = {key: [] for key, _ in texts}
    for name in live_files(run.store):
        for row in _read(join(run.store.cells, name)):
            known = cells.get(row["passage_id"])
            if known is not None and row["entity_type"] in asks:
                ask = asks.index(row["entity_type"])
                if all(one["ask"] != ask for one in known):
                    known.append({"ask": ask, **row})
    kept = [field for field in CELLS if field.name not in ("passage_id", "entity_type")]
    kind = pa.list_(pa.struct([pa.field("ask", pa.int32()), *kept]))
    columns = [pa.array([0] * len(texts), pa.int32()), *(pa.array(list(column)) for column in zip(*texts, strict=True))]
    answers = pa.array([sorted(cells[key], key=lambda one: one["ask"]) for key, _ in texts], kind)
    batch = pa.RecordBatch.from_arrays([*columns, answers], names=["bucket", "passage_id", "text", "cells"])
    writer = ShardWriter(run.layout, run.fingerprint, asks, packing, selection)
    rows = [row for done in writer(iter([batch])) for row in done.to_pylist()]
    return pa.Table.from_pylist(sorted(rows, key=lambda row: row["shard"]), schema=SHARDS)


# -- stage 2 -----------------------------------------------------------------------------------------------------------


def _complete(run: Run, mended: bool) -> Attempt:
    manifest = read_manifest(run)
    committed = verified_shards(run.layout, {shard.name: shard.prompts for shard in manifest}, run.fingerprint)
    account = Account(run, manifest, committed)
    account.write(PoolSummary())
    spec: Any = SimpleNamespace(layout=run.layout, store=run.store, fingerprint=run.fingerprint)
    for shard in manifest:
        if shard.name not in committed:
            item = WorkItem(shard.name)
            prompts = replica_files.prompts_of(spec, item)
            known = replica_files.cached_answers(spec, item, prompts)
            before = known.to_pylist() if known is not None else [{"output": None}] * prompts.num_rows
            pairs = zip(prompts.to_pylist(), before, strict=True)
            rows = [
                _answer(prompt, mended) if one["output"] is None else one | {"reused": True} for prompt, one in pairs
            ]
            replica_files.commit(spec, item, pa.Table.from_pylist(rows, schema=COMPLETIONS))
    account.write(PoolSummary())
    return account.values(PoolSummary())


def _answer(prompt: Mapping[str, Any], mended: bool) -> dict[str, Any]:
    text, refused = prompt["text"], REFUSED in prompt["text"] and not mended
    words = re.findall(r"\b[A-Z][a-z]+\b", text) if prompt["entity_type"] == "person" else []
    return {
        "passage_id": prompt["passage_id"], "entity_type": prompt["entity_type"],
        "output": None if refused else json.dumps(list(dict.fromkeys(words))),
        "finish_reason": None if refused else "stop", "prompt_tokens": 1, "cached_tokens": 0, "completion_tokens": 1,
        "error_kind": "engine_error" if refused else None, "error": "refused" if refused else None, "reused": False,
    }  # fmt: skip


# -- stage 3 -----------------------------------------------------------------------------------------------------------


def _rows(run: Run) -> list[dict[str, Any]]:
    """Every annotation of the run, of what its shards answer and its occurrences place."""
    answers = {}
    texts = {}
    for shard in read_shards(run.layout)["shard"].to_pylist():
        texts |= {row["passage_id"]: row["text"] for row in read_prompts(run.layout, shard).to_pylist()}
        for row in read_completions(run.layout.completions_file(shard), shard, run.fingerprint).to_pylist():
            answers[row["passage_id"], row["entity_type"]] = row
    rows = []
    placed = counting(run.layout.occurrences)
    for file in sorted(find_files(placed, ".parquet")):
        for place in _read(join(placed, file)):
            key = place["passage_id"]
            for entity_type in run.config.types:
                found = answers[key, entity_type.ask]
                rows.append(_row(run, place["document"]["doc_id"], key, texts[key], entity_type.label, found))
    return rows


def _row(run: Run, doc_id: str, key: str, text: str, label: str, found: Mapping[str, Any]) -> dict[str, Any]:
    words = json.loads(found["output"]) if found["output"] is not None else []
    entities = [
        {"text": w, "start": text.index(w), "end": text.index(w) + len(w), "match": "exact", "score": None}
        for w in words
    ]
    outcome = "engine_error" if found["output"] is None else "found" if entities else "none"
    return {
        "doc_id": doc_id, "entity_type": label, "entities": entities, "outcome": outcome,
        "text_digest": key[:TEXT_DIGITS], "run_id": run.id, "model": run.model_name, "fingerprint": run.fingerprint,
    }  # fmt: skip


def _write_staged(spark: Any, run: Run, documents: Any, places: Any, count: int) -> None:
    rows = _rows(run)
    remove(run.layout.staging)
    kept = [field for field in ANNOTATION_FIELDS if field.name != "entity_type"]
    schema = pa.schema([pa.field("doc_id", pa.string()), *kept])
    for label in dict.fromkeys(row["entity_type"] for row in rows):
        table = pa.Table.from_pylist([row for row in rows if row["entity_type"] == label], schema)
        _write(table, join(run.layout.staging, f"entity_type={label}", "part-0.parquet"))
    count_written(run.layout.staging)


def _audit(staged: Any, places: Any, run: Run, prompts: PromptsSummary) -> AnnotationsSummary:
    rows = [row for file in sorted(find_files(run.layout.staging, ".parquet")) for row in _staged(run, file)]
    cells = {(row["entity_type"], row["outcome"]) for row in rows}
    counts = [
        audit._RowCount(label, outcome, len(own), 0, _digest(own))
        for label, outcome in sorted(cells)
        if (own := [row["doc_id"] for row in rows if (row["entity_type"], row["outcome"]) == (label, outcome)])
    ]
    placed = counting(run.layout.occurrences)
    files = sorted(find_files(placed, ".parquet"))
    documents = [row["document"]["doc_id"] for file in files for row in _read(join(placed, file))]
    labels = [entity_type.label for entity_type in run.config.types]
    problems = audit._problems(counts, [], labels, len(documents), _digest(documents), prompts)
    assert not problems, problems
    return audit._summary(counts, [], labels, len(documents))


def _staged(run: Run, file: str) -> list[dict[str, Any]]:
    label = file.split("/")[0].partition("=")[2]
    return [{**row, "entity_type": label} for row in _read(join(run.layout.staging, file))]


def _digest(ids: list[str]) -> int:
    return reduce(xor, (zlib.crc32(one.encode()) for one in ids), 0)


def _write_quarantine(spark: Any, run: Run, rows: Any, summary: Mapping[str, Any]) -> Any:
    failed = [row for row in _rows(run) if row["outcome"] == "engine_error"]
    asks = {entity_type.label: entity_type.ask for entity_type in run.config.types}
    keys = {doc: passage_id(text) for doc, text in _documents(run)[0].items()}
    table = [
        {"doc_id": row["doc_id"], "passage_id": keys.get(row["doc_id"], ""), "ask": asks[row["entity_type"]]}
        | {
            "entity_type": row["entity_type"],
            "text": REFUSED,
            "outcome": row["outcome"],
            "error": "refused",
            "raw_output": None,
        }
        for row in failed
    ]
    names = ("doc_id", "entity_type", "passage_id", "ask", "text", "outcome", "error", "raw_output")
    remove_until_now(run.layout, run.layout.quarantine)
    folder = run.layout.own(run.layout.quarantine)
    schema = pa.schema([(name, pa.string()) for name in names])
    _write(pa.Table.from_pylist(table, schema), join(folder, "part-0.parquet"))
    count_files(folder, ["part-0.parquet"])
    return SimpleNamespace(count=lambda: len(table))


def _rewrite_files(spark: Any, run: Run, ids: Any, folder: str, selection: Any) -> list[RewrittenFile]:
    """As `annotations.rewrite.rewrite_files` with its `_affected_rows`."""
    placed = counting(run.layout.occurrences)
    files = sorted(find_files(placed, ".parquet"))
    places = [row for file in files for row in _read(join(placed, file))]
    own = {row["document"]["doc_id"]: row["passage_id"][:TEXT_DIGITS] for row in places}
    asked = {entity_type.label for entity_type in run.config.types}
    output, carried = run.config.output.path, []
    rewriter = FileRewriter(output, folder, run.id)
    for file in sorted(find_files(output, ".parquet")):
        label = file.split("/")[0].partition("=")[2]
        counts, gone, runs, claimed = {"replaced": 0, "removed": 0, "edited": 0}, [], set(), 0
        for number, row in enumerate(_read(join(output, file))):
            ours, selected = row["doc_id"] in own, selection is None or row["run_id"] in selection
            if not ours and not selected:
                continue
            claimed += 1
            runs.add(row["run_id"])
            edited = run.config.output.other_types == "remove" or row["text_digest"] != own.get(row["doc_id"])
            kind = "replaced" if ours and label in asked else "edited" if ours and edited else "" if ours else "removed"
            if kind:
                counts[kind] += 1
                gone.append(number)
        if claimed:
            about = {"file": join(output, file), "rows": gone, **counts, "claimed": claimed, "runs": sorted(runs)}
            kinds = {"rows": pa.list_(pa.int64()), "runs": pa.list_(pa.string())}
            arrays = [pa.array([value], kinds.get(name)) for name, value in about.items()]
            batch = pa.RecordBatch.from_arrays(arrays, names=list(about))
            carried += [RewrittenFile.of(row) for done in rewriter(iter([batch])) for row in done.to_pylist()]
    return carried


def _write_placeholder(spark: Any, run: Run) -> str:
    fields = [pa.field("doc_id", pa.string()), *ANNOTATION_FIELDS]
    schema = pa.schema([field for field in fields if field.name not in run.partition_by])
    _write(schema.empty_table(), run.layout.placeholder)
    return run.layout.placeholder


def _statistics(run: Run) -> Statistics:
    by_type: dict[str, dict[str, int]] = {}
    mentions: dict[str, int] = {}
    documents = set()
    for file in sorted(find_files(run.config.output.path, ".parquet")):
        label = file.split("/")[0].partition("=")[2]
        for row in _read(join(run.config.output.path, file)):
            outcomes = by_type.setdefault(label, {})
            outcomes[row["outcome"]] = outcomes.get(row["outcome"], 0) + 1
            mentions[label] = mentions.get(label, 0) + len(row["entities"])
            documents.add(row["doc_id"])
    return Statistics(len(documents), by_type, mentions)


# -- the rest ----------------------------------------------------------------------------------------------------------


def _compact(spark: Any, layout: Any, names: list[str], buckets: int) -> list[compaction.WrittenFile]:
    rows = [row for name in names for row in _read(join(layout.cells, name))]
    rows.sort(key=lambda row: (row["passage_id"], row["entity_type"], row["logprobs"] is None, row["output"]))
    table = pa.Table.from_pylist(rows, CELLS).append_column("bucket", pa.array([0] * len(rows), pa.int32()))
    writer = compaction.CellWriter(layout)
    return [compaction.WrittenFile(**row) for done in writer(iter(table.to_batches())) for row in done.to_pylist()]


def _export(source: Any, writer: Any, schema: Any) -> Any:
    """The documents of an output with their texts, through the function of the export's tasks."""
    texts: dict[str, str] = {}
    for given in reversed(source.corpora):
        texts |= {row["doc_id"]: row[given.text_column] for row in _corpus(given.path)}
    answers: dict[str, list[dict[str, Any]]] = {}
    for file in sorted(find_files(source.annotations, ".parquet")):
        label = file.split("/")[0].partition("=")[2]
        for row in _read(join(source.annotations, file)):
            kept = {name: row[name] for name in ("outcome", "score", "entities")}
            answers.setdefault(row["doc_id"], []).append({"entity_type": label, **kept})
    rows: list[dict[str, Any]] = []
    for doc, found in sorted(answers.items()):
        rows += [{"id": doc, **answer} for answer in found]
        rows += [{"id": doc, "text": texts[doc], "rank": 0, "carried": ""}] if doc in texts else []
    strings = [(name, pa.string()) for name in ("id", "entity_type", "outcome", "text", "carried")]
    further = [("score", pa.float32()), ("entities", pa.list_(ENTITY)), ("rank", pa.int64())]
    batches = pa.Table.from_pylist(rows, pa.schema([*strings, *further]))
    done = [row for batch in writer(iter(batches.to_batches())) for row in batch.to_pylist()]
    return SimpleNamespace(collect=lambda: done)


def _corpus_texts(spark: Any, run: Run, doc_ids: Any) -> dict[str, str]:
    return {doc: text for doc, text in _documents(run)[0].items() if doc in set(doc_ids)}


def _sample_ids(spark: Any, run: Run, count: int) -> list[str]:
    return sorted(_documents(run)[0])[:count]


def _unchanged(spark: Any, run: Run, texts: Mapping[str, str]) -> list[str]:
    there = _documents(run)[0]
    return [doc for doc, text in texts.items() if there.get(doc) == text]


def _staged_rows(spark: Any, run: Run, doc_ids: Any) -> list[dict[str, Any]]:
    wanted = set(doc_ids)
    rows = [row for file in sorted(find_files(run.layout.staging, ".parquet")) for row in _staged(run, file)]
    return [{**row, "id": row["doc_id"]} for row in rows if row["doc_id"] in wanted]
