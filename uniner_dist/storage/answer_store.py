"""The store of answers: whatever was ever answered under a fingerprint, for any run that asks the same again.

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

#: Names of files written by a compaction begin so; they count only once a manifest names them.
COMPACTED = "compacted-"
#: What a compaction has replaced is deleted by one that comes so much later: readers have listed their files before.
GRACE_S = 24 * 3600.0


@dataclass(frozen=True)
class Manifest:
    """One change of the store's files: what came, and what it took the place of; names in the `cells` folder."""

    name: str
    sequence: int
    at: float
    added: frozenset[str]
    replaced: frozenset[str]


def contribute(layout: StoreLayout, run_id: str, shard: str, completions: pa.Table) -> bool:
    """Put the answers that a shard got from its engine into the store; what came from the store stays out.

    This goes before the commit of the shard. A crash in between leaves answers in the store whose shard is asked again,
    which costs that shard; the other order would leave a committed shard that no other run can ever use.

    Returns:
        False when the shard has no answer of its own.
    """
    own = pc.and_(pc.is_valid(completions["output"]), pc.invert(completions["reused"]))
    cells = completions.filter(own)
    if not cells.num_rows:
        return False
    # The digest keeps apart what a shard answered at first and, reopened, later.
    name = f"{run_id}-{shard}-{checksum(cells)[:12]}.parquet"
    for folder in (layout.root, layout.cells):
        require_no_link(folder)
    write_bytes(join(layout.cells, name), encode_cells(cells))
    return True


def encode_cells(cells: pa.Table) -> bytes:
    """A Parquet file of `schemas.CELLS`."""
    stamp = {"uniner.schema_version": str(SCHEMA_VERSION)}
    buffer: Any = pa.BufferOutputStream()
    table = cells.select(CELLS.names).cast(CELLS).replace_schema_metadata(stamp)
    pq.write_table(table, buffer, compression="zstd")
    return bytes(buffer.getvalue())


def live_files(layout: StoreLayout) -> list[str]:
    """Names of the files that hold the store's answers now.

    Manifests are read before the folder is listed: what a compaction replaces in between is still taken from the old
    files, which stay for a grace period.
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
    """Names of all files of answers, also of those that no longer count; what others have put there is none."""
    return [name for name in list_names(layout.cells) if has_form(STORE_FILE, name)]


def store_state(layout: StoreLayout, but: str) -> str:
    """Hash over the names of the files that hold the store's answers now, without those of one run."""
    names = [name for name in live_files(layout) if not name.startswith(f"{but}-")]
    return digest({"files": names})


def is_empty(layout: StoreLayout) -> bool:
    """Whether there is nothing to reuse."""
    return not list_cells(layout)


def read_manifests(layout: StoreLayout) -> list[Manifest]:
    """Every change of the store's files that is remembered, oldest first."""
    names = [name for name in list_names(layout.manifests) if has_form(MANIFEST_FILE, name)]
    values = ((name, read_control(join(layout.manifests, name), StoreManifest)) for name in names)
    found = [Manifest(n, _sequence(n), v.at, frozenset(v.added), frozenset(v.replaced)) for n, v in values]
    return sorted(found, key=lambda manifest: (manifest.sequence, manifest.at, manifest.name))


def next_sequence(layout: StoreLayout) -> int:
    """Number of the store's next change, to be asked for before anything is read that the change depends on."""
    return 1 + max((_sequence(name) for name in list_names(layout.manifests) if name.endswith(".json")), default=0)


def write_manifest(layout: StoreLayout, sequence: int, added: Iterable[str], replaced: Iterable[str]) -> None:
    """Let the `added` files take the place of the `replaced` ones, for readers from now on.

    Args:
        layout: of the part of the store that belongs to one fingerprint.
        sequence: as `next_sequence` said before the change was planned.
        added: names of files below `cells/`.
        replaced: names of files below `cells/`, which readers pass over from now on.

    Raises:
        StageError: the store was changed meanwhile; nothing was replaced.
    """
    added, replaced = tuple(sorted(added)), tuple(sorted(replaced))
    value = StoreManifest(at=time.time(), added=added, replaced=replaced, nonce=uuid.uuid4().hex)
    if not write_control(join(layout.manifests, f"{sequence:012d}.json"), value, exclusive=True):
        raise StageError(f"store {layout.root}: was changed by another process meanwhile; start the same command again")


def _sequence(name: str) -> int:
    """The number in a manifest's name; manifests of earlier releases, which name a time, come before all others."""
    stem = name.removesuffix(".json")
    return int(stem) if stem.isdigit() else 0


def list_stores(store: str) -> list[StoreLayout]:
    """The store's parts: one per fingerprint; one that is a link is refused when its lease is taken."""
    return [StoreLayout(store, name) for name in list_names(store) if has_form(FINGERPRINT, name)]


def compacted_name(stem: str, number: int) -> str:
    """Name of a file that a compaction writes, from the stem of that compaction."""
    return f"{COMPACTED}{stem}-{number:05d}.parquet"


def compaction_stem() -> str:
    """A stem of its own for an attempt of a task of a compaction; tells when it was."""
    return f"{int(time.time()):012d}-{new_attempt()}"


def sweep(layout: StoreLayout, grace_s: float = GRACE_S) -> int:
    """Delete what was replaced longer ago than the grace period, and the leftovers of interrupted compactions.

    A manifest stays as long as a file that it added, because that file counts only by it, and another grace period
    beyond its last replaced file.

    Returns:
        The number of files deleted.
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
