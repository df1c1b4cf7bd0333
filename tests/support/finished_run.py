"""A finished run with all that it leaves, made by pyarrow and the product's own writers, without Spark and Ray."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tests.support.published import published, write_marker
from uniner_dist.config.loading import validate_tree
from uniner_dist.core.differences import Cell
from uniner_dist.core.hashing import passage_id
from uniner_dist.export.registry import register_export, source_of
from uniner_dist.export.writing import DocumentWriter
from uniner_dist.formats.settings import ExportSettings
from uniner_dist.gate.sample import Sample, Source, update_sample
from uniner_dist.pipeline.preflight import open_run
from uniner_dist.prompts.packing import Packing
from uniner_dist.prompts.shard_writer import ShardWriter
from uniner_dist.run.publication_state import claim_of
from uniner_dist.run.run import Run
from uniner_dist.schemas import ANNOTATION_FIELDS, COMPLETIONS, ENTITY, SHARDS
from uniner_dist.storage.answer_store import contribute
from uniner_dist.storage.control_files import Marker
from uniner_dist.storage.erased import erased_state
from uniner_dist.storage.filesystem import join, write_bytes, write_json
from uniner_dist.storage.shards import read_prompts, write_completions, write_shards

#: Of two of them the text is the same; one has no usable text.
TEXTS = {
    "id-Alba": "Alba met Paula in Oslo.",
    "id-Bruno": "Nobody was there.",
    "id-Clara": "Nobody was there.",
    "id-Dario": "Dario and Edda were seen.",
    "id-Edda": None,
}


def finished_run(folder: Path, texts: dict[str, str | None] = TEXTS, types: str = "person") -> Run:
    """A run over a corpus, published to `folder/out`, with a workdir beside it."""
    corpus = folder / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"doc_id": list(texts), "text": list(texts.values())}), corpus / "part-0.parquet")
    run = open_run(
        validate_tree({"corpus": {"path": str(corpus)}, "output": {"path": f"{folder}/out"}, "types": types})
    )
    run = run.under(1)
    usable = {doc: text for doc, text in texts.items() if text is not None}
    shards = _write_prompts(run, sorted(set(usable.values())))
    for shard in shards:
        _answer(run, shard)
    _write_rows(run, usable, [doc for doc in texts if doc not in usable])
    _summarise(run, texts, usable, shards)
    _publish(run, usable)
    _export(run, usable, folder / "export")
    return run


def _write_prompts(run: Run, texts: Sequence[str]) -> list[str]:
    ids = sorted((passage_id(text), text) for text in texts)
    batch = {
        "bucket": pa.array([0] * len(ids), pa.int32()),
        "passage_id": [one for one, _ in ids],
        "text": [t for _, t in ids],
    }
    writer = ShardWriter(run.layout, run.fingerprint, [run.config.types[0].ask], Packing(1, 10, 2, 1, (1,)))
    rows = [row for done in writer(iter([pa.RecordBatch.from_pydict(batch)])) for row in done.to_pylist()]
    write_shards(run.layout, pa.Table.from_pylist(rows, schema=SHARDS))
    return [row["shard"] for row in rows]


def _answer(run: Run, shard: str) -> None:
    prompts = read_prompts(run.layout, shard).to_pylist()
    rows = [
        {
            "passage_id": row["passage_id"],
            "entity_type": row["entity_type"],
            "output": json.dumps([row["text"].split()[0]]),
            "finish_reason": "stop",
            "prompt_tokens": 1,
            "cached_tokens": 0,
            "completion_tokens": 1,
            "reused": False,
        }
        for row in prompts
    ]
    table = pa.Table.from_pylist(rows, schema=COMPLETIONS)
    contribute(run.store, run.id, shard, table)
    write_completions(run.layout.completions_file(shard), shard, run.fingerprint, table)
    write_completions(run.layout.known_file(shard), shard, run.fingerprint, table)


def _write_rows(run: Run, usable: dict[str, str], unusable: Sequence[str]) -> None:
    keys = [passage_id(text) for text in usable.values()]
    document = pa.StructArray.from_arrays([pa.array(list(usable))], names=["doc_id"])
    count = len(usable)
    one, zero = pa.array([1] * count, pa.int32()), pa.array([0] * count, pa.int32())
    nothing = pa.nulls(count, pa.string())
    places = {
        "document": document, "passage_id": keys, "passage": zero, "passages": one, "start": zero,
        "estimated_tokens": one, "text": nothing, "text_hash": nothing,
    }  # fmt: skip
    _write(pa.table(places), join(run.layout.occurrences, "part-0.parquet"))
    ids = pa.array(list(unusable), pa.string())
    _write(pa.table({"doc_id": ids, "reason": ["null_text"] * len(ids)}), join(run.layout.rejects, "part-0.parquet"))
    failed = {"doc_id": pa.array(list(usable)), "raw_output": [f"about {text}" for text in usable.values()]}
    _write(pa.table(failed), join(run.layout.quarantine, "part-0.parquet"))
    write_bytes(run.layout.report_page, f"<p>{' '.join(usable.values())}</p>".encode())
    _write(pa.table({"doc_id": list(usable)}), join(run.layout.under(1).rewritten, "part-x.parquet"))


def _summarise(run: Run, texts: Iterable[str], usable: dict[str, str], shards: Sequence[str]) -> None:
    unique = len(set(usable.values()))
    counts = {
        "rows": len(list(texts)), "documents": len(usable), "passages": len(usable), "unique_passages": unique,
        "prompts": unique, "prompts_known": 0, "prompts_to_ask": unique, "shards": len(shards), "rejected": 1,
        "estimated_tokens": unique, "split_documents": 0, "occurrences_files": 1, "rejects_files": 1,
    }  # fmt: skip
    more = {"rejects": {"null_text": 1}, "erased": erased_state(run.erased_lists)}
    write_json(run.layout.prompts_summary, counts | more)


def _publish(run: Run, usable: dict[str, str]) -> None:
    label = run.config.types[0].label
    rows = [
        {
            "doc_id": doc, "entity_type": label, "outcome": "found", "text_digest": passage_id(text)[:16],
            "entities": [{"text": text.split()[0], "start": 0, "end": len(text.split()[0]), "match": "exact"}],
            "run_id": run.id, "model": "m", "fingerprint": run.fingerprint,
        }
        for doc, text in usable.items()
    ]  # fmt: skip
    kept = [field for field in ANNOTATION_FIELDS if field.name != "entity_type"]
    folder = f"{run.config.output.path}/entity_type={label}"
    table = pa.Table.from_pylist(rows, schema=pa.schema([pa.field("doc_id", pa.string()), *kept]))
    _write(table, f"{folder}/part-{run.id}-00000.parquet")
    entry = published(run.config.corpus.path, 1, label).model_copy(update=asdict(claim_of(run)))
    marker = Marker(id_column="doc_id", partition_by=("entity_type",), runs={run.id: entry})
    write_marker(run.config.output.path, marker, table.schema)
    cells = {(doc, label): Cell("found", ((text.split()[0], 0, 1),)) for doc, text in usable.items()}
    pinned = Sample(usable, {label: Source("person", run.fingerprint, "m", run.id)}, cells)
    update_sample(run.config.output.path, lambda sample: pinned)


def _export(run: Run, usable: dict[str, str], folder: Path) -> None:
    label = run.config.types[0].label
    rows: list[dict[str, object]] = []
    for doc, text in sorted(usable.items()):
        rows.append({"id": doc, "entity_type": label, "outcome": "none", "entities": []})
        rows.append({"id": doc, "text": text, "rank": 0, "carried": ""})
    strings = [(name, pa.string()) for name in ("id", "entity_type", "outcome", "text", "carried")]
    further = [("score", pa.float32()), ("entities", pa.list_(ENTITY)), ("rank", pa.int64())]
    schema = pa.schema([*strings, *further])
    settings = ExportSettings((label,), ("m",), (), "en", True)
    register_export(run.config.output.path, str(folder))
    source = source_of(run.config.output.path, "5a17")
    manifest = {"dataset": "uniner-dist export", "format": "brat", "salt": "5a17", "source": source}
    write_json(str(folder / "export.json"), manifest | {"complete": False})
    writer = DocumentWriter(str(folder), "brat", settings, "5a17")
    done = [row for batch in writer(iter(pa.Table.from_pylist(rows, schema).to_batches())) for row in batch.to_pylist()]
    parts = [part for row in done for part in row["parts"]]
    write_json(str(folder / "export.json"), manifest | {"complete": True, "parts": parts})


def _write(table: pa.Table, path: str) -> None:
    buffer = pa.BufferOutputStream()
    pq.write_table(table, buffer)
    write_bytes(path, bytes(buffer.getvalue()))


def traces(folder: Path, words: Iterable[str], but: Iterable[str] = ("corpus",)) -> list[str]:
    """Files below a folder with any of the words in their bytes, their rows or their names; some parts aside."""
    wanted, found = list(words), []
    for path in folder.rglob("*"):
        name = path.relative_to(folder)
        if not path.is_file() or name.parts[0] in set(but):
            continue
        content = str(name).encode() + path.read_bytes()
        if path.suffix == ".parquet":
            file = pq.ParquetFile(path)
            content += json.dumps([*file.read().to_pylist(), str(file.metadata.metadata)], default=str).encode()
        found += [f"{name}: {word}" for word in wanted if word.encode() in content]
    return found
