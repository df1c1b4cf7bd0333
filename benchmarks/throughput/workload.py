"""The prompts that every way of answering gets: a prepared run of this project, and the same prompts as a table."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq

from uniner_dist import demo
from uniner_dist.config import load_config
from uniner_dist.core.template import build_prompt
from uniner_dist.prompts import write_prompts
from uniner_dist.run import open_run
from uniner_dist.spark import spark_session
from uniner_dist.storage.shards import read_prompts, read_shards

TYPES = [
    *("person", "organization", "location", "country", "date", "product", "disease", "event", "award", "book"),
    *("university", "language", "animal", "time", "money", "food", "medicine", "field", "theory", "task"),
    *("algorithm", "conference", "writer", "poem", "magazine", "scientist", "enzyme", "protein", "discipline"),
    *("metrics", "researcher", "city", "river", "company", "law", "chemical element"),
]


def make_corpus(source: str | None, folder: Path, prompts: int) -> list[str]:
    """A shuffled corpus and the types with which it makes about so many prompts; returns the types.

    Args:
        source: a folder of Parquet with `doc_id` and `text`, such as CrossNER; by default the sample corpus. Where it
            has too few texts they come again, each time with another first word.
    """
    table = pads.dataset(source or demo.corpus_path(), partitioning="hive").to_table(columns=["text"])
    texts = sorted({text for text in table["text"].to_pylist() if text and text.strip() and len(text) <= 1500})
    types = TYPES[: 13 if prompts <= 10_000 else len(TYPES)]
    wanted = -(-prompts // len(types))
    rounds = -(-wanted // len(texts))
    many = [text if not number else f"{number}: {text}" for number in range(rounds) for text in texts]
    random.Random(5).shuffle(many)
    folder.mkdir(parents=True)
    chosen = many[:wanted]
    pq.write_table(pa.table({"doc_id": range(len(chosen)), "text": chosen}), folder / "part-0.parquet")
    return types


def prepare(source: str | None, folder: Path, prompts: int, model: str, settings: list[str]) -> None:
    """Write `run/` (a workdir whose prompts stage is done) and `prompts.parquet` (its prompts as strings, shuffled)."""
    shutil.rmtree(folder, ignore_errors=True)
    types = make_corpus(source, folder / "corpus", prompts)
    options = {
        "corpus.path": str(folder / "corpus"), "output.path": str(folder / "out"), "types": ",".join(types),
        "model.name": model, "workdir": str(folder / "run"), "spark.master": "local[2]",
    }  # fmt: skip
    run = open_run(load_config(None, settings, options))
    with spark_session(run.config) as spark:
        write_prompts(spark, run)
    shards = [read_prompts(run.layout, name) for name in read_shards(run.layout).column("shard").to_pylist()]
    table = pa.concat_tables(shards).select(["passage_id", "entity_type", "text"])
    pairs = zip(table["text"].to_pylist(), table["entity_type"].to_pylist(), strict=True)
    # As vLLM's users write it: the engine adds `<s>` itself and reads the `</s>` between the turns as the token.
    table = table.append_column("prompt", pa.array([build_prompt(text, kind) for text, kind in pairs]))
    order = list(range(table.num_rows))
    random.Random(6).shuffle(order)
    pq.write_table(table.take(order), folder / "prompts.parquet")
