"""What the store costs stage 1: the same corpus with an empty store, a full one of small files, and a compacted one.

`python benchmarks/store_join.py --cells 10000000 --folder DIR` makes a synthetic corpus and a synthetic store in which
all but 3 % of the corpus's cells stand, runs the prompts stage over each, and prints a JSON with wall and CPU seconds.
Needs about 2 GB of memory and 4 GB of disk for 10^7 cells. No engine is started.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from uniner_dist import demo
from uniner_dist.config.loading import load_config
from uniner_dist.core.hashing import passage_id
from uniner_dist.maintenance.compact import compact
from uniner_dist.pipeline.preflight import open_run
from uniner_dist.prompts.stage import write_prompts
from uniner_dist.run.run import Run
from uniner_dist.spark.session import spark_session
from uniner_dist.storage.answer_store import encode_cells, live_files
from uniner_dist.storage.filesystem import write_bytes
from uniner_dist.storage.lease import hold_lease

TYPES = ["person", "organization", "location", "country", "date", "product", "disease", "event"]
#: Of the corpus, not in the store: tomorrow's rows.
NEW_SHARE = 0.03
#: Passages in a file of the store, as a shard of a million tokens has them.
PASSAGES_PER_FILE = 5000
WORDS = [
    "the",
    "of",
    "and",
    "to",
    "in",
    "was",
    "for",
    "on",
    "as",
    "by",
    "with",
    "from",
    "at",
    "his",
    "her",
    "city",
    "river",
    "music",
    "engine",
    "doctor",
    "north",
    "old",
    "new",
]


def make_text(number: int, rng: np.random.Generator) -> str:
    """A sentence of some 120 characters that stands nowhere else."""
    return f"Document {number} " + " ".join(WORDS[i] for i in rng.integers(0, len(WORDS), 20)) + "."


def make_corpus(folder: Path, documents: int) -> None:
    """Documents of one passage each, 100,000 a file."""
    rng = np.random.default_rng(1)
    folder.mkdir(parents=True)
    for begin in range(0, documents, 100_000):
        numbers = range(begin, min(begin + 100_000, documents))
        table = pa.table({"doc_id": list(numbers), "text": [make_text(i, rng) for i in numbers]})
        pq.write_table(table, folder / f"part-{begin:010d}.parquet")


def fill_store(run: Run, corpus: Path, known: int) -> int:
    """Answers for the first `known` documents, in files as shards leave them; returns how many."""
    texts = (text for file in sorted(corpus.iterdir()) for text in pq.read_table(file)["text"].to_pylist())
    ids = np.array([passage_id(text) for text, _ in zip(texts, range(known), strict=False)])
    ids.sort()
    cells = 0
    for number, begin in enumerate(range(0, known, PASSAGES_PER_FILE)):
        own = np.repeat(ids[begin : begin + PASSAGES_PER_FILE], len(TYPES))
        rows = len(own)
        found = np.arange(rows) % 5 == 0
        table = pa.table(
            {
                "passage_id": own,
                "entity_type": np.tile(TYPES, rows // len(TYPES)),
                "output": np.where(found, '["Ada Lovelace"]', "[]"),
                "finish_reason": ["stop"] * rows,
                "prompt_tokens": np.full(rows, 90, np.int32),
                "completion_tokens": np.full(rows, 3, np.int32),
                "logprobs": pa.nulls(rows, pa.list_(pa.float32())),
                "tokens": pa.nulls(rows, pa.list_(pa.string())),
            }
        )
        write_bytes(f"{run.store.cells}/run-{number:06d}.parquet", encode_cells(table))
        cells += rows
    return cells


def measure(work: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    """What a piece of work returns, and what it took: wall seconds, and CPU seconds of this process and the JVM's."""
    begun, before = time.monotonic(), cpu_seconds()
    result = work()
    return result, {"wall_s": round(time.monotonic() - begun, 1), "cpu_s": round(cpu_seconds() - before, 1)}


def cpu_seconds() -> float:
    """CPU seconds so far of this process and its children, those that ended and were waited for included."""
    own = psutil.Process()
    times = [process.cpu_times() for process in [own, *own.children(recursive=True)]]
    return sum(t.user + t.system + t.children_user + t.children_system for t in times)


def open_in(folder: Path, name: str, store: str) -> Run:
    """A run of its own over the corpus."""
    options = {
        "corpus.path": str(folder / "corpus"),
        "output.path": str(folder / name),
        "types": ",".join(TYPES),
        "model.name": demo.model_path(),
        "workdir": str(folder / f"{name}.work"),
        "store": str(folder / store),
        "spark.master": "local[2]",
    }
    return open_run(load_config(None, [], options))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=10_000_000)
    parser.add_argument("--folder", type=Path, required=True, help="is emptied")
    options = parser.parse_args()
    folder = options.folder.resolve()
    shutil.rmtree(folder, ignore_errors=True)
    known = options.cells // len(TYPES)
    documents = round(known / (1 - NEW_SHARE))
    make_corpus(folder / "corpus", documents)
    result: dict[str, Any] = {"documents": documents, "types": len(TYPES), "cores": psutil.cpu_count()}
    full = open_in(folder, "small-files", "store")
    result["cells"] = fill_store(full, folder / "corpus", known)
    result["files"] = len(live_files(full.store))
    with spark_session(full.config) as spark:

        def stage_one(name: str, store: str) -> None:
            run = open_in(folder, name, store)
            summary, result[name] = measure(lambda: write_prompts(spark, run))
            result[name] |= {key: summary[key] for key in ("prompts_known", "prompts_to_ask", "shards")}
            shutil.rmtree(folder / f"{name}.work")
            print(json.dumps(result), file=sys.stderr, flush=True)

        stage_one("warm-up", "empty")
        stage_one("empty-store", "empty")
        stage_one("small-files", "store")
        with hold_lease(full.store) as holder:
            done, result["compaction"] = measure(lambda: compact(spark, full.store, holder))
        result["compaction"] |= {"merged": done.merged, "written": done.written}
        stage_one("compacted", "store")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
