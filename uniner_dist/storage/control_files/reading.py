"""The one reader of control files: bytes in, a checked and frozen model out, or one error that names the file."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from uniner_dist.core.characters import visible
from uniner_dist.errors import ConfigError
from uniner_dist.storage.control_files.forms import Hash
from uniner_dist.storage.filesystem import encode_json, read_bytes, write_bytes

#: Number of problems of one file that a message names.
_SHOWN = 3
#: Most characters of a key in a message.
_KEY_CHARS = 60

_HASHES: TypeAdapter[dict[str, tuple[str, ...]]] = TypeAdapter(dict[Hash, tuple[Hash, ...]])

C = TypeVar("C", bound="ControlFile")


class ControlFileError(ConfigError):
    """A file that was read back from storage is not one that this program has written: damaged, altered or foreign."""


class ControlFile(BaseModel):
    """Base of all models: frozen, no conversion between types, no infinities; unknown keys are ignored."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", allow_inf_nan=False)


def read_control(path: str, model: type[C]) -> C:
    """Return the content of a control file, checked against its model.

    Args:
        path: URL or local path of the file.
        model: what the file has to be; unknown keys are ignored, or kept by models of records.

    Raises:
        FileNotFoundError, NotADirectoryError: it is not there.
        ControlFileError: it is anything else than a whole file of ours.
        StorageError: storage does not answer.
    """
    return parse_control(path, read_bytes(path), model)


def parse_control(path: str, data: bytes, model: type[C]) -> C:
    """Return the content of a control file that was read already, checked against its model; see `read_control`.

    Args:
        path: URL or local path that the data came from; only for messages.
        data: the whole content, JSON in UTF-8.
        model: what the content has to be.

    Raises:
        ControlFileError: it is anything else than a whole file of ours.
    """
    try:
        return model.model_validate_json(data)
    except ValidationError as error:
        problems = [_problem(item["loc"], item["msg"]) for item in error.errors(include_url=False, include_input=False)]
        shown = "; ".join(problems[:_SHOWN]) + (f"; and {len(problems) - _SHOWN:,} more" * (len(problems) > _SHOWN))
        raise ControlFileError(f"{visible(path)}: is damaged or not ours ({shown}); nothing was done with it") from None


def read_hashes(path: str) -> dict[str, tuple[str, ...]]:
    """Return one file of a list of erased documents (`storage.erased`), checked.

    Args:
        path: URL or local path of the file.

    Returns:
        Hash of a document → hashes of it with its texts; an empty tuple where no text of it was known. All hashes are
        32 hex digits.

    Raises:
        FileNotFoundError, NotADirectoryError: it is not there.
        ControlFileError: it is anything else than a whole file of ours.
        StorageError: storage does not answer.
    """
    try:
        return _HASHES.validate_json(read_bytes(path), strict=True)
    except ValidationError:
        raise ControlFileError(f"{visible(path)}: is damaged or not ours; nothing was done with it") from None


def write_control(path: str, value: ControlFile, exclusive: bool = False) -> bool:
    """Write a control file so that it appears complete or not at all.

    Args:
        path: URL or local path of the file; folders above it are made.
        value: content of the file; keys whose value is None are left out.
        exclusive: do nothing when the file already exists (put-if-absent).

    Returns:
        False when `exclusive` and the file was already there; see `storage.filesystem.write_bytes`.

    Raises:
        StorageError: it cannot be written.
    """
    return write_bytes(path, encode_control(value), exclusive)


def encode_control(value: ControlFile) -> bytes:
    """Return a control file as it is stored: indented JSON in UTF-8, without the keys whose value is None.

    Args:
        value: content of the file.
    """
    return encode_json(value.model_dump(mode="json", exclude_none=True))


def record_values(value: ControlFile) -> dict[str, object]:
    """Return a record as plain JSON values, with a key for every field; None for what the record does not know.

    Args:
        value: usually a `Record`, whose further keys of other releases are kept.
    """
    return value.model_dump(mode="json")


def encode_record(value: ControlFile) -> bytes:
    """Return a record as it is stored: JSON in UTF-8 in which every field has a key, null where it is not known.

    Args:
        value: usually a `Record`, whose further keys of other releases are kept.
    """
    return encode_json(record_values(value))


def write_record(path: str, value: ControlFile) -> None:
    """Write a record so that it appears complete or not at all, in place of an earlier one.

    Args:
        path: URL or local path of the file; folders above it are made.
        value: the record, stored as `encode_record` says.

    Raises:
        StorageError: it cannot be written.
    """
    write_bytes(path, encode_record(value))


def _problem(place: tuple[int | str, ...], message: str) -> str:
    """Describe a problem without the value, which may be long, hostile or secret."""
    keys = ".".join(visible(str(part))[:_KEY_CHARS] for part in place)
    words = message.removeprefix("Value error, ")
    return f"{keys}: {words}" if keys else words
