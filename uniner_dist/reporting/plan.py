"""Estimate of what a run will ask and cost, before a GPU is started: `plan.json` of the run.

Computes counts, prompt tokens by the model's own tokenizer on a sample, GPU hours and money, from a run whose prompts
stage is done and from what earlier runs of the workdir measured. Reads some shards; starts neither Spark nor Ray.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from uniner_dist import model
from uniner_dist.core.estimate import Estimate, estimate_total, passage_tokens
from uniner_dist.core.template import get_template
from uniner_dist.core.tokens import PromptTokenizer
from uniner_dist.errors import ConfigError
from uniner_dist.run.run import Run, list_runs, load_run
from uniner_dist.run.starts import read_starts
from uniner_dist.storage.control_files import (
    Attempt,
    Compared,
    Interval,
    Plan,
    PromptsSummary,
    Totals,
    read_control,
    write_record,
)
from uniner_dist.storage.filesystem import exists
from uniner_dist.storage.shards import committed_shards, is_open, read_completions, read_prompts, read_shards

#: Passages that are tokenised, and shards that they are taken from. Shards are cut by hash, so the passages of any
#: shard are a random sample of the corpus.
SAMPLE_PASSAGES, SAMPLE_SHARDS = 2000, 8


def make_plan(run: Run) -> Plan:
    """Estimate, and write `plan.json`.

    Args:
        run: a run whose prompts stage is done.

    Returns:
        Counts of stage 1; prompt tokens; GPU hours and money, None where they cannot be known.

    Raises:
        ConfigError: the model has no tokenizer that can be loaded.
    """
    summary = read_control(run.layout.prompts_summary, PromptsSummary)
    tokens, sampled = estimate_tokens(run)
    rate, source = replica_rate(run)
    hours = tokens.scaled(_gpus(run) / rate / 3600) if rate else None
    price = run.config.plan.price_per_gpu_hour
    asks = len(run.config.questions.asked)
    plan = Plan(
        run_id=run.id,
        documents=summary.documents,
        rejects=summary.rejects,
        passages=summary.passages,
        unique_passages=summary.unique_passages,
        prompts_saved_by_duplicates=(summary.passages - summary.unique_passages) * asks,
        prompts=summary.prompts,
        prompts_known=summary.prompts_known,
        prompts_to_ask=summary.prompts_to_ask,
        prompts_answered=_answered(run),
        prompts_skipped=summary.prompts_skipped,
        triage=summary.triage,
        shards=summary.shards,
        shards_to_ask=sum(asked > 0 for asked in read_shards(run.layout)["asked"].to_pylist()),
        prompt_tokens=Interval(expected=round(tokens.expected), low=round(tokens.low), high=round(tokens.high)),
        sampled_passages=sampled,
        tokens_per_second=round(rate, 1) if rate else None,
        rate_from=source,
        gpu_hours=_interval(hours) if hours else None,
        money=_interval(hours.scaled(price)) if hours and price is not None else None,
        price_per_gpu_hour=price,
        whole_text_tokens=summary.whole_text_tokens,
        whole_text_tokens_before=_whole_text_tokens_before(run),
    )
    write_record(run.layout.plan, plan)
    return plan


def _interval(estimate: Estimate) -> Interval:
    return Interval(expected=estimate.expected, low=estimate.low, high=estimate.high)


def estimate_tokens(run: Run) -> tuple[Estimate, int]:
    """Estimate the prompt tokens of everything that is asked, by the model's tokenizer on a sample of passages.

    Args:
        run: a run whose prompts stage is done; `SAMPLE_PASSAGES` passages of `SAMPLE_SHARDS` shards are read.

    Returns:
        The total with its 95 % interval, and the number of passages that the estimate is based on.

    Raises:
        ConfigError: the model has no tokenizer that can be loaded.
    """
    manifest = [row for row in read_shards(run.layout).to_pylist() if row["asked"]]
    step = max(1, len(manifest) // SAMPLE_SHARDS)
    chosen = manifest[::step][:SAMPLE_SHARDS]
    if not chosen:
        return estimate_total(np.zeros(0, np.int64), np.zeros(0, np.int64), 0, 0), 0
    tokenizer = PromptTokenizer.from_json(
        model.load_tokenizer_json(run.config.model), get_template(run.config.model.template)
    )
    each = -(-SAMPLE_PASSAGES // len(chosen))
    counted = [_count(run, shard["shard"], tokenizer, each) for shard in chosen]
    exact, rough = (np.concatenate(columns) for columns in zip(*counted, strict=True))
    passages = sum(row["passages"] for row in manifest)
    return estimate_total(exact, rough, passages, sum(row["estimated_tokens"] for row in manifest)), len(exact)


def _count(
    run: Run, shard: str, tokenizer: PromptTokenizer, limit: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """For the first passages of a shard: tokens of all prompts that are asked, and the estimate of stage 1."""
    prompts = read_prompts(run.layout, shard)
    asks = run.config.questions.asked
    passages = min(limit, prompts.num_rows // len(asks))
    asked = _asked(run, shard, prompts.num_rows).reshape(-1, len(asks))[:passages]
    texts = prompts["text"].take(np.arange(passages) * len(asks)).to_pylist()
    prefixes = np.array([len(ids) for ids in tokenizer.prefix_ids(texts)], dtype=np.int64)
    questions = np.array([len(tokenizer.suffix_ids(ask)) for ask in asks], dtype=np.int64)
    exact = prefixes * asked.sum(axis=1) + asked @ questions
    text_bytes = np.array([len(text.encode()) for text in texts], dtype=np.int64)
    return exact, passage_tokens(text_bytes, asked, tokenizer.prefix_overhead, questions)


def _asked(run: Run, shard: str, rows: int) -> npt.NDArray[np.bool_]:
    """Whether each prompt of a shard is asked."""
    path = run.layout.known_file(shard)
    if not exists(path):
        return np.ones(rows, dtype=bool)
    known = read_completions(path, shard, run.fingerprint, rows)
    return np.asarray(is_open(known))


def replica_rate(run: Run) -> tuple[float | None, str]:
    """Return the prompt tokens per second of one replica, and where the figure comes from.

    Measured by all starts of the workdir's runs with the same fingerprint and replicas of the same size; else as
    configured.

    Args:
        run: names the workdir, the fingerprint, the GPUs of a replica, and `plan.tokens_per_second`.

    Returns:
        The rate, None where it is neither measured nor configured; and its source in words.
    """
    tokens = seconds = 0.0
    for attempt in _attempts(run):
        tokens += attempt.prompt_tokens
        seconds += attempt.answering_s * attempt.replicas
    if tokens and seconds:
        return tokens / seconds, "measured by earlier runs of this workdir"
    if run.config.plan.tokens_per_second:
        return run.config.plan.tokens_per_second, "plan.tokens_per_second"
    return None, "not known: no run of this workdir measured it; give plan.tokens_per_second"


def _attempts(run: Run) -> Iterator[Attempt]:
    for run_id in list_runs(run.layout.workdir):
        try:
            other = load_run(run.layout.workdir, run_id)
        except ConfigError:  # what it measured cannot be attributed
            continue
        if other.fingerprint == run.fingerprint and _gpus(other) == _gpus(run):
            yield from read_starts(other.layout)


def _whole_text_tokens_before(run: Run) -> int | None:
    """The most tokens of a text that the workdir's runs of the same fingerprint and context took whole."""
    found = []
    for run_id in list_runs(run.layout.workdir):
        try:
            other = load_run(run.layout.workdir, run_id)
        except ConfigError:  # what it counted cannot be attributed
            continue
        context = run.config.model.max_model_len
        alike = (other.fingerprint, other.config.model.max_model_len) == (run.fingerprint, context)
        if run_id != run.id and alike and exists(other.layout.prompts_summary):
            found.append(read_control(other.layout.prompts_summary, PromptsSummary).whole_text_tokens or 0)
    return max(found, default=0) or None


def _answered(run: Run) -> int:
    committed = committed_shards(run.layout)
    rows = read_shards(run.layout).select(["shard", "asked"]).to_pylist()
    return sum(row["asked"] for row in rows if row["shard"] in committed)


def _gpus(run: Run) -> int:
    return max(run.config.pool.gpus_per_replica, 1)


def compare(plan: Plan, completions: Totals) -> dict[str, Compared]:
    """Return each figure of the plan next to the actual one, for the report.

    Args:
        plan: as `make_plan` returns it.
        completions: totals over all starts of stage 2.

    Returns:
        "prompts", "prompt_tokens", "gpu_hours" and "money" → planned and actual; the actual money is None without a
        price.
    """
    price = plan.price_per_gpu_hour
    paid = None if price is None else completions.gpu_hours * price
    return {
        "prompts": Compared(planned=plan.prompts_to_ask, actual=completions.prompts),
        "prompt_tokens": Compared(planned=plan.prompt_tokens, actual=completions.prompt_tokens),
        "gpu_hours": Compared(planned=plan.gpu_hours, actual=completions.gpu_hours),
        "money": Compared(planned=plan.money, actual=paid),
    }
