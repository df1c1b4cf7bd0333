"""Reads the small text files that a configuration names: YAML, and lists of entity types.

Opens only what `config.schemes` accepts. Every failure is a `ValueError` with the option and the path, and without
passwords.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable
from typing import TypeVar

from uniner_dist.config.schemes import check_scheme
from uniner_dist.config.secrets import PASSWORD, SIGNED
from uniner_dist.runtime.engines import format_import_error

T = TypeVar("T")


def read_text_file(option: str, path: str, parse: Callable[[str], T]) -> T:
    """Return what a parser makes of a text file in UTF-8, with or without a byte order mark.

    Args:
        option: what messages begin with, directly before the path: `"--config "` or `"@"`.
        path: local path or URL.
        parse: takes the whole text.

    Raises:
        ValueError: the file is not there, cannot be read or parsed, or may not be opened.
    """
    import fsspec

    if PASSWORD.search(path) or SIGNED.search(path):
        raise ValueError(f"{option}…: has a password or a signature in its URL; give these by environment variables")
    try:
        check_scheme(path)
        with fsspec.open(path, "r", encoding="utf-8-sig") as stream:
            return parse(stream.read())
    except FileNotFoundError:
        raise ValueError(f"{option}{path}: is not there") from None
    except Exception as error:  # stores have exceptions of their own, such as that there are no credentials
        raise ValueError(f"{option}{path}: cannot be read: {_problem(error)}") from error


def _problem(error: Exception) -> str:
    """What is wrong with a file, and where in it, in one line."""
    if isinstance(error, UnicodeDecodeError):
        is_wide = bytes(error.object[:2]) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
        return "it is UTF-16; save it as UTF-8" if is_wide else f"it is not UTF-8 (at byte {error.start + 1})"
    if isinstance(error, IsADirectoryError):
        return "it is a folder; name a file"
    if isinstance(error, ImportError):
        return format_import_error(error)
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        return " ".join((getattr(error, "strerror", None) or str(error) or type(error).__name__).split())
    return f"line {mark.line + 1}, column {mark.column + 1}: {' '.join(str(getattr(error, 'problem', error)).split())}"
