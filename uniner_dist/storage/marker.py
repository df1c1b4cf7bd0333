"""The marker of an output folder: what dataset it is, which runs are wholly in it, and what that means for others.

`.uniner_dist.json` is written last by a publish step. Readers of Parquet datasets skip names that begin with a dot;
Hugging Face datasets would stumble over one that begins with `_`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from uniner_dist.storage.filesystem import read_json, write_json
from uniner_dist.storage.layout import OutputLayout


def read_marker(output: str) -> dict[str, Any] | None:
    """The marker, or None when the folder has none: `id_column`, `partition_by`, `runs` (id → summary).

    A run's summary says among others its `corpus` (path), its `types` (labels) and its `order` among the publications.
    """
    try:
        marker: dict[str, Any] = read_json(OutputLayout(output).marker)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return marker


def write_marker(output: str, marker: dict[str, Any]) -> None:
    """Replace the marker atomically."""
    write_json(OutputLayout(output).marker, marker)


def runs_over(marker: Mapping[str, Any], corpus: str) -> list[str]:
    """Published runs whose corpus was this path or a place inside of it: their rows are rows of this corpus."""
    return [run_id for run_id, entry in marker["runs"].items() if covers(corpus, entry["corpus"])]


def is_current(marker: Mapping[str, Any] | None, run_id: str) -> bool:
    """Whether a run is published and no later one has published the same labels of the same corpus, or a part of it.

    A run that is not current has to publish again, should its corpus ever be as it was.
    """
    runs = (marker or {}).get("runs", {})
    if run_id not in runs:
        return False
    own = runs[run_id]
    return not any(
        entry["order"] > own["order"]
        and set(entry["types"]) & set(own["types"])
        and (covers(entry["corpus"], own["corpus"]) or covers(own["corpus"], entry["corpus"]))
        for entry in runs.values()
    )


def next_order(marker: Mapping[str, Any]) -> int:
    """Number of the next publication."""
    return 1 + max((entry["order"] for entry in marker["runs"].values()), default=0)


def covers(outer: str, inner: str) -> bool:
    """Whether a corpus path is another one or a place inside of it."""
    return inner == outer or inner.startswith(outer.rstrip("/") + "/")
