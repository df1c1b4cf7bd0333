"""Erasure in a published dataset, by the same journal and flip as a publication: no reader meets half a file.

Enters: an output and ids. Leaves: the output without any row of these documents, whichever run published it.
"""

from __future__ import annotations

import hashlib
import io
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from uniner_dist.annotations.publication import changes_by_folder, finish_other, flip
from uniner_dist.storage.commit import lock_output
from uniner_dist.storage.filesystem import find_files, join, read_bytes, remove, remove_litter, write_bytes, write_json
from uniner_dist.storage.layout import WorkdirLayout
from uniner_dist.storage.marker import read_marker
from uniner_dist.storage.parquet_rows import Positions, find_rows, without_rows

_READERS = 16
#: A file without its name yet that is so old is nobody's any more.
LITTER_S = 3600.0


def forget_in_output(output: str, ids: pa.Array, workdir: str) -> int:
    """Erase documents from a published dataset; returns how many rows they had.

    Args:
        workdir: where the journal and the rewritten files stand meanwhile.
    """
    with lock_output(output):
        marker = read_marker(output)
        if marker is None:
            return 0
        marker = finish_other(output, marker)
        remove_litter(output, older_than_s=LITTER_S)
        found = _find(output, marker["id_column"], ids)
        if found:
            folder = join(WorkdirLayout(workdir).erasing, uuid.uuid4().hex[:12])
            journal = join(folder, "journal.json")
            write_json(journal, _plan(output, marker, found, folder))
            flip(output, marker, journal)
            remove(folder)
    return sum(len(rows) for rows in found.values())


def _find(output: str, id_column: str, ids: pa.Array) -> dict[str, Positions]:
    """File of the output → positions of rows, for files that have any."""
    files = sorted(find_files(output, ".parquet"))
    with ThreadPoolExecutor(_READERS) as readers:
        found = readers.map(lambda file: find_rows(join(output, file), [id_column], ids)[1], files)
    return {file: rows for file, rows in zip(files, found, strict=True) if len(rows)}


def _plan(output: str, marker: dict[str, Any], found: dict[str, Positions], folder: str) -> dict[str, Any]:
    """The journal, and the files that it wants to appear."""
    nonce, add = folder.rsplit("/", 1)[-1], {}
    for file, rows in found.items():
        data, kept = without_rows(read_bytes(join(output, file)), rows)
        if kept:
            name = f"part-{nonce}-{hashlib.sha256(file.encode()).hexdigest()[:12]}.parquet"
            place = "/".join([*file.split("/")[:-1], name])
            add[place] = join(folder, place)
            write_bytes(add[place], data)
    placeholder = marker.get("placeholder")
    if not add and not placeholder and found.keys() == set(find_files(output, ".parquet")):
        placeholder = f"part-{nonce}-empty.parquet"
        add[placeholder] = join(folder, placeholder)
        write_bytes(add[placeholder], _empty(output, marker, next(iter(found))))
    changes = changes_by_folder(add, list(found))
    return {
        "run_id": nonce,
        "changes": [change.to_json() for change in changes],
        "placeholder": placeholder,
        "entry": None,
    }


def _empty(output: str, marker: dict[str, Any], file: str) -> bytes:
    """A file without rows that has all columns, those of the folders too."""
    # Without metadata: Spark's own says that a file has no columns but the ones it had.
    schema = pq.read_schema(io.BytesIO(read_bytes(join(output, file)))).remove_metadata()
    for name in marker["partition_by"]:
        schema = schema if name in schema.names else schema.append(pa.field(name, pa.string()))
    buffer = io.BytesIO()
    pq.write_table(schema.empty_table(), buffer)
    return buffer.getvalue()
