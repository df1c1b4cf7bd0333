"""Registry of the folders that an output was exported to, for erasures to visit: one small file each, next to it."""

from __future__ import annotations

from uniner_dist.core.hashing import digest
from uniner_dist.storage.containment import require_no_link
from uniner_dist.storage.control_files import Registered, read_control
from uniner_dist.storage.erased import hash_document
from uniner_dist.storage.filesystem import absolute, join, list_names, real_path, remove, write_json
from uniner_dist.storage.place_layout import OutputLayout


def register_export(output: str, folder: str) -> None:
    """Let an output know of an export before any file of it is written."""
    require_no_link(_folder(output))
    write_json(entry_of_export(output, folder), {"path": real_path(folder)})


def exports_of(output: str) -> list[str]:
    """Every folder that an output was exported to."""
    folder = _folder(output)
    names = [name for name in list_names(folder) if name.endswith(".json")]
    return sorted({read_control(join(folder, name), Registered).path for name in names})


def drop_export(output: str, folder: str) -> None:
    """Let an output no longer know of an export."""
    remove(entry_of_export(output, folder))


def entry_of_export(output: str, folder: str) -> str:
    """The file by which an output knows an export."""
    return join(_folder(output), f"{digest({'path': real_path(folder)})}.json")


def source_of(output: str, salt: str) -> str:
    """How the manifest of an export says which output it was made of, without its path."""
    return hash_document(salt, real_path(absolute(output)))


def _folder(output: str) -> str:
    return OutputLayout(real_path(absolute(output))).exports
