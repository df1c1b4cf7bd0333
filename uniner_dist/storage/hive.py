"""Names of partition folders, such as `domain=ai`, as Spark and Hive spell them. Pure; nothing is read or written."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote

#: Characters that Spark escapes in a folder's name, as a class of regular expressions (Python's and Java's).
ESCAPED: Final = r"""[\x01-\x1f"#%'*/:=?\\\x7f{\[\]^]"""

#: The folder of null. An empty value gets it too, and so reads as null.
NULL_FOLDER: Final = "__HIVE_DEFAULT_PARTITION__"

#: The longest name that common file systems allow.
MAX_BYTES: Final = 255

_ESCAPED = re.compile(ESCAPED)


def folder_name(column: str, value: str) -> str:
    """Return the name of the folder that Spark writes rows with this value of the column to.

    Args:
        column: name of the folder column, not escaped.
        value: value as a string, not escaped; the empty string gets the folder of null.
    """
    return f"{escape(column)}={escape(value) or NULL_FOLDER}"


def partition_values(path: str) -> dict[str, str | None]:
    """Return the values of the partition folders in a file's path, as column → value.

    Args:
        path: path of a file, relative to the folder that partition columns count from; folders without `=`, and the
            file's own name, are ignored.

    Returns:
        Unescaped strings in the order of the folders; None for Hive's null, and for the empty string, which has the
        same folder.
    """
    pairs = [folder.split("=", 1) for folder in path.split("/")[:-1] if "=" in folder]
    return {unquote(name): None if value in ("", NULL_FOLDER) else unquote(value) for name, value in pairs}


def is_folder_name(name: str) -> bool:
    """Return whether common file systems take a name: at most 255 bytes of UTF-8, and without a NUL.

    Args:
        name: name of one folder, as `folder_name` gives it.
    """
    return len(name.encode("utf-8", "surrogatepass")) <= MAX_BYTES and "\0" not in name


def escape(text: str) -> str:
    """Return a column's name or value as a part of a folder's name: special characters as % and two hex digits.

    Args:
        text: name or value as it is; `urllib.parse.unquote` is the inverse.
    """
    return _ESCAPED.sub(lambda match: f"%{ord(match.group()):02X}", text)
