"""The store of answers: whatever was ever answered under a fingerprint, for any run that asks the same again.

Enters: the completions of a shard, just before they are committed. Leaves: one small file of cells per shard, and for
readers the list of files that count. Files appear whole and are never changed. A cell may stand in several files; its
answer is the same in all of them. `uniner_dist.maintenance` makes many files few and takes documents out.
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

from uniner_dist.schemas import CELLS, SCHEMA_VERSION
from uniner_dist.storage.filesystem import join, list_names, read_json, remove, write_bytes, write_json
from uniner_dist.storage.layout import StoreLayout
from uniner_dist.storage.shards import checksum

#: Names of files written by a compaction begin so; they count only once a manifest names them.
COMPACTED = "compacted-"
#: What a compaction has replaced is deleted by one that comes so much later: readers have listed their files before.
GRACE_S = 24 * 3600.0


@dataclass(frozen=True)
class Manifest:
    """One change of the store's files: what came, and what it took the place of; names in the `cells` folder."""

    name: str
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
    names = [name for name in list_names(layout.cells) if name.endswith(".parquet")]
    return [name for name in names if name not in replaced and (name in added or not name.startswith(COMPACTED))]


def is_empty(layout: StoreLayout) -> bool:
    """Whether there is nothing to reuse."""
    return not list_names(layout.cells)


def read_manifests(layout: StoreLayout) -> list[Manifest]:
    """Every change of the store's files that is remembered, oldest first."""
    names = [name for name in list_names(layout.manifests) if name.endswith(".json")]
    values = ((name, read_json(join(layout.manifests, name))) for name in names)
    found = [Manifest(n, v["at"], frozenset(v["added"]), frozenset(v["replaced"])) for n, v in values]
    return sorted(found, key=lambda manifest: (manifest.at, manifest.name))


def write_manifest(layout: StoreLayout, added: Iterable[str], replaced: Iterable[str]) -> None:
    """Let the `added` files take the place of the `replaced` ones, for readers from now on."""
    at = time.time()
    value = {"at": at, "added": sorted(added), "replaced": sorted(replaced)}
    write_json(join(layout.manifests, f"{at:017.6f}-{uuid.uuid4().hex[:8]}.json"), value)


def list_stores(store: str) -> list[StoreLayout]:
    """The store's parts: one per fingerprint."""
    return [StoreLayout(store, name) for name in list_names(store)]


def compacted_name(stem: str, number: int) -> str:
    """Name of a file that a compaction writes, from the stem of that compaction."""
    return f"{COMPACTED}{stem}-{number:05d}.parquet"


def compaction_stem() -> str:
    """A stem of its own for a compaction; tells when it was."""
    return f"{int(time.time()):012d}-{uuid.uuid4().hex[:8]}"


def sweep(layout: StoreLayout, grace_s: float = GRACE_S) -> int:
    """Delete what was replaced longer ago than the grace period, and what broken-off compactions left behind.

    A manifest stays as long as a file that it added, because that file counts only by it, and another grace period
    beyond its last replaced file.

    Returns:
        The number of files deleted.
    """
    now, manifests = time.time(), read_manifests(layout)
    present = {name for name in list_names(layout.cells) if name.endswith(".parquet")}
    old = [manifest for manifest in manifests if manifest.at <= now - grace_s]
    replaced = frozenset().union(*(manifest.replaced for manifest in old))
    added = frozenset().union(*(manifest.added for manifest in manifests))
    stale = {name for name in present - added if name.startswith(COMPACTED) and _written_at(name) <= now - grace_s}
    gone = (replaced & present) | stale
    for name in sorted(gone):
        remove(join(layout.cells, name))
    for manifest in old:
        if manifest.at <= now - 2 * grace_s and not present & (manifest.added | manifest.replaced):
            remove(join(layout.manifests, manifest.name))
    return len(gone)


def _written_at(name: str) -> float:
    return float(name.removeprefix(COMPACTED).split("-", 1)[0])
