"""The marker of an output folder: what dataset it is, which runs are wholly in it, and what that means for others.

`.uniner_dist.json` is written last by a publish step. Readers of Parquet datasets skip names that begin with a dot;
Hugging Face datasets would stumble over one that begins with `_`. Its form is `storage.control_files.Marker`.
"""

from __future__ import annotations

from uniner_dist.storage.control_files import Marker, read_control, write_control
from uniner_dist.storage.layout import OutputLayout


def read_marker(output: str) -> Marker | None:
    """The marker, or None when the folder has none.

    Raises:
        ControlFileError: what is there is no marker of ours.
    """
    try:
        return read_control(OutputLayout(output).marker, Marker)
    except (FileNotFoundError, NotADirectoryError):
        return None


def write_marker(output: str, marker: Marker) -> None:
    """Replace the marker atomically."""
    write_control(OutputLayout(output).marker, marker)


def next_order(marker: Marker) -> int:
    """Number of the next publication."""
    return 1 + max((entry.order for entry in marker.runs.values()), default=0)
