"""Reports the result of stage 1, and whether too much of the corpus was rejected."""

from __future__ import annotations

from collections.abc import Callable

from uniner_dist.errors import ThresholdError
from uniner_dist.reporting.triage import format_plan
from uniner_dist.run.run import Run
from uniner_dist.storage.control_files import PromptsSummary


def tell_planned(run: Run, summary: PromptsSummary, say: Callable[[str], None]) -> None:
    """Report what is planned.

    Args:
        run: its `run.allow_rejects_fraction` is the limit.
        summary: counts of stage 1.
        say: called with each line of news.

    Raises:
        ThresholdError: more rows were rejected than `run.allow_rejects_fraction` allows.
    """
    rejected = sum(count for reason, count in summary.rejects.items() if reason != "erased")
    erased = summary.rejects.get("erased", 0)
    if erased:
        say(f"prompts: {erased:,} documents of the corpus were erased, and stay away until their text changes")
    say(
        f"prompts: {summary.documents:,} documents ({rejected:,} rows rejected), "
        f"{summary.unique_passages:,} passages, {summary.prompts:,} prompts in {summary.shards:,} shards, "
        f"{summary.prompts_known:,} of them answered in the store"
    )
    if summary.triage:
        say(f"triage: {format_plan(summary.triage, summary)}")
    limit = run.config.run.allow_rejects_fraction
    if rejected > limit * max(summary.rows, 1):
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in summary.rejects.items())
        raise ThresholdError(
            f"{rejected:,} of {summary.rows:,} corpus rows were rejected ({reasons}), more than "
            f"run.allow_rejects_fraction={limit:g} allows; they are in {run.layout.rejects}"
        )
