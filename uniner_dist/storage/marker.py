"""The marker of an output folder: what dataset it is, which runs are wholly in it, and what that means for others.

`.uniner_dist.json` is written last by a publish step. Readers of Parquet datasets skip names that begin with a dot;
Hugging Face datasets would stumble over one that begins with `_`. Its form is `storage.control_files.Marker`.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from uniner_dist.errors import StageError
from uniner_dist.storage.conditional import Seen, read_version, swap
from uniner_dist.storage.control_files import Marker, encode_control, parse_control, read_control
from uniner_dist.storage.place_layout import OutputLayout


def read_marker(output: str) -> Marker | None:
    """The marker, or None when the folder has none.

    Raises:
        ControlFileError: what is there is no marker of ours.
    """
    try:
        return read_control(OutputLayout(output).marker, Marker)
    except (FileNotFoundError, NotADirectoryError):
        return None


@dataclass(frozen=True)
class MarkerVersion:
    """A marker and the version of it that storage had; `seen` is None where there was none yet."""

    marker: Marker
    seen: Seen | None


def read_marker_version(output: str) -> MarkerVersion | None:
    """The marker with its version, or None when the folder has none."""
    path = OutputLayout(output).marker
    seen = read_version(path)
    return MarkerVersion(parse_control(path, seen.data, Marker), seen) if seen is not None else None


def swap_marker(output: str, before: MarkerVersion, marker: Marker) -> MarkerVersion:
    """Replace the marker that was seen.

    Each version has a nonce of its own: an erasure leaves the marker as it was otherwise, and a plan from before it
    must not take it for the version that it knew, which S3's entity tags tell by the content.

    Raises:
        StageError: somebody else has replaced it meanwhile; nothing was changed.
    """
    marker = marker.model_copy(update={"nonce": uuid.uuid4().hex})
    path, data = OutputLayout(output).marker, encode_control(marker)
    seen = read_version(path) if swap(path, before.seen, data) else None
    if seen is None or seen.data != data:
        raise StageError(f"{path}: was changed by another process meanwhile; start the same command again")
    return MarkerVersion(marker, seen)


def next_order(marker: Marker) -> int:
    """Number of the next publication."""
    return 1 + max((entry.order for entry in marker.runs.values()), default=0)
