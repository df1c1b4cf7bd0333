"""`evaluate` and seqeval side by side on the same spans: time and memory.

    python benchmarks/evaluate_speed.py --documents 1000000 --types 13 [--seqeval] --work FOLDER

Makes gold and annotations of documents of 24 tokens with up to three mentions, 90 % of them right, writes them as
Parquet as the pipeline does (a folder per entity type), and runs `uniner_dist.evaluation.evaluate` in a process of its
own. With `--seqeval` a further process builds tags (IOB2) from the same spans and runs seqeval's f1_score on them;
building them is not counted. Prints seconds, CPU seconds and peak memory of each, and the strict F1, which must be the
same. Ratios of one run on a busy machine are noisy; CPU seconds are less so.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from uniner_dist.schemas import ENTITY

_TOKENS, _WIDTH, _SPANS = 24, 6, 3
_WORDS = 5_000


def spans(documents: int, types: int) -> tuple[np.ndarray, np.ndarray]:
    """Gold and answered spans: document, type, first token, tokens; none overlap within a side."""
    generator = np.random.default_rng(0)
    slots = generator.permuted(np.tile(np.arange(_TOKENS // 4), (documents, 1)), axis=1)[:, :_SPANS]
    document = np.repeat(np.arange(documents), _SPANS)
    gold = np.stack(
        [
            document,
            generator.integers(0, types, len(document)),
            slots.ravel() * 4,
            generator.integers(1, 4, len(document)),
        ],
        axis=1,
    )
    there = gold[generator.random(len(gold)) < 0.8]
    found = there.copy()
    wrong = generator.random(len(found)) < 0.1
    found[wrong, 3] = found[wrong, 3] % 3 + 1
    return there, found


def write(folder: Path, table: np.ndarray, documents: int, types: int, *, annotations: bool) -> None:
    """One file per entity type, a row for every document."""
    words = pa.array([f"w{number:04d}" for number in range(_WORDS)] + [None], pa.string())
    for kind in range(types):
        mine = table[table[:, 1] == kind]
        mine = mine[np.lexsort((mine[:, 2], mine[:, 0]))]
        counts = np.bincount(mine[:, 0], minlength=documents)
        start = mine[:, 2] * _WIDTH
        end = start + mine[:, 3] * _WIDTH - 1
        columns = {
            "text": pc.binary_join_element_wise(*_tokens(words, mine), " ", null_handling="skip"),
            "start": pa.array(start, pa.int32()),
            "end": pa.array(end, pa.int32()),
            "match": pa.repeat("exact", len(mine)),
            "score": pa.nulls(len(mine), pa.float32()),
        }
        fields = [field for field in ENTITY if annotations or field.name in ("text", "start", "end")]
        entities = pa.StructArray.from_arrays([columns[field.name] for field in fields], fields=fields)
        offsets = pa.array(np.concatenate([[0], np.cumsum(counts)]).astype(np.int32))
        rows = {
            "doc_id": pa.array(np.arange(documents)).cast(pa.string()),
            "entities": pa.ListArray.from_arrays(offsets, entities),
        }
        if annotations:
            rows["outcome"] = pa.array(np.where(counts > 0, "found", "none"))
            rows["raw_output"] = pa.nulls(documents, pa.string())
        place = folder / f"entity_type=type {kind}"
        place.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(rows), place / "part-0.parquet", compression="zstd")


def _tokens(words: pa.Array, spans: np.ndarray) -> list[pa.Array]:
    """The words of each span, null behind its last: a text repeats those of every 5,000th document."""
    numbers = [(spans[:, 0] % _WORDS * 7 + spans[:, 2] + place) % _WORDS for place in range(3)]
    inside = [np.where(spans[:, 3] > place, number, _WORDS) for place, number in enumerate(numbers)]
    return [words.take(pa.array(number)) for number in inside]


def run_evaluate(work: Path) -> dict[str, float]:
    """Seconds, peak memory and strict F1 of `evaluate`."""
    from uniner_dist.evaluation import evaluate

    begin, cpu = time.perf_counter(), time.process_time()
    scores = evaluate(str(work / "annotations"), str(work / "gold"))
    return {**_since(begin, cpu), "f1": scores["strict"]["f1"]}


def run_seqeval(documents: int, types: int) -> dict[str, float]:
    """Seconds and F1 of seqeval on tags of the same spans."""
    from seqeval.metrics import f1_score

    gold, found = (tags(table, documents) for table in spans(documents, types))
    begin, cpu = time.perf_counter(), time.process_time()
    f1 = f1_score(gold, found)
    return {**_since(begin, cpu), "f1": float(f1)}


def _since(begin: float, cpu: float) -> dict[str, float]:
    return {"seconds": time.perf_counter() - begin, "cpu_seconds": time.process_time() - cpu}


def tags(table: np.ndarray, documents: int) -> list[list[str]]:
    """IOB2 tags of every document."""
    rows = [["O"] * _TOKENS for _ in range(documents)]
    names = {(prefix, kind): f"{prefix}-type {kind}" for prefix in "BI" for kind in range(int(table[:, 1].max()) + 1)}
    for document, kind, first, length in table.tolist():
        row = rows[document]
        row[first] = names["B", kind]
        for token in range(first + 1, first + length):
            row[token] = names["I", kind]
    return rows


def main() -> None:
    """Parse, make the data, and run each side in a process of its own."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--documents", type=int, default=1_000_000)
    parser.add_argument("--types", type=int, default=13)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--seqeval", action="store_true")
    parser.add_argument("--side", choices=["evaluate", "seqeval"])
    options = parser.parse_args()
    if options.side:
        run = (
            run_evaluate(options.work) if options.side == "evaluate" else run_seqeval(options.documents, options.types)
        )
        run["peak_gb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        print(json.dumps(run))
        return
    if not (options.work / "gold").exists():
        gold, found = spans(options.documents, options.types)
        write(options.work / "gold", gold, options.documents, options.types, annotations=False)
        write(options.work / "annotations", found, options.documents, options.types, annotations=True)
    results = {}
    for side in ["evaluate", *(["seqeval"] if options.seqeval else [])]:
        arguments = ["--documents", str(options.documents), "--types", str(options.types), "--work", str(options.work)]
        done = subprocess.run(
            [sys.executable, __file__, *arguments, "--side", side], check=True, capture_output=True, text=True
        )
        results[side] = json.loads(done.stdout.splitlines()[-1])
    if "seqeval" in results:
        for name in ("seconds", "cpu_seconds"):
            results[f"seqeval_{name}_by_ours"] = results["seqeval"][name] / results["evaluate"][name]
    print(json.dumps({"documents": options.documents, "types": options.types, **results}, indent=1))


if __name__ == "__main__":
    main()
