"""Storage probes: whether a path can be read, and where runs write, whether atomic commits work.

A probe writes one small file to the folder, or on local disks to the nearest one above it that exists, reads it back,
compares the storage's time of it with the local clock, and removes it.
"""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from uniner_dist.doctor.finding import Finding, problem, warning
from uniner_dist.errors import UninerError
from uniner_dist.storage.filesystem import is_local, join, open_fs
from uniner_dist.storage.lease import STALE_S
from uniner_dist.storage.table_names import is_table_name

_AREA: Final = "Storage"


@dataclass(frozen=True)
class Location:
    """A path to check.

    Args:
        option: how the user calls it, such as `--output`.
        path: any path or URL, or the name of a table in a catalog.
        written: whether runs write there.
    """

    option: str
    path: str
    written: bool


def check_location(place: Location) -> list[Finding]:
    """Check that a location can be read; or, where runs write, that a file can be written, read back and removed.

    Args:
        place: the location; a folder that does not exist is not made on local disks.

    Returns:
        One finding, or two where the storage tells the time of a file, which is compared with the local clock. Tables
        in catalogs are not looked up.
    """
    subject = f"{place.option} {place.path}"
    if is_table_name(place.path):
        if place.written:
            return [problem(_AREA, subject, "is the name of a table", "give a folder: a path or a URL")]
        return [Finding(_AREA, subject, "is a table of a catalog, which is not checked: Spark opens it")]
    try:
        fs, stripped = open_fs(place.path)
        if not place.written:
            return [_readable(fs, stripped, subject)]
        return _probe(fs, stripped, subject)
    except UninerError as error:
        return [problem(_AREA, subject, _first_line(error), "see docs/operations.md#storage")]
    except Exception as error:  # clients of object stores raise kinds of their own
        found = _format_error(error)
        return [problem(_AREA, subject, found, "check credentials, endpoint and that the bucket or folder is there")]


def judge_clocks(ours_s: float, theirs_s: float) -> tuple[str, str | None]:
    """Compare the local clock with the storage's.

    Leases do not depend on it; the ages of runs (`prune`) and of replaced files (`compact`) do.

    Args:
        ours_s: time of a write by the local clock, in seconds since the epoch.
        theirs_s: time of the same write according to the storage, in seconds since the epoch.

    Returns:
        A sentence for the finding; and advice, None where the clocks agree within a quarter of `STALE_S`.
    """
    skew = theirs_s - ours_s
    found = f"the storage's clock is {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} this machine's"
    if abs(skew) < STALE_S / 4:
        return "clocks agree within 15 s", None
    return found, "synchronise clocks (NTP): ages of runs and of replaced files are told by them"


def _readable(fs: Any, stripped: str, subject: str) -> Finding:
    if fs.exists(stripped) or fs.glob(stripped):
        return Finding(_AREA, subject, "is there and can be listed")
    return problem(_AREA, subject, "is not there", "check the path")


def _probe(fs: Any, stripped: str, subject: str) -> list[Finding]:
    folder = _nearest(fs, stripped) if is_local(fs) else stripped
    file = join(folder, f".uniner-dist-doctor-{uuid.uuid4().hex}")
    content = uuid.uuid4().bytes
    begun = time.time()
    fs.pipe_file(file, content)
    try:
        ended = time.time()
        if fs.cat_file(file) != content:
            return [problem(_AREA, subject, "does not give back what was written", "take another storage")]
        return [Finding(_AREA, subject, "can be written and read"), *_clocks(fs, file, subject, (begun + ended) / 2)]
    finally:
        fs.rm_file(file)


def _clocks(fs: Any, file: str, subject: str, written_s: float) -> list[Finding]:
    try:
        theirs: datetime = fs.modified(file)
    except (NotImplementedError, KeyError, AttributeError):
        return []
    found, advice = judge_clocks(written_s, theirs.timestamp())
    return [warning(_AREA, subject, found, advice) if advice else Finding(_AREA, subject, found)]


def _nearest(fs: Any, path: str) -> str:
    """The folder itself, or the nearest one above it that exists: no folder is made for a probe."""
    while not fs.isdir(path):
        path = path.rpartition("/")[0] or "/"
    return path


def _format_error(error: Exception) -> str:
    """The system's message of an error, or else the client's message with its error type."""
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be used: {error.strerror}"
    return f"{type(error).__name__}: {_first_line(error)}"


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].removeprefix("- ")[:300] if lines else type(error).__name__
