"""A table of completions."""

from __future__ import annotations

import pyarrow as pa

from uniner_dist.schemas import COMPLETIONS


def completions(outputs: list[str | None]) -> pa.Table:
    rows = [
        {
            "passage_id": f"{i:032x}",
            "entity_type": "person",
            "output": output,
            "finish_reason": "stop",
            "prompt_tokens": 1,
            "cached_tokens": 0,
            "completion_tokens": 1,
            "error": None if output is not None else "no answer",
            "reused": False,
        }
        for i, output in enumerate(outputs)
    ]
    return pa.Table.from_pylist(rows, schema=COMPLETIONS)
