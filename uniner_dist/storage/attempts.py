"""Which files of a dataset count, where tasks that may be tried twice have written them.

Spark may run a task again, or twice at the same time, and both attempts may write. Files of an attempt have a part of
their name in common that no other attempt has, and a list in the dataset's folder, `_counted.json`, written when the
tasks are done, says which files count. What Spark's own writer makes needs no list: its committer lets one attempt of
each task through. A late attempt may leave files, but they never count.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Final

from uniner_dist.storage.control_files import ControlFileError, CountedFiles, read_control, write_control
from uniner_dist.storage.filesystem import find_files, join, remove

#: The list; readers of Parquet datasets skip names that begin so.
COUNTED: Final = "_counted.json"
_WRITERS: Final = 16
#: A file of an attempt of a task; the last one of an attempt that came to its end says so.
_PART = re.compile(r"part-([0-9]{5,9})-([0-9a-f]{8})-([0-9]{5,9})(-last)?\.parquet", re.ASCII)


def new_attempt() -> str:
    """What the names of an attempt's files have in common: 8 hex digits of its own."""
    return uuid.uuid4().hex[:8]


def part_name(task: int, attempt: str, number: int, last: bool = False) -> str:
    """Name of an attempt's file.

    Args:
        number: of the file among those of the attempt, from 0.
        last: whether the attempt came to its end with this file.
    """
    return f"part-{task:05d}-{attempt}-{number:05d}{'-last' * last}.parquet"


def count_files(folder: str, files: Iterable[str]) -> None:
    """Say which files of a folder count, by their paths relative to it, and remove the others."""
    counted = tuple(sorted(files))
    write_control(join(folder, COUNTED), CountedFiles(files=counted))
    others = sorted(set(find_files(folder, ".parquet")) - set(counted))
    with ThreadPoolExecutor(_WRITERS) as writers:
        list(writers.map(lambda file: remove(join(folder, file)), others))


def counted_names(folder: str) -> tuple[str, ...] | None:
    """The files that count, relative to the folder; None where all of them do."""
    with suppress(FileNotFoundError, NotADirectoryError):
        return read_control(join(folder, COUNTED), CountedFiles).files
    return None


def counted_files(folder: str) -> dict[str, dict[str, Any]]:
    """Every Parquet file of a folder that counts, as path relative to it → fsspec's details.

    Raises:
        ControlFileError: a file that counts is not there.
    """
    found, names = find_files(folder, ".parquet"), counted_names(folder)
    if names is None:
        return found
    missing = [name for name in names if name not in found]
    if missing:
        raise ControlFileError(f"{folder}: {missing[0]} is gone, which {COUNTED} names")
    return {name: found[name] for name in names}


def whole_attempts(names: Iterable[str]) -> list[str]:
    """Of the files of tasks those of one attempt of each that came to its end, whichever; its rows are the task's."""
    attempts: dict[tuple[str, str], dict[int, tuple[str, bool]]] = {}
    for name in names:
        if match := _PART.fullmatch(name):
            attempts.setdefault((match[1], match[2]), {})[int(match[3])] = (name, match[4] is not None)
    chosen: dict[str, list[str]] = {}
    for (task, _), files in sorted(attempts.items()):
        ordered = [files[number] for number in sorted(files)]
        if task not in chosen and ordered[-1][1] and max(files) == len(files) - 1:
            chosen[task] = [name for name, _ in ordered]
    return [name for files in chosen.values() for name in files]
