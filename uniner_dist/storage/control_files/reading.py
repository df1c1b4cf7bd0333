"""The one reader of control files: bytes in, a checked and frozen model out, or one error that names the file."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from uniner_dist.core.characters import visible
from uniner_dist.errors import ConfigError
from uniner_dist.storage.control_files.forms import Hash
from uniner_dist.storage.filesystem import encode_json, read_bytes, write_bytes

#: Problems of one file that are named.
_SHOWN = 3
#: Longest name of a key in a message.
_KEY_CHARS = 60

_HASHES: TypeAdapter[dict[str, tuple[str, ...]]] = TypeAdapter(dict[Hash, tuple[Hash, ...]])

C = TypeVar("C", bound="ControlFile")


class ControlFileError(ConfigError):
    """A file that was read back from storage is not one that this program has written: damaged, altered or foreign."""


class ControlFile(BaseModel):
    """Base of all models: frozen, no conversion between types, no infinities; unknown keys are passed over."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", allow_inf_nan=False)


def read_control(path: str, model: type[C]) -> C:
    """A control file, checked.

    Args:
        path: the file.
        model: what it has to be.

    Raises:
        FileNotFoundError, NotADirectoryError: it is not there.
        ControlFileError: it is anything else than a whole file of ours.
    """
    return parse_control(path, read_bytes(path), model)


def parse_control(path: str, data: bytes, model: type[C]) -> C:
    """The content of a control file, checked; see `read_control`.

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
    """A file of a list of erased documents: hash → hashes; raises as `read_control` does."""
    try:
        return _HASHES.validate_json(read_bytes(path), strict=True)
    except ValidationError:
        raise ControlFileError(f"{visible(path)}: is damaged or not ours; nothing was done with it") from None


def write_control(path: str, value: ControlFile, exclusive: bool = False) -> bool:
    """Write a control file atomically; False when `exclusive` and there was one already."""
    return write_bytes(path, encode_control(value), exclusive)


def encode_control(value: ControlFile) -> bytes:
    """A control file as it is stored."""
    return encode_json(value.model_dump(mode="json", exclude_none=True))


def record_values(value: ControlFile) -> dict[str, object]:
    """A record as plain JSON values, with a key for everything that it does not know."""
    return value.model_dump(mode="json")


def encode_record(value: ControlFile) -> bytes:
    """A record as it is stored: whoever reads it finds every key."""
    return encode_json(record_values(value))


def write_record(path: str, value: ControlFile) -> None:
    """Write a record atomically."""
    write_bytes(path, encode_record(value))


def _problem(place: tuple[int | str, ...], message: str) -> str:
    """Without the value, which may be long, hostile or secret."""
    keys = ".".join(visible(str(part))[:_KEY_CHARS] for part in place)
    words = message.removeprefix("Value error, ")
    return f"{keys}: {words}" if keys else words
