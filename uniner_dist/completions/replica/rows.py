"""Rows of completions: what answers, refusals and poison prompts become, and how known and new answers join. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from uniner_dist.completions.engine import Answer
from uniner_dist.completions.replica.protocol import WorkResult
from uniner_dist.core.detokenize import AnswerDecoder
from uniner_dist.core.outcomes import Outcome
from uniner_dist.schemas import COMPLETIONS
from uniner_dist.storage.shards import is_open

#: Columns that identify a completion within its fingerprint.
KEYS = ("passage_id", "entity_type")


def completions_table(
    prompts: pa.Table,
    prompt_tokens: Sequence[int],
    answers: Sequence[Answer | str | None],
    decoder: AnswerDecoder,
    max_model_len: int,
) -> pa.Table:
    """Return the answers as rows of `schemas.COMPLETIONS`, in the order of the prompts.

    Args:
        prompts: rows of `schemas.PROMPTS`.
        prompt_tokens: length of every prompt in tokens.
        answers: one per prompt; a string is the reason of a refusal, None an answer that never came.
        decoder: of the same tokenizer as the token ids of the answers.
        max_model_len: context of the model in tokens; a refused prompt of at least this length is too long.
    """
    answered = [answer for answer in answers if isinstance(answer, Answer)]
    texts = iter(decoder.texts([answer.token_ids for answer in answered]))
    rows = [
        _answered_row(answer, next(texts), tokens, decoder)
        if isinstance(answer, Answer)
        else _refused_row(answer, tokens, too_long=tokens >= max_model_len)
        for answer, tokens in zip(answers, prompt_tokens, strict=True)
    ]
    table = pa.Table.from_pylist(rows, schema=pa.schema([f for f in COMPLETIONS if f.name not in KEYS]))
    for position, key in enumerate(KEYS):
        table = table.add_column(position, COMPLETIONS.field(key), prompts.column(key))
    return table.combine_chunks()


def _answered_row(answer: Answer, text: str, prompt_tokens: int, decoder: AnswerDecoder) -> dict[str, object]:
    """The columns of an answer, without its key; token texts only with scores."""
    return {
        "output": text,
        "finish_reason": answer.finish_reason,
        "prompt_tokens": prompt_tokens,
        "cached_tokens": answer.cached_tokens,
        "completion_tokens": len(answer.token_ids),
        "logprobs": answer.logprobs,
        "tokens": None if answer.logprobs is None else decoder.token_texts(answer.token_ids),
        "reused": False,
    }


def _refused_row(reason: str | None, prompt_tokens: int, too_long: bool) -> dict[str, object]:
    """The columns of a prompt that the engine refused, without its key."""
    kind = Outcome.TOO_LONG if too_long else Outcome.ENGINE_ERROR
    return {
        "prompt_tokens": prompt_tokens,
        "cached_tokens": 0,
        "completion_tokens": 0,
        "error_kind": str(kind),
        "error": reason or "the engine returned no answer",
        "reused": False,
    }


def poison_row(prompt: pa.Table) -> pa.Table:
    """Return the completion of a prompt that was given up, one row of `schemas.COMPLETIONS`.

    Args:
        prompt: its row of `schemas.PROMPTS`.
    """
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


def fill_in(known: pa.Table, answered: pa.Table) -> pa.Table:
    """Return the known answers with their open rows replaced, in order, by new ones; rows of `schemas.COMPLETIONS`.

    Args:
        known: one row per prompt, open (see `is_open`) where it had to be asked.
        answered: one row per open row of `known`, in the same order.
    """
    unanswered = is_open(known).to_numpy()
    source = np.where(unanswered, known.num_rows + np.cumsum(unanswered) - 1, np.arange(known.num_rows))
    return pa.concat_tables([known.cast(COMPLETIONS), answered.cast(COMPLETIONS)]).take(pa.array(source))


def result_of(table: pa.Table, seconds: float, written: bool) -> WorkResult:
    """Return the counters of a finished work item.

    Args:
        table: the rows that it asked, without those that were known before.
        seconds: wall time of the whole item, reading its prompts and committing its answers included.
        written: False when another writer had committed its shard before.
    """

    def total(name: str) -> int:
        return int(sum(table.column(name).to_pylist()))

    return WorkResult(
        prompts=table.num_rows,
        prompt_tokens=total("prompt_tokens"),
        cached_tokens=total("cached_tokens"),
        completion_tokens=total("completion_tokens"),
        failures=dict(Counter(table.column("error_kind").drop_null().to_pylist())),
        seconds=seconds,
        written=written,
    )
