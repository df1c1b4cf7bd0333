"""The marker of an output folder: identity of the dataset, and the runs that are completely in it.

It is written last by a publish step, in the format that `storage.marker_file` describes. Its form is
`storage.control_files.Marker`. Earlier releases wrote it as JSON to `.uniner_dist.json`, which is still read; the next
change of the output stores it in the new form and removes that file.
"""

from __future__ import annotations

import contextlib
import uuid
from dataclasses import dataclass, replace

import pyarrow as pa

from uniner_dist.errors import StageError
from uniner_dist.storage.conditional import Seen, read_version, swap
from uniner_dist.storage.containment import require_inside
from uniner_dist.storage.control_files import Marker, parse_control
from uniner_dist.storage.filesystem import open_fs
from uniner_dist.storage.marker_file import encode_marker, marker_path, parse_marker
from uniner_dist.storage.place_layout import OutputLayout
from uniner_dist.storage.retries import with_retries


def read_marker(output: str) -> Marker | None:
    """Return the marker of an output, or None when the folder has none.

    Args:
        output: path or URL of the published dataset.

    Raises:
        ControlFileError: the file there is no marker of ours.
        OutsideError: the marker's folder is a link.
        StorageError: the file changed during every read.
    """
    found = read_marker_version(output)
    return found.marker if found is not None else None


@dataclass(frozen=True)
class MarkerVersion:
    """A marker and the version of it that storage had.

    Attributes:
        marker: the content of the file.
        seen: the file as it was read, for a conditional replacement; None where there was none yet.
        columns: columns of the dataset's files without the folder columns; None where they are not known yet, as with a
            marker of an earlier release.
    """

    marker: Marker
    seen: Seen | None = None
    columns: pa.Schema | None = None


def read_marker_version(output: str) -> MarkerVersion | None:
    """Return the marker with the version of its file, or None when the folder has none.

    Args:
        output: path or URL of the published dataset.

    Raises:
        ControlFileError: the file there is no marker of ours.
        OutsideError: the marker's folder is a link.
        StorageError: the file changed during every read.
    """
    layout = OutputLayout(output)
    earlier = read_version(layout.earlier_marker)  # first: it goes only when the new one is there
    for path in (marker_path(output), layout.flat_marker):
        seen = read_version(path) if path is not None else None
        if path is not None and seen is not None:
            marker, columns = parse_marker(output, path, seen.data)
            return MarkerVersion(marker, seen, columns)
    if earlier is None:
        return None
    return MarkerVersion(parse_control(layout.earlier_marker, earlier.data, Marker), earlier)


def swap_marker(output: str, before: MarkerVersion, marker: Marker, columns: pa.Schema) -> MarkerVersion:
    """Replace the marker that was seen.

    Each version has a nonce of its own: an erasure leaves the marker otherwise unchanged, and a plan from before it
    must not take it for the version that it knew, since S3's entity tags depend on the content alone.

    Args:
        output: path or URL of the published dataset.
        before: the marker as it was read; the swap fails when storage has another version by now.
        marker: the new content; its nonce is replaced.
        columns: columns of the dataset's files, without the folder columns.

    Returns:
        The marker as it is stored now, for the next swap.

    Raises:
        OutsideError: the marker's folder is a link, or leads out of the output.
        StageError: another process has replaced it meanwhile; nothing was changed.
    """
    layout = OutputLayout(output)
    marker = marker.model_copy(update={"nonce": uuid.uuid4().hex})
    path, data = layout.marker(marker.partition_by), encode_marker(marker, columns)
    require_inside(path, output, f"the marker of {output}")
    there = before.seen
    if before.columns is None and there is not None:  # of an earlier release: the new one appears, the old one goes
        now = read_version(layout.earlier_marker)
        there = None if now is not None and now.version == there.version else there
    seen = read_version(path) if swap(path, there, data) else None
    if seen is None or seen.data != data:
        raise StageError(f"{path}: was changed by another process meanwhile; start the same command again")
    _remove_earlier(layout.earlier_marker)
    return replace(before, marker=marker, seen=seen, columns=columns)


def _remove_earlier(path: str) -> None:
    fs, stripped = open_fs(path)
    with contextlib.suppress(FileNotFoundError, IsADirectoryError):
        with_retries(path, lambda: fs.rm_file(stripped))


def next_order(marker: Marker) -> int:
    """Return the number of the next publication, from 1: one more than the highest `order` of the runs in the marker.

    Args:
        marker: the output's marker as it is before the publication.
    """
    return 1 + max((entry.order for entry in marker.runs.values()), default=0)
