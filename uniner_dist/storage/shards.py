"""Reading prompts shards and committing completions files.

A completions file is the only truth about progress. It carries the shard, the row count and a checksum in its footer,
so a partial or foreign file is recognised; it appears by one atomic, exclusive step, so the first writer wins.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from uniner_dist.core.characters import visible
from uniner_dist.core.outcomes import Outcome
from uniner_dist.errors import StageError
from uniner_dist.schemas import COMPLETIONS, PROMPTS, SCHEMA_VERSION, SHARDS
from uniner_dist.storage.control_files import ControlFileError
from uniner_dist.storage.control_files.forms import SHARD, has_form
from uniner_dist.storage.filesystem import (
    copy_file,
    exists,
    join,
    list_names,
    read_bytes,
    remove,
    write_bytes,
)
from uniner_dist.storage.layout import PROMPTS_FILE, RunLayout

_PREFIX = b"uniner."
#: Offsets of 64 bits, as the outputs of a shard may exceed 2 GB together.
_BINARY = pa.large_binary()
#: Footers read at a time; on an object store each is a request of some 30 ms.
_READERS = 32
#: Bytes that are read from the end of a file to get its footer, which has some 3 kB here.
_FOOTER_BYTES = 1 << 16


def read_prompts(layout: RunLayout, shard: str) -> pa.Table:
    """Return the prompts of one shard, in order (columns of `schemas.PROMPTS`).

    Args:
        layout: paths of the run.
        shard: id of the shard.

    Raises:
        StageError: there is no such file.
    """
    try:
        data = read_bytes(prompts_file(layout, shard))
    except FileNotFoundError:
        folder = layout.prompts_folder(shard)
        raise StageError(f"shard {shard}: no prompts file in {folder}; run the prompts stage again") from None
    return _from_parquet(data).select(PROMPTS.names).cast(PROMPTS)


def prompts_file(layout: RunLayout, shard: str) -> str:
    """Return the path of the file with a shard's prompts.

    Args:
        layout: paths of the run.
        shard: id of the shard.
    """
    return join(layout.prompts_folder(shard), PROMPTS_FILE)


def read_shards(layout: RunLayout) -> pa.Table:
    """Return the manifest of stage 1: one row per shard (columns of `schemas.SHARDS`), `skipped` without nulls.

    Args:
        layout: paths of the run.

    Raises:
        FileNotFoundError: stage 1 is not done.
        ControlFileError: it is damaged, or names shards that have no name of ours and so would lead to other files.
    """
    data = read_bytes(layout.shards)
    try:
        table = _from_parquet(data)
        if "skipped" not in table.column_names:  # of an earlier release
            table = table.append_column("skipped", pa.nulls(table.num_rows, pa.int64()))
        table = table.select(SHARDS.names).cast(SHARDS)
        place = SHARDS.get_field_index("skipped")
        table = table.set_column(place, SHARDS.field(place), pc.fill_null(table["skipped"], 0))
    except (pa.ArrowException, KeyError, ValueError, OSError) as error:
        raise ControlFileError(f"{layout.shards}: is damaged or not ours ({visible(str(error))})") from None
    names, asked = table["shard"], pc.add(table["asked"], table["skipped"])
    prompts, passages = table["prompts"], table["passages"]
    sane = (
        pc.match_substring_regex(names, f"^{SHARD}$"),
        pc.greater_equal(asked, table["skipped"]),
        pc.greater(passages, 0),
        pc.greater_equal(table["skipped"], 0),
    )
    fits = pc.less_equal(asked, prompts), pc.less_equal(passages, prompts)
    if any(column.null_count for column in table.columns) or not all(
        pc.all(column, min_count=0).as_py() for column in (*sane, *fits)
    ):
        raise ControlFileError(f"{layout.shards}: names shards that are not ours, or impossible counts")
    return table


def write_shards(layout: RunLayout, table: pa.Table, exclusive: bool = False) -> bool:
    """Commit stage 1 by writing its manifest.

    Args:
        layout: paths of the run.
        table: one row per shard, with at least the columns of `schemas.SHARDS`.
        exclusive: leave a manifest that is there already as it is (put-if-absent).

    Returns:
        False when `exclusive` and another process was first.
    """
    return write_bytes(layout.shards, _to_parquet(table.select(SHARDS.names).cast(SHARDS)), exclusive)


def write_completions(path: str, shard: str, fingerprint: str, table: pa.Table, exclusive: bool = True) -> bool:
    """Commit the completions of a shard, or write answers to a part of it in the same format.

    Args:
        path: path or URL of the file to appear.
        shard: id of the shard, stamped into the footer.
        fingerprint: of the run, stamped into the footer.
        table: columns of `schemas.COMPLETIONS`, in the order of the shard's prompts; `score` may be missing.
        exclusive: leave a file that is there already as it is (put-if-absent).

    Returns:
        False when `exclusive` and another writer was first.
    """
    table = _with_all_columns(table).cast(COMPLETIONS)
    stamp = {
        "schema_version": str(SCHEMA_VERSION),
        "shard": shard,
        "fingerprint": fingerprint,
        "rows": str(table.num_rows),
        "unanswered": str(pc.sum(is_open(table), min_count=0).as_py()),
        "skipped": str(pc.sum(is_skipped(table), min_count=0).as_py()),
        "checksum": checksum(table),
    }
    metadata = {_PREFIX + key.encode(): value.encode() for key, value in stamp.items()}
    return write_bytes(path, _to_parquet(table.replace_schema_metadata(metadata)), exclusive)


def read_completions(path: str, shard: str, fingerprint: str, rows: int | None = None) -> pa.Table:
    """Return the rows of a completions file, verified against its footer (columns of `schemas.COMPLETIONS`).

    Args:
        path: path or URL of the file.
        shard: id of the shard that the footer must name.
        fingerprint: that the footer must name.
        rows: number of prompts that it must answer; None: as many as the footer says.

    Raises:
        FileNotFoundError: the file is not there.
        ForeignFileError: the file is partial, altered, or belongs to another shard, fingerprint or row count.
    """
    data = read_bytes(path)
    try:
        table = _from_parquet(data)
    except (pa.ArrowInvalid, OSError) as error:
        raise ForeignFileError(f"{path}: not a whole Parquet file: {error}") from error
    stamp = _stamp(table.schema.metadata)
    expected = {"shard": shard, "fingerprint": fingerprint, "rows": str(table.num_rows)}
    wrong = [
        f"{key} is {stamp.get(key)!r}, not {value!r}" for key, value in expected.items() if stamp.get(key) != value
    ]
    if rows is not None and table.num_rows != rows:
        wrong.append(f"holds {table.num_rows} rows of {rows}")
    if not wrong and stamp.get("checksum") != checksum(table):
        wrong.append("checksum differs")
    if wrong:
        raise ForeignFileError(f"{path}: {'; '.join(wrong)}")
    return _with_all_columns(table)


def _with_all_columns(table: pa.Table) -> pa.Table:
    """Columns of `schemas.COMPLETIONS`; without triage, and in earlier releases, there are no scores."""
    if "score" not in table.column_names:
        table = table.append_column("score", pa.nulls(table.num_rows, pa.float32()))
    return table.select(COMPLETIONS.names)


def is_skipped(completions: pa.Table) -> pa.ChunkedArray:
    """Return which prompts of some completions triage has left out: one boolean per row, without nulls.

    Args:
        completions: rows of `schemas.COMPLETIONS`.
    """
    return pc.fill_null(pc.equal(completions["error_kind"], Outcome.SKIPPED.value), False)


def is_open(completions: pa.Table) -> pa.ChunkedArray:
    """Return which prompts are to be asked, having no answer and not being skipped: one boolean per row, without nulls.

    Args:
        completions: rows of `schemas.COMPLETIONS`.
    """
    return pc.and_(pc.is_null(completions["output"]), pc.invert(is_skipped(completions)))


def committed_shards(layout: RunLayout) -> set[str]:
    """Return the ids of the shards whose completions file exists, by one listing; the files are not opened.

    Args:
        layout: paths of the run.
    """
    names = list_names(layout.completions)
    return {name.removesuffix(".parquet") for name in names if has_form(rf"{SHARD}\.parquet", name)}


def verified_shards(layout: RunLayout, prompts: Mapping[str, int], fingerprint: str) -> set[str]:
    """Return the committed shards whose footer says that they are whole and belong here; other files are removed.

    The shards of removed files are then asked again. Reads footers only, many at a time; the checksum is compared when
    the annotations stage reads the rows.

    Args:
        layout: paths of the run.
        prompts: shard → number of prompts, as in the manifest; committed files of other shards are left alone.
        fingerprint: that the footers must name.
    """
    present = sorted(committed_shards(layout) & prompts.keys())
    with ThreadPoolExecutor(_READERS) as readers:
        stamps = list(readers.map(lambda shard: read_stamp(layout.completions_file(shard)), present))
    verified = set()
    for shard, stamp in zip(present, stamps, strict=True):
        wanted = {"shard": shard, "fingerprint": fingerprint, "rows": str(prompts[shard])}
        if wanted.items() <= stamp.items():
            verified.add(shard)
        else:
            remove(layout.completions_file(shard))
    return verified


def reopen_unanswered(
    layout: RunLayout, shards: Iterable[str], check: Callable[[], None] = lambda: None, skipped: bool = False
) -> list[str]:
    """Take back the commit of shards with unanswered prompts, keeping their answers so that only the rest is asked.

    A shard whose commit was taken back is not looked at again, so this may be interrupted and repeated.

    Args:
        layout: paths of the run.
        shards: ids to look at; those without a committed file are passed over.
        check: called before each shard; raises when this process may not go on.
        skipped: take back those with prompts that triage has skipped, and have these asked.

    Returns:
        Ids of the shards that were taken back, sorted.
    """
    wanted = "skipped" if skipped else "unanswered"
    present = sorted(committed_shards(layout) & set(shards))
    with ThreadPoolExecutor(_READERS) as readers:
        stamps = list(readers.map(lambda shard: read_stamp(layout.completions_file(shard)), present))
    reopened = [shard for shard, stamp in zip(present, stamps, strict=True) if stamp.get(wanted, "0") != "0"]
    for shard, stamp in zip(present, stamps, strict=True):
        if shard not in reopened:
            continue
        check()
        remove(join(layout.parts, shard))
        if skipped:
            _keep_but_skipped(layout, shard, stamp.get("fingerprint", ""))
        else:
            copy_file(layout.completions_file(shard), layout.known_file(shard))
        remove(layout.completions_file(shard))
    return reopened


def any_skipped(layout: RunLayout, shards: Iterable[str]) -> bool:
    """Return whether triage has skipped any prompt of some committed shards, by their footers.

    Args:
        layout: paths of the run.
        shards: ids of shards; one without a whole completions file counts as one without skipped prompts.
    """
    with ThreadPoolExecutor(_READERS) as readers:
        stamps = readers.map(lambda shard: read_stamp(layout.completions_file(shard)), shards)
        return any(stamp.get("skipped", "0") != "0" for stamp in stamps)


def _keep_but_skipped(layout: RunLayout, shard: str, fingerprint: str) -> None:
    """Keep the shard's answers as known ones; prompts that were skipped, or have failed, are open again."""
    table = read_completions(layout.completions_file(shard), shard, fingerprint)
    was = is_skipped(table)
    for name in ("error_kind", "score"):
        place = table.schema.get_field_index(name)
        kept = pc.if_else(was, pa.scalar(None, table.schema.field(name).type), table[name])
        table = table.set_column(place, table.schema.field(name), kept)
    write_completions(layout.known_file(shard), shard, fingerprint, table, exclusive=False)


def shards_with_cached_answers(layout: RunLayout) -> frozenset[str]:
    """Return the ids of shards some of whose answers are known: from the store, or from an earlier file of their own.

    Args:
        layout: paths of the run.
    """
    shards = [name for name in list_names(layout.parts) if has_form(SHARD, name)]
    with ThreadPoolExecutor(_READERS) as readers:
        known = readers.map(lambda shard: exists(layout.known_file(shard)), shards)
    return frozenset(shard for shard, there in zip(shards, known, strict=True) if there)


def read_stamp(path: str) -> dict[str, str]:
    """Read only the stamp in the footer of a completions file.

    Args:
        path: path or URL of the file.

    Returns:
        What `write_completions` stamps (shard, fingerprint, rows, unanswered, skipped, checksum, …), all values as
        text; empty for a file that is missing or not whole Parquet.
    """
    try:
        footer = read_bytes(path, last=_FOOTER_BYTES)
    except FileNotFoundError:
        return {}
    try:
        return _stamp(pq.ParquetFile(io.BytesIO(footer)).schema_arrow.metadata)
    except (pa.ArrowInvalid, OSError):
        return {}


def checksum(table: pa.Table) -> str:
    """Return a digest of the keys, outputs and errors, 32 hex digits, independent of chunking and compression.

    It is SHA-256, cut to 128 bits, over each value after its length in 8 bytes, column by column.

    Args:
        table: rows of `schemas.COMPLETIONS`, in the order of the shard's prompts.
    """
    hasher = hashlib.sha256()
    for name in ("passage_id", "entity_type", "output", "error"):
        for chunk in table.column(name).chunks:
            if len(chunk):
                hasher.update(_with_lengths(chunk))
    return hasher.hexdigest()[:32]


def _with_lengths(strings: pa.Array) -> Any:
    """Every value after its length in 8 bytes; null is the byte 0xff, which no string consists of."""
    values = pc.fill_null(strings.cast(_BINARY), b"\xff")
    lengths = pc.binary_length(values).to_numpy().astype("<u8")
    prefixes = pa.FixedSizeBinaryArray.from_buffers(pa.binary(8), len(values), [None, pa.py_buffer(lengths)])
    joined = pc.binary_join_element_wise(prefixes.cast(_BINARY), values, pa.scalar(b"", _BINARY))
    return memoryview(joined.buffers()[2])[: 8 * len(values) + int(lengths.sum())]


class ForeignFileError(StageError):
    """The file of a committed shard is partial, altered or of another run."""


def _stamp(metadata: dict[bytes, bytes] | None) -> dict[str, str]:
    pairs = (metadata or {}).items()
    ours = ((key.removeprefix(_PREFIX), value) for key, value in pairs if key.startswith(_PREFIX))
    return {key.decode(errors="replace"): value.decode(errors="replace") for key, value in ours}


def _from_parquet(data: bytes) -> pa.Table:
    """Without Arrow's threads: a process that ended soon after them was aborted in 3 of 40 cases (pyarrow 26)."""
    return pq.ParquetFile(io.BytesIO(data), pre_buffer=False).read(use_threads=False)


def _to_parquet(table: pa.Table) -> bytes:
    buffer: Any = pa.BufferOutputStream()
    pq.write_table(table, buffer, compression="zstd")
    return bytes(buffer.getvalue())
