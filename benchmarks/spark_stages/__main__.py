"""Compare the Spark stages with the barest jobs: `python -m benchmarks.spark_stages --prompts 1000000 --repeats 3`.

One Spark session (`local[2]`, started as the command would start it for this corpus) does everything, after a small
warm-up: per repeat the real stages and their bare counterparts in turn. Prints tables and writes everything as JSON
(`--output`).
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

from benchmarks.spark_stages.compare import compare, markdown
from benchmarks.spark_stages.workload import LONG_WORDS, TYPES, open_over, write_corpus
from uniner_dist.pipeline.spark_for import silence_py4j
from uniner_dist.spark.session import QUICK_BYTES, spark_session

WARM_UP_PROMPTS, WARM_UPS = 100_000, 3


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--long-words", type=int, default=LONG_WORDS, help="words of the one long document")
    parser.add_argument(
        "--optimising", action="store_true", help="Java's optimising compiler, whatever the size of the corpus"
    )
    parser.add_argument("--folder", type=Path, help="is emptied; default: a temporary one")
    parser.add_argument("--output", type=Path, help="JSON")
    options = parser.parse_args()
    silence_py4j()
    folder = (options.folder or Path(tempfile.mkdtemp())).resolve()
    shutil.rmtree(folder, ignore_errors=True)
    try:
        corpus = folder / "measured" / "corpus"  # made first: Java's options depend on its size
        write_corpus(corpus, options.prompts // len(TYPES), options.long_words)
        run = open_over(corpus, folder / "none")
        quick = run.corpus_bytes < QUICK_BYTES and not options.optimising
        with spark_session(run.config, quick=quick) as spark:
            compare(spark, folder / "warm-up", WARM_UP_PROMPTS, WARM_UPS)
            print("warmed up", file=sys.stderr, flush=True)
            record = compare(spark, folder / "measured", options.prompts, options.repeats)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if options.output:
        options.output.write_text(json.dumps(record, indent=1) + "\n")
    print(markdown(record))


if __name__ == "__main__":
    main()
