"""Suggested commands after a finished run, chosen by its report. Pure."""

from __future__ import annotations

import shlex

from uniner_dist.storage.control_files import Report

#: Rows of rejects or quarantine that the commands print.
_ROWS = 20


def next_steps(report: Report) -> list[tuple[str, str]]:
    """Return (purpose, command) of each suggestion; paths are quoted for a shell.

    Args:
        report: of a finished run, or of one that its gate stopped, for which only rejects are looked at.
    """
    folder, _, run_id = report.workdir.rpartition("/")
    workdir = folder.removesuffix("/runs")
    annotations, output = report.annotations, report.output
    steps = []
    if sum(report.prompts.rejects.values()):
        steps.append(("Look at rows that were rejected", _head(f"{report.workdir}/rejects")))
    if annotations is None:
        return steps
    outcomes = annotations.outcomes
    if annotations.quarantined:
        steps.append(("Look at prompts without a complete answer", _head(f"{report.workdir}/quarantine")))
    if any(outcomes.get(name) for name in ("engine_error", "killer")):
        again = f"uniner-dist retry --workdir {shlex.quote(workdir)} --run {shlex.quote(run_id)}"
        steps.append(("Ask those again that an engine refused or died of", again))
    if outcomes.get("truncated"):
        steps.append(
            (
                "Answers were cut off: this gives them more room, and asks everything again",
                _longer(report),
            )
        )
    quoted = shlex.quote(output)
    steps.append(("Score against answers of your own", f"uniner-dist evaluate --annotations {quoted} --gold GOLD"))
    sample = f"uniner-dist export --annotations {quoted} --output to-correct --format labelstudio --sample 200"
    steps.append(("Correct a sample by hand", sample))
    return steps


def _longer(report: Report) -> str:
    words = report.provenance.decoding.split()
    now = next((int(word) for word in words if word.isdigit()), 256)
    command = report.command or "uniner-dist annotate …"  # reports of earlier releases have none
    return f"{command} --set model.max_tokens={2 * now}"


def _head(folder: str) -> str:
    code = f"import pandas; print(pandas.read_parquet({folder!r}).head({_ROWS}).to_string())"
    return f"python -c {shlex.quote(code)}"
