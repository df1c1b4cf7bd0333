"""Completions as a pure function of the prompt, in the files the real pool would have committed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pyarrow as pa

from uniner_dist.run.run import Run
from uniner_dist.schemas import COMPLETIONS
from uniner_dist.storage.shards import read_prompts, read_shards, write_completions

Answer = Callable[[str, str], str | None]


def capitalised(text: str, ask: str) -> str:
    """Persons are the capitalised ASCII words of a text; there are no other types."""
    words = re.findall(r"\b[A-Z][a-z]+\b", text) if ask == "person" else []
    return json.dumps(list(dict.fromkeys(words)))


def complete(run: Run, answer: Answer = capitalised) -> None:
    """Commit every shard; an answer of None is one that the engine refused."""
    for shard in read_shards(run.layout)["shard"].to_pylist():
        prompts = read_prompts(run.layout, shard)
        pairs = zip(prompts["text"].to_pylist(), prompts["entity_type"].to_pylist(), strict=True)
        outputs = [answer(text, ask) for text, ask in pairs]
        rows = prompts.num_rows
        columns = {
            "passage_id": prompts["passage_id"],
            "entity_type": prompts["entity_type"],
            "output": pa.array(outputs, pa.string()),
            "finish_reason": pa.array(["stop" if output is not None else None for output in outputs], pa.string()),
            "prompt_tokens": pa.array([1] * rows, pa.int32()),
            "cached_tokens": pa.array([0] * rows, pa.int32()),
            "completion_tokens": pa.array([1] * rows, pa.int32()),
            "logprobs": pa.nulls(rows, COMPLETIONS.field("logprobs").type),
            "tokens": pa.nulls(rows, COMPLETIONS.field("tokens").type),
            "error_kind": pa.array([None if output is not None else "engine_error" for output in outputs], pa.string()),
            "error": pa.array([None if output is not None else "refused" for output in outputs], pa.string()),
            "reused": pa.array([False] * rows),
        }
        write_completions(run.layout.completions_file(shard), shard, run.fingerprint, pa.table(columns))
