"""Probes the guarantees of a storage that leases, commits and markers rely on, and that some storages lack.

Two processes create the same names exclusively, again and again: exactly one must win each time. What was written must
be read back, listed, and gone once it was removed; a file that was replaced since it was seen must stay as it is. Done
once for each storage of a workdir and pinned there.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import IO, Final, Literal

from uniner_dist.errors import ConfigError
from uniner_dist.storage.conditional import read_version, swap
from uniner_dist.storage.control_files import ProbedStorage, ProbedStorages, read_control, write_control
from uniner_dist.storage.filesystem import (
    exclusive_by,
    find_files,
    is_local,
    join,
    list_names,
    open_fs,
    read_bytes,
    remove,
    write_bytes,
)
from uniner_dist.storage.place_layout import WorkdirLayout
from uniner_dist.storage.retries import StorageError

log = logging.getLogger(__name__)

Exclusive = Literal["put", "link", "open", "rename"]

_ROUNDS: Final = 12
#: Rounds on an object store, where each is a request of some 50 ms.
_REMOTE_ROUNDS: Final = 6
#: The other process, where storage is a folder of this machine: without our imports it starts in some 20 ms. It does
#: what `filesystem.write_bytes` does.
_LOCAL_RACER: Final = """
import os, sys
folder, by = sys.argv[1:3]
for line in sys.stdin:
    name = line.strip()
    own = os.path.join(folder, f".{name}.other")
    target = os.path.join(folder, name)
    try:
        with open(own, "w") as stream:
            stream.write("other")
        if by == "link":
            os.link(own, target)
        else:
            os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        print(1, flush=True)
    except FileExistsError:
        print(0, flush=True)
    except OSError as error:
        sys.exit(print(error.strerror, flush=True))
    os.unlink(own)
"""
_RACER: Final = (
    "import sys\n"
    "from uniner_dist.storage.filesystem import write_bytes\n"
    "for line in sys.stdin:\n"
    "    print(int(write_bytes(sys.argv[1] + '/' + line.strip(), b'other', exclusive=True)), flush=True)\n"
)


@dataclass(frozen=True)
class Findings:
    """Guarantees that a storage was found to give.

    Attributes:
        exclusive: by what a file is created that must not exist: "put", "link", "open" or "rename".
        problems: messages on what it lacks; with any of them a run must not use it.
        weaker: messages on guarantees that other storages give and this one does not.
    """

    exclusive: Exclusive
    problems: tuple[str, ...] = ()
    weaker: tuple[str, ...] = ()


def check_storages(workdir: str, paths: Iterable[str]) -> None:
    """Check that all storages of a workdir give the required guarantees; each is probed once and pinned there.

    Guarantees that are weaker than elsewhere are logged as warnings.

    Args:
        workdir: path or URL of the workdir, which keeps what was found in `storage.json`.
        paths: paths or URLs that leases, commits or markers are written to; one of each storage is probed.

    Raises:
        ConfigError: with every guarantee that any of them lacks.
        StorageError: a probe failed, so that nothing is known of the storage.
    """
    pin = WorkdirLayout(workdir).storage
    try:
        known = read_control(pin, ProbedStorages).storages
    except FileNotFoundError:
        known = {}
    places: dict[str, str] = {}
    for path in paths:
        places.setdefault(_storage_of(path), path)
    new = {storage: probe(path) for storage, path in places.items() if storage not in known}
    bad = [f"{places[storage]}: {problem}" for storage, found in new.items() for problem in found.problems]
    if bad:
        raise ConfigError([f"{problem}; choose another storage" for problem in bad])
    found = known | {storage: ProbedStorage(exclusive=one.exclusive, weaker=one.weaker) for storage, one in new.items()}
    if new:
        write_control(pin, ProbedStorages(storages=found))
    for storage in places:
        for words in found[storage].weaker:
            log.warning("%s: %s (docs/operations.md)", places[storage], words)


def _storage_of(path: str) -> str:
    """Name of a storage: kind and bucket of a URL, or where a file system of this machine is mounted."""
    fs, stripped = open_fs(path)
    if not is_local(fs):
        return "/".join(path.split("/")[:3])
    place = os.path.realpath(stripped)
    while not os.path.ismount(place):
        place = os.path.dirname(place)
    return f"file://{place}"


def probe(path: str) -> Findings:
    """Test a storage in a folder of its own below a path, which is removed again.

    Args:
        path: path or URL of a folder, which need not exist.

    Returns:
        The guarantees that were found; with any `problems` a run must not use the storage.

    Raises:
        StorageError: it failed meanwhile, as when the disk is full; nothing is known of it then.
    """
    folder = join(path, f".probe-{uuid.uuid4().hex[:12]}")
    try:
        by = exclusive_by(folder)
        problems = [*_basics(folder), *_races(folder, by)]
        weaker = (*_WEAKER.get(by, ()), *_conditions(folder))
    finally:
        remove(folder)
    return Findings(by, tuple(problems), weaker)


#: Messages on weaker guarantees, by how files are created exclusively.
_WEAKER: Final = {
    "open": (
        "it has no hard links: a process that dies while it commits a shard may leave half a file, which the next "
        "start finds and does again",
    ),
    "rename": (
        "it has no exclusive create: files are renamed onto missing names instead, and changes of markers are not "
        "conditional",
    ),
}


def _conditions(folder: str) -> list[str]:
    """Check that a file is replaced only if it is still the version that was seen; messages if not."""
    path = join(folder, "versions")
    write_bytes(path, b"one")
    seen = read_version(path)
    write_bytes(path, b"another")
    if not swap(path, seen, b"a third") and read_bytes(path) == b"another":
        return []
    return [
        "it replaces files whatever the condition (If-Match): two processes that change one output's marker, of which "
        "one was suspended for a minute, may lose a change"
    ]


def _basics(folder: str) -> list[str]:
    """Check reading after writing, listing after writing, and removal; messages on what fails."""
    problems, path = [], join(folder, "basics")
    for content in (b"one", b"another"):
        write_bytes(path, content)
        if read_bytes(path) != content:
            problems.append("what was written is not what is read back")
    if "basics" not in list_names(folder) or "basics" not in find_files(folder):
        problems.append("a file that was written is not listed")
    remove(path)
    if "basics" in list_names(folder):
        problems.append("a file that was removed is still listed")
    return problems


def _races(folder: str, by: str) -> list[str]:
    """Let two processes create the same names at the same time; messages on what went wrong."""
    fs, stripped = open_fs(folder)
    if "memory" in fs.protocol:
        return []  # of this process alone
    local = is_local(fs)
    command = ["-I", "-S", "-c", _LOCAL_RACER, stripped, by] if local else ["-c", _RACER, folder]
    with subprocess.Popen(
        [sys.executable, *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        names = [f"race-{i}" for i in range(_ROUNDS if local else _REMOTE_ROUNDS)]
        won = [_race(folder, name, other.stdin, other.stdout) for name in names]
        other.stdin.close()
    return _judge(won)


def _race(folder: str, name: str, to_other: IO[str], from_other: IO[str]) -> int:
    """How many of two processes created a name; one that gave up counts as two winners: nothing is known of it."""
    try:
        to_other.write(f"{name}\n")
        to_other.flush()
        ours = write_bytes(join(folder, name), b"ours", exclusive=True)
        answer = from_other.readline().strip()
    except (OSError, ValueError) as error:
        raise StorageError(f"{folder}: a second process could not write there: {error}") from error
    if not answer.isdigit():
        raise StorageError(f"{folder}: a second process could not write there: {answer or 'it gave up'}")
    return int(ours) + int(answer)


def _judge(won: Sequence[int]) -> list[str]:
    both, none = sum(count == 2 for count in won), sum(count == 0 for count in won)
    problems = []
    if both:
        problems.append(f"two processes created the same file in {both} of {len(won)} tries; it cannot keep them apart")
    if none:
        problems.append(f"a file that nobody had could not be created in {none} of {len(won)} tries")
    return problems
