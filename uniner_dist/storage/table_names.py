"""Corpora that are named as tables: by a catalog's name, or by a metadata file. Pure."""

from __future__ import annotations

import re
from typing import Final

#: How the name of a table in a catalog begins: `table:catalog.schema.name`.
TABLE: Final = "table:"
#: The metadata of an Iceberg table.
METADATA_FILE: Final = re.compile(r"\.metadata\.json(\.gz)?$")


def is_table_name(path: str) -> bool:
    """Return whether a corpus is named by a catalog's name instead of a path.

    Args:
        path: the corpus as the user gave it.
    """
    return path.startswith(TABLE)


def name_parts(path: str) -> tuple[str, ...]:
    """Return the parts of a table's name, such as catalog, schema and name; parts with dots are in backquotes.

    Args:
        path: the name, with or without `table:` in front.
    """
    found = re.findall(r"`((?:[^`]|``)+)`|([^.`]+)", path.removeprefix(TABLE))
    return tuple(quoted.replace("``", "`") or plain for quoted, plain in found)


def table_root(path: str) -> str:
    """Return the folder of a table whose metadata file is given; any other path as it is.

    Args:
        path: path or URL of a corpus, or the name of a table.
    """
    folder, _, _ = path.rpartition("/metadata/") if METADATA_FILE.search(path) else ("", "", "")
    return folder or path


def without_java_scheme(location: str) -> str:
    """Return a local path that Java spells as `file:/x` as a path; any other location as it is.

    Args:
        location: path or URL from the metadata of a table or from a catalog.
    """
    return re.sub(r"^file:/+", "/", location)
