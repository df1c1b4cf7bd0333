"""The marker of an output folder: what dataset it is and which runs are wholly in it.

`.uniner_dist.json` is written last by a publish step. Readers of Parquet datasets skip names that begin with a dot;
Hugging Face datasets would stumble over one that begins with `_`.
"""

from __future__ import annotations

from typing import Any

from uniner_dist.storage.filesystem import join, read_json, write_json

MARKER = ".uniner_dist.json"


def read_marker(output: str) -> dict[str, Any] | None:
    """The marker, or None when the folder has none: `id_column`, `partition_by`, `runs` (id → summary)."""
    try:
        marker: dict[str, Any] = read_json(join(output, MARKER))
    except (FileNotFoundError, NotADirectoryError):
        return None
    return marker


def write_marker(output: str, marker: dict[str, Any]) -> None:
    """Replace the marker atomically."""
    write_json(join(output, MARKER), marker)
