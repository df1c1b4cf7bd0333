"""Compare-and-swap of small control files, by the storage's own conditional writes where it has them.

S3 compares entity tags (`If-Match`), Google's storage generations (`ifGenerationMatch`), Azure's entity tags. Elsewhere
(local disks, HDFS) the content is compared just before it is replaced: a process that is suspended exactly between
these two steps, and replaced meanwhile, could overwrite what its successor wrote. Callers hold a lease, so nothing else
can come in between.
"""

from __future__ import annotations

import hashlib
import json
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from uniner_dist.runtime.compat.storage_internals import gcs_endpoint
from uniner_dist.storage.filesystem import open_fs, read_bytes, write_bytes
from uniner_dist.storage.retries import StorageError, format_storage_error, is_storage_error, with_retries

#: Key of a file's version in fsspec's details, by storage.
_VERSION_OF = {"s3": "ETag", "gs": "generation", "az": "etag"}
_SCHEMES = {"s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs", "az": "az", "abfs": "az", "abfss": "az"}
#: Error codes of storages for an unexpected version.
_REFUSALS = ("PreconditionFailed", "ConditionalRequestConflict", "conditionNotMet", "ConditionNotMet", "412", "409")
_TRIES = 10

_in_this_process = threading.Lock()


@dataclass(frozen=True)
class Seen:
    """A file's content and its storage's identifier of this version."""

    data: bytes
    version: str


def read_version(path: str) -> Seen | None:
    """Return a file's content and its version; None when the file is not there.

    Args:
        path: URL or local path of the file. Where its storage has no versions (local disks, HDFS), the version is the
            SHA-256 of the content.

    Raises:
        StorageError: the file changed during every read, or the storage does not tell its version.
    """
    fs, stripped = open_fs(path)
    key = _VERSION_OF.get(_kind(fs))
    for _ in range(_TRIES):
        try:
            before = _version(path, fs, stripped, key)
            data = read_bytes(path)
            if key is None:
                return Seen(data, hashlib.sha256(data).hexdigest())
            if _version(path, fs, stripped, key) == before:
                return Seen(data, before)
        except (FileNotFoundError, NotADirectoryError):
            return None
    raise StorageError(f"{path}: changes all the time; another process is at work on it")


def swap(path: str, seen: Seen | None, data: bytes) -> bool:
    """Replace a file if it is still the version that was seen.

    A client sends a request again whose answer was lost, and is then refused by its own write: so one that finds just
    what it wanted to write has succeeded. Two processes that write the same content both have.

    Args:
        path: URL or local path of the file.
        seen: what `read_version` returned; None: the file must still be missing.
        data: the whole new content.

    Returns:
        False, with nothing changed, when the file is another version or, after being seen, is gone.

    Raises:
        StorageError: storage failed; the file may have been replaced.
    """
    if seen is None:
        return write_bytes(path, data, exclusive=True)
    fs, stripped = open_fs(path)
    write = _CONDITIONAL.get(_kind(fs))
    if write is None:
        with _in_this_process:
            now = read_version(path)
            return now is not None and now.version == seen.version and write_bytes(path, data)
    try:
        with_retries(path, lambda: write(fs, stripped, data, seen.version))
        return True
    except (_ConditionFailedError, FileNotFoundError, FileExistsError):
        # A request whose answer was lost is sent again by the client and then meets itself.
        now = read_version(path)
        return now is not None and now.data == data


class _ConditionFailedError(Exception):
    """The storage has another version."""


def _kind(fs: Any) -> str:
    names = [fs.protocol] if isinstance(fs.protocol, str) else list(fs.protocol)
    return next((_SCHEMES[name] for name in names if name in _SCHEMES), "")


def _version(path: str, fs: Any, stripped: str, key: str | None) -> str:
    if key is None:
        return ""
    fs.invalidate_cache()
    info = with_retries(path, lambda: fs.info(stripped))
    if not info.get(key):
        raise StorageError(f"{path}: the storage does not say which version of the file it has ({key} is missing)")
    return str(info[key])


def _put_s3(fs: Any, path: str, data: bytes, version: str) -> None:
    _refusable(lambda: fs.pipe_file(path, data, IfMatch=version))


def _put_gs(fs: Any, path: str, data: bytes, version: str) -> None:
    bucket, key, _ = fs.split_path(path)
    target = f"{gcs_endpoint(fs)}/upload/storage/v1/b/{quote(bucket)}/o"
    # In parts, as every client uploads: servers other than Google's overlook the condition of a plain upload.
    border = uuid.uuid4().hex
    about = f"--{border}\nContent-Type: application/json; charset=UTF-8\n\n{json.dumps({'name': key})}\n"
    body = f"{about}--{border}\nContent-Type: application/octet-stream\n\n".encode() + data + f"\n--{border}--".encode()
    headers = {"Content-Type": f'multipart/related; boundary="{border}"'}
    options = {"uploadType": "multipart", "ifGenerationMatch": version}
    _refusable(lambda: fs.call("POST", target, headers=headers, data=body, **options))
    fs.invalidate_cache()


def _put_az(fs: Any, path: str, data: bytes, version: str) -> None:
    from azure.core import MatchConditions

    _refusable(lambda: fs.pipe_file(path, data, etag=version, match_condition=MatchConditions.IfNotModified))


def _refusable(write: Callable[[], object]) -> None:
    try:
        write()
    except Exception as error:
        if is_storage_error(error) and _is_refusal(error):
            raise _ConditionFailedError(format_storage_error(error)) from error
        raise


def _is_refusal(error: BaseException) -> bool:
    """Return whether storage refused a write for its condition, judged by the error code of each client's exception."""
    response = getattr(error, "response", None)  # botocore's
    code = response.get("Error", {}).get("Code") if isinstance(response, dict) else None
    codes = [code, *(getattr(error, name, None) for name in ("code", "error_code", "status_code"))]
    if any(str(getattr(one, "value", one)) in _REFUSALS for one in codes if one is not None):
        return True
    return error.__cause__ is not None and _is_refusal(error.__cause__)


_CONDITIONAL: dict[str, Callable[[Any, str, bytes, str], None]] = {"s3": _put_s3, "gs": _put_gs, "az": _put_az}
