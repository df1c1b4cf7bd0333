"""Lists of the files of a dataset that count, where tasks that may be tried twice have written them.

Spark may run a task again, or twice at the same time, and both attempts may write. Files of an attempt have a part of
their name in common that no other attempt has, and a list in the dataset's folder, `_counted.json`, written when the
tasks are done, says which files count. Of what Spark's own writer makes, its committer lets one attempt of each task
through, whose names bear the write; the list says what was there when it ended, so that a file that is lost later is
noticed. A late attempt may leave files, but they never count.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Final

from uniner_dist.errors import StageError
from uniner_dist.storage.control_files import ControlFileError, CountedFiles, read_control, write_control
from uniner_dist.storage.filesystem import file_size, find_files, join, read_bytes, remove

#: Name of the list; readers of Parquet datasets skip names that begin with an underscore.
COUNTED: Final = "_counted.json"
_WRITERS: Final = 16
_MAGIC: Final = b"PAR1"
#: Name of a file of Spark's own writer; the group is the same in all files of one write.
_WRITE = re.compile(r"/?part-[0-9]{5,9}-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})[^/]*$", re.ASCII)
#: Name of a file of an attempt of a task; that of the last file of a finished attempt says so.
_PART = re.compile(r"part-([0-9]{5,9})-([0-9a-f]{8})-([0-9]{5,9})(-last)?\.parquet", re.ASCII)


def new_attempt() -> str:
    """Return what the names of an attempt's files have in common: 8 random hex digits."""
    return uuid.uuid4().hex[:8]


def part_name(task: int, attempt: str, number: int, last: bool = False) -> str:
    """Return the name of an attempt's file.

    Args:
        task: number of the task's partition.
        attempt: 8 hex digits, from `new_attempt`.
        number: of the file among those of the attempt, from 0.
        last: whether the attempt is complete with this file.
    """
    return f"part-{task:05d}-{attempt}-{number:05d}{'-last' * last}.parquet"


def count_files(folder: str, files: Iterable[str]) -> None:
    """Record which files of a folder count, and then remove its other Parquet files.

    Args:
        folder: URL or local path of the dataset.
        files: paths relative to the folder, in any order; all of them have been written.
    """
    counted = tuple(sorted(files))
    write_control(join(folder, COUNTED), CountedFiles(files=counted))
    others = sorted(set(find_files(folder, ".parquet")) - set(counted))
    with ThreadPoolExecutor(_WRITERS) as writers:
        list(writers.map(lambda file: remove(join(folder, file)), others))


def count_written(folder: str) -> None:
    """Record that the files count which Spark's own writer has just written.

    Args:
        folder: URL or local path of the dataset.

    Raises:
        StageError: files of another write are there as well.
    """
    files = sorted(find_files(folder, ".parquet"))
    writes = {match[1] for match in map(_WRITE.search, files) if match}
    if len(writes) > 1:
        raise StageError(f"{folder}: another process writes there at the same time; start the same command again")
    write_control(join(folder, COUNTED), CountedFiles(files=tuple(files)))


def counted_names(folder: str) -> tuple[str, ...] | None:
    """Return the files that count, as paths relative to the folder, sorted; None without a list, where all files count.

    Args:
        folder: URL or local path of the dataset; it need not exist.

    Raises:
        ControlFileError: the list is damaged.
    """
    with suppress(FileNotFoundError, NotADirectoryError):
        return read_control(join(folder, COUNTED), CountedFiles).files
    return None


def counted_files(folder: str) -> dict[str, dict[str, object]]:
    """Return every Parquet file of a folder that counts, as path relative to the folder → fsspec's details.

    Args:
        folder: URL or local path of the dataset; without a list in it all of its Parquet files count.

    Raises:
        ControlFileError: the list is damaged, or a file that counts is not there.
    """
    found, names = find_files(folder, ".parquet"), counted_names(folder)
    if names is None:
        return found
    missing = [name for name in names if name not in found]
    if missing:
        raise ControlFileError(f"{folder}: {missing[0]} is gone, which {COUNTED} names")
    return {name: found[name] for name in names}


def only_counted(folder: str) -> list[str] | None:
    """Return the Parquet files of a folder that count, where there are others too; None where all do.

    Args:
        folder: URL or local path of the dataset.

    Returns:
        Paths relative to the folder. None also where the folder has no list, so that a reader may take the whole
        folder.

    Raises:
        ControlFileError: the list is damaged, or a file that counts is not there.
    """
    if counted_names(folder) is None:
        return None
    counted = counted_files(folder)
    return None if len(counted) == len(find_files(folder, ".parquet")) else list(counted)


def is_sound(folder: str, expected: int) -> bool:
    """Return whether as many Parquet files as expected count and all of them are complete; reads their last bytes only.

    Args:
        folder: URL or local path of the dataset.
        expected: the least number of files that must count.

    Returns:
        False also where the folder is missing, its list is damaged, or a file that counts is not there.
    """
    try:
        found = counted_files(folder)
    except (FileNotFoundError, NotADirectoryError, ControlFileError):
        return False
    with ThreadPoolExecutor(_WRITERS) as readers:
        whole = readers.map(lambda name: _is_whole(join(folder, name), file_size(found[name])), found)
        return len(found) >= expected and all(whole)


def _is_whole(path: str, size: int) -> bool:
    """Return whether a file ends as Parquet does: with the length of its footer, which fits, and the magic word."""
    if size < 2 * len(_MAGIC) + 4:
        return False
    end = read_bytes(path, last=8)
    return end[4:] == _MAGIC and int.from_bytes(end[:4], "little") <= size - 12


def whole_attempts(names: Iterable[str]) -> list[str]:
    """Return for each task the files of one finished attempt, whichever; its rows are the task's.

    Args:
        names: file names, in the form of `part_name`; others are ignored.

    Returns:
        Names sorted by task, those of one attempt in the order of their numbers. An attempt is finished if it has a
        file named as the last one and all files before it; tasks without such an attempt are left out.
    """
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
