"""A whole report and what is read for its page, with hostile names wherever a user, a corpus or a model has a say."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from uniner_dist.completions.history import ReplicaLife
from uniner_dist.completions.summary import PoolSummary
from uniner_dist.reporting.evidence import Doubtful, Evidence, Failure, Folder
from uniner_dist.reporting.highlight import Marked, Mention
from uniner_dist.storage.control_files import Report

HOSTILE = "<script>alert(1)</script>\u202e{{ 7*7 }} \x1b[31m&amp; \"quoted\" 'x' </pre></style>"


def report(**changes: Any) -> Report:
    """`report_values`, as they are read."""
    return Report.model_validate_json(json.dumps(report_values(**changes)))


def report_values(**changes: Any) -> dict[str, Any]:
    """A report of one start, with hostile names wherever a user, a corpus or a model has a say."""
    summary = PoolSummary(shards=2, prompts=8, prompt_tokens=100, cached_tokens=60, completion_tokens=20, deaths=1)
    summary.events = [(1.5, f"replica 0 died: {HOSTILE}")]
    summary.history.points = [[0, 0, 0, 0, 1], [4, 8, 120, 1, 0]]
    summary.history.replicas = [ReplicaLife(0, HOSTILE, 0, 1, 3, "death")]
    values: dict[str, Any] = {
        "run_id": "abc",
        "written_at": "2026-01-01T00:00:00Z",
        "version": "0",
        "output": f"/out/{HOSTILE}",
        "workdir": "/work",
        "model": {"name": HOSTILE, "identity": "x", "fingerprint": "f", "licence": HOSTILE},
        "provenance": {"model": HOSTILE, "engines": [HOSTILE], "asks": {HOSTILE: HOSTILE, "b": "b"}},
        "prompts": {
            "rows": 5, "documents": 4, "rejects": {"null_id": 1}, "passages": 4, "unique_passages": 4,
            "prompts": 8, "prompts_known": 0, "prompts_to_ask": 8, "shards": 2,
        },
        "completions": {
            "starts": 1, "prompts": 8, "answering_seconds": 4.0, "prompts_per_s": 2.0, "prompt_tokens": 100,
            "prefix_hit_rate": 0.6, "completion_tokens": 20, "replicas": 1, "gpu_hours": 0.5, "deaths": 1,
        },
        "plan": {"prompts": {"planned": 8, "actual": 8}, "money": {"planned": None, "actual": 1.25}},
        "annotations": {
            "types": 2, "rows": 8, "outcomes": {"none": 5, "found": 2, "truncated": 1}, "failed": 1,
            "failed_fraction": 1 / 8,
            "by_type": {HOSTILE: {"none": 4}, "b": {"found": 2, "none": 1, "truncated": 1}}, "mentions": {"b": 3},
            "matches": {"exact": 3}, "repairs": 0, "quarantined": 1,
        },
        "publication": {"rows": 8},
        "gate": None,
        "attempts": [{"host": HOSTILE, **asdict(summary)}],
    }  # fmt: skip
    return values | changes


def evidence(types: int = 1) -> Evidence:
    """What was read for it; mentions of so many types are in the examples."""
    found = Evidence(counted_rows=8, missing=[f"failures: {HOSTILE}"])
    found.examples = [Marked(HOSTILE, f"Ada {HOSTILE}", [Mention(HOSTILE, "Ada", 0, 3)])]
    found.failures = [Failure("truncated", HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE)]
    names = " ".join(f"Name{number:02d}" for number in range(types))
    entities = [Mention(f"type {n}", f"Name{n:02d}", 7 * n, 7 * n + 6) for n in range(types)]
    absent = [Mention(f"type {n}", "Nowhere") for n in range(types)]
    found.examples.append(Marked("many types", names, [*entities, *absent]))
    found.doubtful = [Doubtful(0.25, HOSTILE, HOSTILE, (HOSTILE, "b"))]
    found.folders = {"day=1": Folder(4, 2, 1), f"day={HOSTILE}": Folder(4, 1, 0)}
    found.top = {HOSTILE: [(HOSTILE, 3), ("b", 1)]}
    return found
