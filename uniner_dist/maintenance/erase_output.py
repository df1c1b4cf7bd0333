"""Erasure in a published dataset, by a journal as for a publication: no reader sees half a file.

Removes every row of the documents, whichever run published it.
"""

from __future__ import annotations

import hashlib
import io
import uuid
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pyarrow.parquet as pq

from uniner_dist.annotations.journal import carry_out, changes_by_folder, finish_begun
from uniner_dist.storage.commit import WAIT_S, Check, always
from uniner_dist.storage.control_files import Journal, Marker, write_control
from uniner_dist.storage.filesystem import (
    find_files,
    join,
    read_bytes,
    remove,
    write_bytes,
)
from uniner_dist.storage.lease import hold_lease
from uniner_dist.storage.marker import read_marker, read_marker_version
from uniner_dist.storage.marker_file import columns_of, placeholder_path
from uniner_dist.storage.parquet_rows import Positions, find_rows, without_rows
from uniner_dist.storage.place_layout import OutputLayout, WorkdirLayout
from uniner_dist.storage.stale_files import remove_stale_temporary

_READERS = 16


def erase_from_output(output: str, ids: pa.Array, workdir: str, check: Check = always) -> int:
    """Erase documents from a published dataset, after a change that was cut off there has been finished.

    Args:
        output: path or URL of the published dataset.
        ids: as strings, whatever the type of the id column.
        workdir: path or URL of the workdir, where the journal and the rewritten files are meanwhile.
        check: called before every step that others can see; raises when this process may not go on.

    Returns:
        How many rows the documents had; 0 for a folder without a marker.

    Raises:
        RunHeldError: another process changes the output and does not finish within `WAIT_S` seconds.
        StageError: the journal of a publication that was cut off is gone, or another process changed the output.
    """
    with hold_lease(OutputLayout(output), wait_s=WAIT_S) as lease:

        def may_go_on() -> None:
            check()
            lease.check()

        if read_marker(output) is None:
            return 0
        token, before = f"{lease.generation:06d}", read_marker_version(output)
        if before is None:
            return 0
        state = finish_begun(output, before, workdir, token, may_go_on)
        remove_stale_temporary(output)
        found = _find(output, state.marker.id_column, ids)
        if found:
            folder = join(WorkdirLayout(workdir).rewritten, uuid.uuid4().hex[:12])
            path = join(folder, "journal.json")
            write_control(path, _plan(output, state.marker, found, folder))
            carry_out(output, state, path, workdir, token, may_go_on)
            remove(folder)
    return sum(len(rows) for rows in found.values())


def _find(output: str, id_column: str, ids: pa.Array) -> dict[str, Positions]:
    """File of the output → positions of rows, for files that have any."""
    files = sorted(find_files(output, ".parquet"))
    with ThreadPoolExecutor(_READERS) as readers:
        found = readers.map(lambda file: find_rows(join(output, file), [id_column], ids)[1], files)
    return {file: rows for file, rows in zip(files, found, strict=True) if len(rows)}


def _plan(output: str, marker: Marker, found: dict[str, Positions], folder: str) -> Journal:
    """The journal, and the new files that it names."""
    nonce, add = folder.rsplit("/", 1)[-1], dict[str, str]()
    for file, rows in found.items():
        data, kept = without_rows(read_bytes(join(output, file)), rows)
        if kept:
            name = f"part-{nonce}-{hashlib.sha256(file.encode()).hexdigest()[:12]}.parquet"
            place = "/".join([*file.split("/")[:-1], name])
            add[place] = join(folder, place)
            write_bytes(add[place], data)
    placeholder = marker.placeholder
    if not add and not placeholder and found.keys() == set(find_files(output, ".parquet")):
        placeholder = f"part-{nonce}-empty.parquet"
        file = placeholder_path(marker.partition_by, placeholder)
        add[file] = join(folder, placeholder)
        write_bytes(add[file], _empty(output, next(iter(found))))
    return Journal(run_id=nonce, changes=changes_by_folder(add, list(found)), placeholder=placeholder)


def _empty(output: str, file: str) -> bytes:
    """A file without rows that has the columns of another."""
    buffer = io.BytesIO()
    pq.write_table(columns_of(join(output, file)).empty_table(), buffer)
    return buffer.getvalue()
