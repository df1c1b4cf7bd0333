"""The report of a run: what went in, what came out, how fast, and whether the invariants hold. Plain values, JSON."""

from __future__ import annotations

import sys
import time
from typing import Any

from uniner_dist import model
from uniner_dist._version import __version__
from uniner_dist.errors import QualityGateError
from uniner_dist.reporting.plan import compare
from uniner_dist.run import provenance
from uniner_dist.run.resuming import resume_command
from uniner_dist.run.run import Run
from uniner_dist.storage.control_files import Plan, read_record
from uniner_dist.storage.filesystem import exists, write_json


def build_report(
    run: Run,
    prompts: dict[str, object],
    attempts: list[dict[str, object]],
    annotations: dict[str, object],
    publication: dict[str, object],
    gate: dict[str, object] | None = None,
    triage: dict[str, object] | None = None,
) -> dict[str, object]:
    """Put the stages' summaries together.

    Args:
        run: names, model and configuration go into the head of the report.
        prompts: summary of stage 1.
        attempts: counters of every start of stage 2, oldest first.
        annotations: summary of stage 3.
        publication: what the publish step added and replaced.
        gate: figures of the quality gate, None without one.
        triage: promise, plan, bound and verdict of triage, None without it.
    """
    passed = None if gate is None else _gate({"passed": True, **gate})
    stages = {"annotations": annotations, "publication": publication, "gate": passed}
    stages |= {"triage": triage} if triage is not None else {}
    return _head(run, prompts, attempts) | stages | {"attempts": attempts}


def stopped_report(
    run: Run, prompts: dict[str, object], attempts: list[dict[str, object]], stop: QualityGateError
) -> dict[str, object]:
    """The report of a run that its quality gate stopped: `publication` is None, and `gate` says why."""
    gate = _gate({"passed": False, "problems": stop.problems, **stop.figures})
    stages = {"annotations": None, "publication": None, "gate": gate}
    return _head(run, prompts, attempts) | stages | {"attempts": attempts}


def _gate(figures: dict[str, Any]) -> dict[str, Any]:
    """The gate's figures, with a number instead of a long list of documents."""
    return figures | {"in_corpus": len(figures["in_corpus"])}


def _head(run: Run, prompts: dict[str, Any], attempts: list[dict[str, Any]]) -> dict[str, Any]:
    """Everything up to the completions."""
    totals = summarise_attempts(attempts)
    return {
        "run_id": run.id,
        "written_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "version": __version__,
        "corpus": run.config.corpus.path,
        "opened_at": run.opened_at,
        "gpus": run.config.pool.gpus_per_replica,
        "output": run.config.output.path,
        "workdir": run.layout.root,
        "command": resume_command(run),
        "model": {
            "name": run.model_name,
            "identity": run.model_identity,
            "fingerprint": run.fingerprint,
            "licence": model.licence(run.config.model),
        },
        "provenance": provenance.describe(run),
        "prompts": prompts,
        "completions": totals,
        "plan": compare(read_record(run.layout.plan, Plan), totals) if exists(run.layout.plan) else None,
    }


def summarise_attempts(attempts: list[dict[str, Any]]) -> dict[str, Any]:
    """Totals over all starts of the completions stage; rates over the seconds since a replica was ready."""

    def total(name: str) -> Any:
        return sum(attempt[name] for attempt in attempts)

    seconds, prompts, prompt_tokens = total("answering_s"), total("prompts"), total("prompt_tokens")
    return {
        "starts": len(attempts),
        "prompts": prompts,
        "seconds": round(total("wall_s"), 2),
        "answering_seconds": round(seconds, 2),
        "prompts_per_s": round(prompts / seconds, 1) if seconds else None,
        "prompt_tokens": prompt_tokens,
        "cached_tokens": total("cached_tokens"),
        "prefix_hit_rate": round(total("cached_tokens") / prompt_tokens, 4) if prompt_tokens else None,
        "completion_tokens": total("completion_tokens"),
        "shards_kept_from_earlier_starts": attempts[-1]["shards_reused"] if attempts else 0,
        "prompts_kept_from_earlier_starts": attempts[-1]["prompts_reused"] if attempts else 0,
        "replicas": max((attempt["replicas"] for attempt in attempts), default=0),
        "gpu_hours": round(total("gpu_hours"), 4),
        "deaths": total("deaths"),
        "start_failures": total("start_failures"),
    }


def write_report(run: Run, report: dict[str, object]) -> None:
    """Write `report.json` and, for people, `report.html` into the run's folder.

    The rows are published by now, so a page that cannot be made is a warning.
    """
    write_json(run.layout.report, report)
    write_page_if_possible(run, report)


def write_page_if_possible(run: Run, report: dict[str, object]) -> None:
    """Write `report.html`; what hinders it hinders nothing else, and is said."""
    from uniner_dist.reporting.html import write_page

    try:
        write_page(run, report)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        print(f"report.html was not written ({reason}); `uniner-dist report` tries again", file=sys.stderr)
