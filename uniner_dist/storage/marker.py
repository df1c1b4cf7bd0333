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


def runs_over(marker: Marker, corpus: str) -> list[str]:
    """Published runs whose corpus was this path or a place inside of it: their rows are rows of this corpus."""
    return [run_id for run_id, entry in marker.runs.items() if covers(corpus, entry.corpus)]


def is_current(marker: Marker | None, run_id: str) -> bool:
    """Whether a run is published and no later one has published the same labels of the same corpus, or a part of it.

    A run that is not current has to publish again, should its corpus ever be as it was.
    """
    if marker is None or run_id not in marker.runs:
        return False
    own = marker.runs[run_id]
    return not any(
        entry.order > own.order
        and set(entry.types) & set(own.types)
        and (covers(entry.corpus, own.corpus) or covers(own.corpus, entry.corpus))
        for entry in marker.runs.values()
    )


def next_order(marker: Marker) -> int:
    """Number of the next publication."""
    return 1 + max((entry.order for entry in marker.runs.values()), default=0)


def covers(outer: str, inner: str) -> bool:
    """Whether a corpus path is another one or a place inside of it."""
    return inner == outer or inner.startswith(outer.rstrip("/") + "/")
