"""How long `uniner-dist annotate` takes to its first answered prompt: `python -m benchmarks.throughput.first_answer`.

Runs the whole command on a fresh corpus, as often as asked, and prints seconds from its start to the first answered
prompt, as the pool notices it (it looks once a second), and to its end.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq

from benchmarks.throughput.workload import FEW_TYPES, TYPES, choose_texts
from uniner_dist import demo

_COMMAND = "import sys; from uniner_dist.cli.app import main; sys.exit(main())"


def first_answer(attempt: Mapping[str, Any]) -> float:
    """Wall clock at which the pool first saw an answered prompt.

    Args:
        attempt: counters of a start that answered something.
    """
    history = attempt["history"]
    return float(history["began_at"] + next(s for s, prompts, *_ in history["points"] if prompts))


def annotate(corpus: Path, folder: Path) -> dict[str, float]:
    """One run of the command."""
    begun = time.time()
    arguments = ["annotate", "--corpus", str(corpus), "--output", str(folder / "out")]
    arguments += ["--types", ",".join(TYPES[:FEW_TYPES]), "--model", "demo"]
    with (folder / "log").open("wb") as log:
        subprocess.run([sys.executable, "-c", _COMMAND, *arguments], check=True, stdout=log, stderr=log)
    end = time.time()
    [attempt] = (folder / "out.work").glob("runs/*/attempts/*.json")
    return {"first_answer_s": first_answer(json.loads(attempt.read_text())) - begun, "end_s": end - begun}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", help="Parquet with a column text; default: the sample corpus, scaled")
    parser.add_argument("--prompts", type=int, default=5000)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    table = pads.dataset(options.corpus or demo.corpus_path(), partitioning="hive").to_table(columns=["text"])
    texts = choose_texts(table["text"].to_pylist(), -(-options.prompts // FEW_TYPES))
    for _ in range(options.repeats):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "corpus").mkdir()
            rows = pa.table({"doc_id": [str(number) for number in range(len(texts))], "text": texts})
            pq.write_table(rows, folder / "corpus" / "part-0.parquet")
            print(json.dumps(annotate(folder / "corpus", folder)), flush=True)


if __name__ == "__main__":
    main()
