"""Corpora that are named as tables: by a catalog's name, or by a metadata file. Pure."""

from __future__ import annotations

import re
from typing import Final

#: How the name of a table in a catalog begins: `table:catalog.schema.name`.
TABLE: Final = "table:"
#: The metadata of an Iceberg table.
METADATA_FILE: Final = re.compile(r"\.metadata\.json(\.gz)?$")


def is_table_name(path: str) -> bool:
    """Whether a corpus is named by a catalog's name instead of a path."""
    return path.startswith(TABLE)


def name_parts(path: str) -> tuple[str, ...]:
    """Catalog, schema and name of a table, as its name has them; parts with dots are in backquotes."""
    found = re.findall(r"`((?:[^`]|``)+)`|([^.`]+)", path.removeprefix(TABLE))
    return tuple(quoted.replace("``", "`") or plain for quoted, plain in found)


def table_root(path: str) -> str:
    """The folder of a table whose metadata file is given; any other path as it is."""
    folder, _, _ = path.rpartition("/metadata/") if METADATA_FILE.search(path) else ("", "", "")
    return folder or path


def without_java_scheme(location: str) -> str:
    """A local path that Java spells as `file:/x`, as a path; any other location as it is."""
    return re.sub(r"^file:/+", "/", location)
