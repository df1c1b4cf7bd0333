"""A seeded synthetic corpus, and answers to it as a pool would have committed them.

Texts look like CrossNER's: 26 words, some 170 characters, two to four names. 5 % of the documents repeat another one's
text, 2 % are one and the same text, and one document is very long. Four of five answers are the empty list.
"""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq

from uniner_dist import demo
from uniner_dist.config.loading import load_config
from uniner_dist.pipeline.preflight import open_run
from uniner_dist.run.run import Run
from uniner_dist.schemas import COMPLETIONS
from uniner_dist.storage.shards import read_prompts, read_shards, write_completions

#: As many as CrossNER's domains have on average.
TYPES = (
    *("person", "organization", "location", "country", "event", "product", "date"),
    *("disease", "chemical compound", "musical instrument", "political party", "book", "award"),
)
REPEATED, FREQUENT = 0.05, 0.02
FILES = 16
#: Words of the one long document: a novel.
LONG_WORDS = 150_000
#: Share of answers that name something; of those, one in so many is cut off.
FOUND, CUT_OFF_EVERY = 0.2, 200

Words = npt.NDArray[np.object_]

_WORDS = 26
_NAME = re.compile(r"\b[A-Z][a-z]+(?: [A-Z][a-z]+)*")


def write_corpus(folder: Path, documents: int, long_words: int = LONG_WORDS) -> None:
    """Write a corpus of (`doc_id`, `text`) in 16 files, the last row of which is the long document."""
    rng = np.random.default_rng(5)
    folder.mkdir(parents=True)
    words, names = _vocabulary()
    borders = np.linspace(0, documents - 1, FILES + 1).astype(int)
    frequent = _texts(rng, words, names, 1)[0]
    for number, (begin, end) in enumerate(pairwise(borders)):
        texts = _texts(rng, words, names, end - begin)
        kind = rng.random(end - begin)
        for place in np.flatnonzero(kind < REPEATED):
            texts[place] = texts[rng.integers(0, end - begin)]
        for place in np.flatnonzero(kind > 1 - FREQUENT):
            texts[place] = frequent
        ids = [f"document-{i:09d}" for i in range(begin, end)]
        if end == documents - 1:
            ids.append(f"document-{end:09d}")
            texts.append(" ".join(_texts(rng, words, names, -(-long_words // _WORDS))))
        table = pa.table({"doc_id": pa.array(ids, pa.string()), "text": pa.array(texts, pa.string())})
        pq.write_table(table, folder / f"part-{number:05d}.parquet")


def _vocabulary() -> tuple[Words, Words]:
    """Common words and names of the sample corpus, so that tokens are as long as in real text."""
    texts = pads.dataset(demo.corpus_path(), format="parquet").to_table()["text"].drop_null().to_pylist()
    everything = " ".join(texts)
    words = sorted(set(re.findall(r"\b[a-z]{2,}\b", everything)))
    names = sorted(set(re.findall(r"(?<=[a-z] )[A-Z][a-z]+", everything)))
    return np.array(words, dtype=object), np.array(names, dtype=object)


def _texts(rng: np.random.Generator, words: Words, names: Words, count: int) -> list[str]:
    """Sentences with Zipf-like words, and names at two to four of their places."""
    ranks = (len(words) * rng.random((count, _WORDS)) ** 3).astype(int)
    chosen = words[ranks]
    for _ in range(4):
        rows = np.flatnonzero(rng.random(count) < 0.75)
        places = rng.integers(0, _WORDS, len(rows))
        chosen[rows, places] = names[rng.integers(0, len(names), len(rows))]
    return [" ".join(row) + "." for row in chosen]


def open_over(corpus: Path, output: Path, **spark_conf: str) -> Run:
    """A run of its own over the corpus; its workdir stands beside the output."""
    options: dict[str, Any] = {
        "corpus.path": str(corpus),
        "output.path": str(output),
        "types": ",".join(TYPES),
        "model.name": demo.model_path(),
        "spark.master": "local[2]",
        "spark.conf": spark_conf,
    }
    return open_run(load_config(None, [], options))


def write_answers(run: Run) -> None:
    """Commit the completions of every shard."""
    for number, shard in enumerate(read_shards(run.layout)["shard"].to_pylist()):
        rng = np.random.default_rng(number)
        prompts = read_prompts(run.layout, shard)
        rows = prompts.num_rows
        outputs = np.full(rows, " []", dtype=object)
        found = np.flatnonzero(rng.random(rows) < FOUND)
        for place, text in zip(found, prompts["text"].take(pa.array(found)).to_pylist(), strict=True):
            outputs[place] = _answer(text, int(rng.integers(0, 1 << 30)))
        tokens = pa.array(np.full(rows, 80, np.int32))
        columns = {name: pa.nulls(rows, COMPLETIONS.field(name).type) for name in COMPLETIONS.names} | {
            "passage_id": prompts["passage_id"],
            "entity_type": prompts["entity_type"],
            "output": pa.array(outputs, pa.string()),
            "finish_reason": pa.array(np.full(rows, "stop"), pa.string()),
            "prompt_tokens": tokens,
            "cached_tokens": tokens,
            "completion_tokens": pa.array(np.full(rows, 3, np.int32)),
            "reused": pa.array(np.zeros(rows, dtype=bool)),
        }
        write_completions(run.layout.completions_file(shard), shard, run.fingerprint, pa.table(columns))


def _answer(text: str, draw: int) -> str:
    """One or two names of the text, as the model spells a list of them."""
    names = _NAME.findall(text[:2000]) or ["Nobody"]
    chosen = [names[draw % len(names)], names[draw // 7 % len(names)]][: 1 + draw % 3 // 2]
    listed = ", ".join(f'"{name}"' for name in dict.fromkeys(chosen))
    return f" [{listed}" if draw % CUT_OFF_EVERY == 0 else f" [{listed}]"
