"""Rows of completions: what answers, refusals and killers become, and how known and new answers go together. Pure."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from uniner_dist.completions.engine import Answer
from uniner_dist.core.outcomes import Outcome
from uniner_dist.schemas import COMPLETIONS

#: What names a completion within its fingerprint.
KEYS = ("passage_id", "entity_type")


def answered_row(answer: Answer, text: str, prompt_tokens: int, token_texts: list[str] | None) -> dict[str, Any]:
    """The columns of an answer, beside its key.

    Args:
        text: what was generated, decoded.
        token_texts: the text of each generated token, only with scores.
    """
    return {
        "output": text,
        "finish_reason": answer.finish_reason,
        "prompt_tokens": prompt_tokens,
        "cached_tokens": answer.cached_tokens,
        "completion_tokens": len(answer.token_ids),
        "logprobs": answer.logprobs,
        "tokens": token_texts,
        "reused": False,
    }


def refused_row(reason: str | None, prompt_tokens: int, too_long: bool) -> dict[str, Any]:
    """The columns of a prompt that the engine refused, beside its key."""
    kind = Outcome.TOO_LONG if too_long else Outcome.ENGINE_ERROR
    return {
        "prompt_tokens": prompt_tokens,
        "cached_tokens": 0,
        "completion_tokens": 0,
        "error_kind": str(kind),
        "error": reason or "the engine returned no answer",
        "reused": False,
    }


def fill_in(known: pa.Table, answered: pa.Table) -> pa.Table:
    """`known` with its unanswered rows replaced, in order, by the rows of `answered`."""
    unanswered = pc.is_null(known.column("output")).to_numpy()
    source = np.where(unanswered, known.num_rows + np.cumsum(unanswered) - 1, np.arange(known.num_rows))
    return pa.concat_tables([known.cast(COMPLETIONS), answered.cast(COMPLETIONS)]).take(pa.array(source))


def killer_row(prompt: pa.Table) -> pa.Table:
    """The completion of a prompt that was given up, from its row of the prompts."""
    row = {
        "passage_id": prompt.column("passage_id")[0].as_py(),
        "entity_type": prompt.column("entity_type")[0].as_py(),
        "prompt_tokens": 0,
        "cached_tokens": 0,
        "completion_tokens": 0,
        "error_kind": str(Outcome.KILLER),
        "error": "killed or hung its engine each time it was run alone",
        "reused": False,
    }
    return pa.Table.from_pylist([row], schema=COMPLETIONS)
