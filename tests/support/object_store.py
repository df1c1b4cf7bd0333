"""An object store in a folder, as S3 is seen through fsspec: whole objects, put-if-absent, If-Match, no renames.

Its objects outlive the process that wrote them, so that a process may die at any of its changes. `install` lets it
answer to `s3://`, and reports every change to a recorder. Folders are only names of what is in them.
"""

from __future__ import annotations

import hashlib
import io
import os
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote, unquote

import fsspec
from fsspec import AbstractFileSystem

Change = Callable[[str, Callable[[], Any], str], Any]


class PreconditionFailedError(OSError):
    """The object is another version than the one that was named."""

    code = "PreconditionFailed"


class ObjectStore(AbstractFileSystem):  # type: ignore[misc]
    """The file system; its objects are files of one folder, named by their whole keys."""

    protocol = ("s3", "s3a")
    cachable = False
    folder: ClassVar[Path]
    change: ClassVar[Change]

    @classmethod
    def install(cls, folder: Path, change: Change | None = None) -> None:
        """Let `s3://` mean this store.

        Args:
            change: is handed each change, what it is and its key, and makes it.
        """
        folder.mkdir(parents=True, exist_ok=True)
        cls.folder, cls.change = folder, staticmethod(change or (lambda what, act, path: act()))
        for name in cls.protocol:
            fsspec.register_implementation(name, cls, clobber=True)

    def _file(self, path: str) -> Path:
        return self.folder / quote(self._strip_protocol(path), safe="")

    def _keys(self, prefix: str) -> list[str]:
        begin = self._strip_protocol(prefix).rstrip("/") + "/"
        names = (unquote(name) for name in os.listdir(self.folder) if not name.startswith("."))
        return sorted(name for name in names if name.startswith(begin))

    def _about(self, key: str) -> dict[str, Any]:
        data = self._file(key).read_bytes()
        return {"name": key, "size": len(data), "type": "file", "ETag": hashlib.md5(data).hexdigest()}

    def info(self, path: str, **options: Any) -> dict[str, Any]:
        """Of an object, or of a folder that is the begin of some."""
        key = self._strip_protocol(path)
        try:
            return self._about(key)
        except (FileNotFoundError, IsADirectoryError):
            if not self._keys(key):
                raise FileNotFoundError(path) from None
        return {"name": key, "size": 0, "type": "directory"}

    def ls(self, path: str, detail: bool = True, **options: Any) -> list[Any]:
        """What is directly in a folder."""
        key = self._strip_protocol(path).rstrip("/")
        found: dict[str, dict[str, Any]] = {}
        for name in self._keys(key):
            part, _, more = name[len(key) + 1 :].partition("/")
            child = f"{key}/{part}"
            found[child] = {"name": child, "size": 0, "type": "directory"} if more else self._about(name)
        if not found:
            raise FileNotFoundError(path)
        return list(found.values()) if detail else list(found)

    def find(self, path: str, maxdepth: int | None = None, withdirs: bool = False, **options: Any) -> Any:
        """Every object below a folder."""
        keys = self._keys(path)
        return {key: self._about(key) for key in keys} if options.get("detail") else keys

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **options: Any) -> bytes:
        """An object or a part of it."""
        return self._file(path).read_bytes()[start:end]

    def _open(self, path: str, mode: str = "rb", *arguments: Any, **options: Any) -> Any:
        assert mode == "rb"
        return io.BytesIO(self.cat_file(path))

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **options: Any) -> None:
        """Put an object, on condition that it is not there yet, or still the version `IfMatch`."""

        def put() -> None:
            file = self._file(path)
            if "IfMatch" in options and (not file.exists() or self._about(path)["ETag"] != options["IfMatch"]):
                raise PreconditionFailedError(path)
            temporary = self.folder / f".{uuid.uuid4().hex}"
            temporary.write_bytes(value)
            if mode == "create":
                try:
                    os.link(temporary, file)
                finally:
                    temporary.unlink()
            else:
                os.replace(temporary, file)

        type(self).change("put", put, path)

    def rm_file(self, path: str) -> None:
        """Delete an object; as in S3, one that is not there is no error."""
        type(self).change("delete", lambda: self._file(path).unlink(missing_ok=True), path)

    def rm(self, path: Any, recursive: bool = False, maxdepth: int | None = None) -> None:
        """Delete an object, or all below a folder, one by one."""
        keys = self._keys(path) if recursive else []
        if not keys and not self._file(path).exists():
            raise FileNotFoundError(path)
        for key in [*keys, *([self._strip_protocol(path)] if self._file(path).exists() else [])]:
            self.rm_file(key)
