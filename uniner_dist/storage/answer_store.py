"""The store of answers: every answer under a fingerprint, for any run that asks the same again.

Writes one small file of cells per shard, just before its completions are committed, and lists for readers the files
that count. Files appear whole and are never changed. A cell may be in several files; its answer is the same in all of
them. `uniner_dist.maintenance` compacts the files and takes documents out.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from uniner_dist.core.hashing import digest
from uniner_dist.errors import StageError
from uniner_dist.schemas import CELLS, SCHEMA_VERSION
from uniner_dist.storage.attempts import new_attempt
from uniner_dist.storage.containment import require_no_link
from uniner_dist.storage.control_files import StoreManifest, read_control, write_control
from uniner_dist.storage.control_files.forms import FINGERPRINT, MANIFEST_FILE, STORE_FILE, has_form
from uniner_dist.storage.filesystem import join, list_names, remove, write_bytes
from uniner_dist.storage.place_layout import StoreLayout
from uniner_dist.storage.shards import checksum

#: Prefix of the names of files written by a compaction; they count only once a manifest names them.
COMPACTED = "compacted-"
#: Seconds after which files that a compaction replaced are deleted by a later one: readers may have listed them before.
GRACE_S = 24 * 3600.0


@dataclass(frozen=True)
class Manifest:
    """One change of the store's files: names of the files added and replaced, in the folder `cells`."""

    name: str
    sequence: int
    at: float
    added: frozenset[str]
    replaced: frozenset[str]


def contribute(layout: StoreLayout, run_id: str, shard: str, completions: pa.Table) -> bool:
    """Put the answers that a shard got from its engine into the store; what came from the store stays out.

    This goes before the commit of the shard. A crash in between leaves answers in the store whose shard is asked again,
    which costs that shard; the other order would leave a committed shard that no other run can ever use.

    Args:
        layout: the part of the store that belongs to the run's fingerprint.
        run_id: run that asked, 12 hex digits; part of the file's name.
        shard: name of the shard; part of the file's name.
        completions: rows of the whole shard with the columns of `schemas.CELLS` and `reused`; rows without an output,
            and rows whose answer was reused, are left out.

    Returns:
        False when the shard has no answer of its own, and nothing is written.

    Raises:
        OutsideError: the store's part, or its folder of answers, is a link.
        StorageError: the file cannot be written.
    """
    own = pc.and_(pc.is_valid(completions["output"]), pc.invert(completions["reused"]))
    cells = completions.filter(own)
    if not cells.num_rows:
        return False
    # The digest tells the first answers of a shard from those after it was reopened.
    name = f"{run_id}-{shard}-{checksum(cells)[:12]}.parquet"
    for folder in (layout.root, layout.cells):
        require_no_link(folder)
    write_bytes(join(layout.cells, name), encode_cells(cells))
    return True


def encode_cells(cells: pa.Table) -> bytes:
    """Return a Parquet file of `schemas.CELLS`, compressed with zstd and stamped with the version of the schemas.

    Args:
        cells: rows with at least the columns of `schemas.CELLS`; other columns are left out.
    """
    stamp = {"uniner.schema_version": str(SCHEMA_VERSION)}
    buffer: Any = pa.BufferOutputStream()
    table = cells.select(CELLS.names).cast(CELLS).replace_schema_metadata(stamp)
    pq.write_table(table, buffer, compression="zstd")
    return bytes(buffer.getvalue())


def live_files(layout: StoreLayout) -> list[str]:
    """Return the names of the files that hold the store's answers now, sorted.

    Manifests are read before the folder is listed: what a compaction replaces in between is still taken from the old
    files, which stay for a grace period.

    Args:
        layout: the part of the store that belongs to one fingerprint.

    Returns:
        Names in the folder `cells`: files of shards that no manifest has replaced, and files of compactions that a
        manifest has added and none has replaced.

    Raises:
        ControlFileError: a manifest is damaged.
    """
    manifests = read_manifests(layout)
    added = frozenset().union(*(manifest.added for manifest in manifests))
    replaced = frozenset().union(*(manifest.replaced for manifest in manifests))
    return [
        name
        for name in list_cells(layout)
        if name not in replaced and (name in added or not name.startswith(COMPACTED))
    ]


def list_cells(layout: StoreLayout) -> list[str]:
    """Return the sorted names of all files of answers, including those that no longer count; other files are left out.

    Args:
        layout: the part of the store that belongs to one fingerprint.
    """
    return [name for name in list_names(layout.cells) if has_form(STORE_FILE, name)]


def store_state(layout: StoreLayout, but: str) -> str:
    """Return a hash over the names of the files that hold the store's answers now, without those of one run.

    Args:
        layout: the part of the store that belongs to one fingerprint.
        but: id of the run whose own files are left out, so that a run's answers do not change what it was planned with;
            once they are compacted, they count.
    """
    names = [name for name in live_files(layout) if not name.startswith(f"{but}-")]
    return digest({"files": names})


def is_empty(layout: StoreLayout) -> bool:
    """Return whether there is no file of answers, and so nothing to reuse.

    Args:
        layout: the part of the store that belongs to one fingerprint; it need not exist.
    """
    return not list_cells(layout)


def read_manifests(layout: StoreLayout) -> list[Manifest]:
    """Return every change of the store's files that is remembered, oldest first.

    Args:
        layout: the part of the store that belongs to one fingerprint.

    Raises:
        ControlFileError: a manifest is damaged.
    """
    names = [name for name in list_names(layout.manifests) if has_form(MANIFEST_FILE, name)]
    values = ((name, read_control(join(layout.manifests, name), StoreManifest)) for name in names)
    found = [Manifest(n, _sequence(n), v.at, frozenset(v.added), frozenset(v.replaced)) for n, v in values]
    return sorted(found, key=lambda manifest: (manifest.sequence, manifest.at, manifest.name))


def next_sequence(layout: StoreLayout) -> int:
    """Return the number of the store's next change; ask for it before reading anything that the change depends on.

    Args:
        layout: the part of the store that belongs to one fingerprint.

    Returns:
        One more than the highest number of a manifest, from 1; `write_manifest` refuses a number that another process
        has used meanwhile.
    """
    return 1 + max((_sequence(name) for name in list_names(layout.manifests) if name.endswith(".json")), default=0)


def write_manifest(layout: StoreLayout, sequence: int, added: Iterable[str], replaced: Iterable[str]) -> None:
    """Record that from now on readers use the `added` files in place of the `replaced` ones.

    Args:
        layout: the part of the store that belongs to one fingerprint.
        sequence: what `next_sequence` returned before the change was planned.
        added: names of complete files below `cells/`.
        replaced: names of files below `cells/`, which readers ignore from now on.

    Raises:
        StageError: the store was changed meanwhile; nothing was replaced.
    """
    added, replaced = tuple(sorted(added)), tuple(sorted(replaced))
    value = StoreManifest(at=time.time(), added=added, replaced=replaced, nonce=uuid.uuid4().hex)
    if not write_control(join(layout.manifests, f"{sequence:012d}.json"), value, exclusive=True):
        raise StageError(f"store {layout.root}: was changed by another process meanwhile; start the same command again")


def _sequence(name: str) -> int:
    """Return the number in a manifest's name; 0 for those of earlier releases, which name a time and come first."""
    stem = name.removesuffix(".json")
    return int(stem) if stem.isdigit() else 0


def list_stores(store: str) -> list[StoreLayout]:
    """Return the store's parts, one per fingerprint; one that is a link is refused when its lease is taken.

    Args:
        store: URL or local path of the store; without a part, or where it does not exist, the result is empty.
    """
    return [StoreLayout(store, name) for name in list_names(store) if has_form(FINGERPRINT, name)]


def compacted_name(stem: str, number: int) -> str:
    """Return the name of a file that a compaction writes.

    Args:
        stem: from `compaction_stem`, the same for all files of an attempt.
        number: of the file, different for each file with this stem; five digits or more.
    """
    return f"{COMPACTED}{stem}-{number:05d}.parquet"


def compaction_stem() -> str:
    """Return a unique stem for the files of one attempt of a compaction: seconds since the epoch, and 8 hex digits.

    `sweep` tells from the time in it how old a file is that no manifest names.
    """
    return f"{int(time.time()):012d}-{new_attempt()}"


def sweep(layout: StoreLayout, grace_s: float = GRACE_S) -> int:
    """Delete what was replaced longer ago than the grace period, and the leftovers of interrupted compactions.

    A manifest stays as long as a file that it added, because that file counts only by it, and another grace period
    beyond its last replaced file.

    Args:
        layout: the part of the store that belongs to one fingerprint; the caller holds its lease.
        grace_s: seconds for which files stay after they were replaced, for readers that have listed them before;
            compared with the times in manifests and names.

    Returns:
        The number of files of answers deleted; manifests are not counted.

    Raises:
        ControlFileError: a manifest is damaged; nothing was deleted.
    """
    now, manifests = time.time(), read_manifests(layout)
    present = set(list_cells(layout))
    old = [manifest for manifest in manifests if manifest.at <= now - grace_s]
    replaced = frozenset().union(*(manifest.replaced for manifest in old))
    added = frozenset().union(*(manifest.added for manifest in manifests))
    stale = {name for name in present - added if name.startswith(COMPACTED) and _written_at(name) <= now - grace_s}
    gone = (replaced & present) | stale
    for name in sorted(gone):
        remove(join(layout.cells, name))
    for manifest in (one for one in old if one is not manifests[-1]):  # the last one says which number is next
        if manifest.at <= now - 2 * grace_s and not present & (manifest.added | manifest.replaced):
            remove(join(layout.manifests, manifest.name))
    return len(gone)


def _written_at(name: str) -> float:
    return float(name.removeprefix(COMPACTED).split("-", 1)[0])
