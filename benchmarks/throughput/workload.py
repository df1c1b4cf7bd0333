"""The prompts that every way of answering gets.

Enters: a corpus and a number of prompts. Leaves, in a folder: `corpus/` in shuffled order, `run/` (a workdir whose
prompts stage is done), `prompts.jsonl` (the same prompts as strings, shuffled), `ids.json` (the tokens of each, as this
project assembles them), `spelling.json` (the prompts whose text spells a special token), and the tokens that they take.
"""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq

from uniner_dist import demo, model
from uniner_dist.config.loading import load_config
from uniner_dist.core.template import get_template
from uniner_dist.core.tokens import PromptTokenizer
from uniner_dist.pipeline.preflight import open_run
from uniner_dist.prompts.stage import write_prompts
from uniner_dist.run.run import Run
from uniner_dist.spark.session import spark_session
from uniner_dist.storage.shards import read_prompts, read_shards

TYPES = [
    *("person", "organization", "location", "country", "date", "product", "disease", "event", "award", "book"),
    *("university", "language", "animal", "time", "money", "food", "medicine", "field", "theory", "task"),
    *("algorithm", "conference", "writer", "poem", "magazine", "scientist", "enzyme", "protein", "discipline"),
    *("metrics", "researcher", "city", "river", "company", "law", "chemical element"),
]
#: As many types as a text of the benchmark corpora has, and for many prompts all.
FEW_TYPES, MANY_PROMPTS = 13, 10_000
#: Longer texts of the sample corpus are left out: there are few, and the comparison is about whole prompts.
LONGEST_TEXT = 1500


def choose_types(prompts: int) -> list[str]:
    """The types that so many prompts ask for."""
    return TYPES[: FEW_TYPES if prompts <= MANY_PROMPTS else len(TYPES)]


def choose_texts(texts: Iterable[str], wanted: int) -> list[str]:
    """So many different texts in random order; where there are too few they come again behind another number."""
    distinct = sorted({text for text in texts if text and text.strip() and len(text) <= LONGEST_TEXT})
    rounds = -(-wanted // len(distinct))
    many = [text if not number else f"{number}: {text}" for number in range(rounds) for text in distinct]
    random.Random(5).shuffle(many)
    return many[:wanted]


def ideal_tokens(prompts: Iterable[Sequence[int]], block: int) -> int:
    """Prompt tokens that must be computed if every whole block of tokens is computed once and never forgotten.

    A bound from below: what prompts share is known only in whole blocks, whatever their order; the last token of a
    prompt is always computed. What all passages begin with counts once for all of them.
    """
    seen: dict[tuple[int, tuple[int, ...]], int] = {}
    tails = 0
    for ids in prompts:
        whole, chain = (len(ids) - 1) // block, 0
        for start in range(0, whole * block, block):
            chain = seen.setdefault((chain, tuple(ids[start : start + block])), len(seen) + 1)
        tails += len(ids) - whole * block
    return block * len(seen) + tails


def prepare(source: str | None, folder: Path, prompts: int, block: int) -> dict[str, int]:
    """Make the workload in a folder, which is emptied; returns prompts, their tokens, and how few would do.

    Args:
        source: a folder of Parquet with `text`, such as CrossNER; by default the sample corpus.
        block: tokens in a block of the engine's cache.
    """
    shutil.rmtree(folder, ignore_errors=True)
    types = choose_types(prompts)
    table = pads.dataset(source or demo.corpus_path(), partitioning="hive").to_table(columns=["text"])
    texts = choose_texts(table["text"].to_pylist(), -(-prompts // len(types)))
    (folder / "corpus").mkdir(parents=True)
    pq.write_table(pa.table({"doc_id": range(len(texts)), "text": texts}), folder / "corpus" / "part-0.parquet")
    options = {
        "corpus.path": str(folder / "corpus"), "output.path": str(folder / "out"), "types": ",".join(types),
        "workdir": str(folder / "run"), "spark.master": "local[2]",
    }  # fmt: skip
    run = open_run(load_config(None, options=options))
    with spark_session(run.config, quick=True) as spark:
        write_prompts(spark, run)
    return _write_strings(run, folder, block)


def _write_strings(run: Run, folder: Path, block: int) -> dict[str, int]:
    template = get_template(run.config.model.template)
    tokenizer_json = model.load_tokenizer_json(run.config.model)
    tokenizer = PromptTokenizer.from_json(tokenizer_json, template)
    names = sorted(read_shards(run.layout).column("shard").to_pylist())
    rows = [row for name in names for row in read_prompts(run.layout, name).to_pylist()]
    ids = [tokenizer.prompt_ids(row["text"], row["entity_type"]) for row in rows]
    lines = [
        # As vLLM's users write it: the engine adds `<s>` itself and reads the `</s>` between the turns as the token.
        json.dumps({"key": prompt_key(row), "prompt": template.prompt(row["text"], row["entity_type"])})
        for row in rows
    ]
    random.Random(6).shuffle(lines)
    (folder / "prompts.jsonl").write_text("\n".join(lines) + "\n")
    (folder / "ids.json").write_text(json.dumps({prompt_key(row): own for row, own in zip(rows, ids, strict=True)}))
    specials = [token["content"] for token in json.loads(tokenizer_json)["added_tokens"] if token["special"]]
    spelling = [prompt_key(row) for row in rows if spells(specials, row["text"] + row["entity_type"])]
    (folder / "spelling.json").write_text(json.dumps(spelling))
    return {"prompts": len(rows), "prompt_tokens": sum(map(len, ids)), "ideal_tokens": ideal_tokens(ids, block)}


def spells(specials: Iterable[str], text: str) -> bool:
    """Whether a text spells a special token, such as `</s>`: in a plain string the tokenizer makes the token of it."""
    return any(special in text for special in specials)


def prompt_key(row: dict[str, str]) -> str:
    """What names a prompt in every way's answers."""
    return f"{row['passage_id']} {row['entity_type']}"
