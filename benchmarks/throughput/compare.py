"""Measurements of single runs put together. Values only; nothing is run, read or written."""

from __future__ import annotations

import statistics
from collections.abc import Collection, Mapping, Sequence
from typing import Any

Run = Mapping[str, Any]
#: What a median is taken of, where a way has it.
MEASURES = (
    "prompts_per_s", "cpu_ms_per_prompt", "command_s", "command_cpu_s", "peak_mib", "computed_tokens", "differing",
    "unexplained",
)  # fmt: skip
#: Of the table: measure, head, digits.
COLUMNS = (
    ("prompts_per_s", "prompts/s", 0), ("speed", "× {}", 2),
    ("cpu_ms_per_prompt", "CPU ms per prompt", 2), ("cpu", "× {}", 2),
    ("command_s", "command, s", 1), ("command", "× {}", 2), ("command_cpu_s", "command, CPU s", 1),
    ("peak_mib", "peak MiB", 0), ("computed_tokens", "computed tokens", 0), ("differing", "other answers", 0),
    ("unexplained", "unexplained", 0),
)  # fmt: skip


def differing(wanted: Mapping[str, str], found: Mapping[str, str]) -> list[str]:
    """Keys of prompts whose answer is missing, new or another, white space around it aside."""
    other = [key for key, answer in wanted.items() if key not in found or found[key].strip() != answer.strip()]
    return other + [key for key in found if key not in wanted]


def explain(wanted: Mapping[str, str], found: Mapping[str, str], spelling: Collection[str]) -> dict[str, list[str]]:
    """The keys of `differing` by the reason.

    `special_tokens`: the text spells one, so that a plain string asks something else than the text. `broken_bytes`:
    the answers are the same but for U+FFFD, bytes that make no character, which vLLM's own detokeniser may hold back
    for ever. `unexplained`: all others.

    Args:
        spelling: keys of the prompts whose text spells a special token.
    """
    reasons: dict[str, list[str]] = {"special_tokens": [], "broken_bytes": [], "unexplained": []}
    for key in differing(wanted, found):
        shown = [answers.get(key, "").replace("\ufffd", "").strip() for answers in (wanted, found)]
        both = key in wanted and key in found
        same = both and shown[0] == shown[1]
        reason = "broken_bytes" if same else "special_tokens" if both and key in spelling else "unexplained"
        reasons[reason].append(key)
    return reasons


def summarise(runs: Sequence[Run], reference: str) -> dict[str, dict[str, Any]]:
    """By way: `[median, least, most]` of each measure, and of its ratios to the reference way.

    Ratios are taken within a repeat, so that a machine that gets slower changes them less: `speed` (steady state),
    `cpu` (CPU seconds per prompt of the reference by the way's own) and `command` (whole command); above 1 is better
    than the reference.
    """
    standard = {run["repeat"]: run for run in runs if run["way"] == reference}
    summary: dict[str, dict[str, Any]] = {}
    for way in dict.fromkeys(run["way"] for run in runs):
        own = [run for run in runs if run["way"] == way]
        values = {name: [run[name] for run in own if run.get(name) is not None] for name in MEASURES}
        pairs = [(run, standard[run["repeat"]]) for run in own if run["repeat"] in standard]
        values["speed"] = [mine["prompts_per_s"] / theirs["prompts_per_s"] for mine, theirs in pairs]
        values["cpu"] = [theirs["cpu_ms_per_prompt"] / mine["cpu_ms_per_prompt"] for mine, theirs in pairs]
        values["command"] = [theirs["command_s"] / mine["command_s"] for mine, theirs in pairs]
        summary[way] = {"runs": len(own)} | {name: spread(found) for name, found in values.items() if found}
    return summary


def spread(values: Sequence[float]) -> list[float]:
    """Median, least and most."""
    return [statistics.median(values), min(values), max(values)]


def markdown(summary: Mapping[str, Mapping[str, Any]], reference: str) -> str:
    """The table for people."""
    heads = [head.format(reference) for _, head, _ in COLUMNS]
    lines = [f"| way | {' | '.join(heads)} |", "|---" + "|---:" * len(heads) + "|"]
    for way, row in summary.items():
        cells = [cell(row.get(name), digits) for name, _, digits in COLUMNS]
        lines.append(f"| {way} | {' | '.join(cells)} |")
    return "\n".join(lines)


def cell(values: Sequence[float] | None, digits: int) -> str:
    """A `spread` as words: the median, and the range where there is one."""
    if values is None:
        return ""
    median, least, most = (f"{value:,.{digits}f}" for value in values)
    return median if least == most else f"{median} ({least}–{most})"
