"""Names of partition folders, such as `domain=ai`, as Spark and Hive spell them. Pure; nothing is read or written."""

from __future__ import annotations

import re
from typing import Final

#: Characters that Spark escapes in a folder's name, as a class of regular expressions (Python's and Java's).
ESCAPED: Final = r"""[\x01-\x1f"#%'*/:=?\\\x7f{\[\]^]"""

#: The folder of null. An empty value gets it too, and so reads as null.
NULL_FOLDER: Final = "__HIVE_DEFAULT_PARTITION__"

#: The longest name that common file systems allow.
MAX_BYTES: Final = 255

_ESCAPED = re.compile(ESCAPED)


def folder_name(column: str, value: str) -> str:
    """The folder that Spark writes rows with this value of the column to."""
    return f"{_escape(column)}={_escape(value) or NULL_FOLDER}"


def is_folder_name(name: str) -> bool:
    """Whether a file system takes it: not too long, and without a NUL."""
    return len(name.encode("utf-8", "surrogatepass")) <= MAX_BYTES and "\0" not in name


def _escape(text: str) -> str:
    return _ESCAPED.sub(lambda match: f"%{ord(match.group()):02X}", text)
