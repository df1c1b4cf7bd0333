"""Registry of the folders that an output was exported to, for erasures to visit: a file each, next to the output."""

from __future__ import annotations

from uniner_dist.core.hashing import digest
from uniner_dist.storage.containment import require_no_link
from uniner_dist.storage.control_files import Registered, read_control
from uniner_dist.storage.erased import hash_document
from uniner_dist.storage.filesystem import absolute, join, list_names, real_path, remove, write_json
from uniner_dist.storage.place_layout import OutputLayout


def register_export(output: str, folder: str) -> None:
    """Enter an export into an output's registry, before any file of the export is written.

    Args:
        output: path or URL of the published output.
        folder: path or URL of the export.

    Raises:
        ConfigError: the registry's folder is a link.
        StorageError: the registry cannot be written.
    """
    require_no_link(_folder(output))
    write_json(entry_of_export(output, folder), {"path": real_path(folder)})


def exports_of(output: str) -> list[str]:
    """Return every folder that an output was exported to, as real paths or URLs, sorted.

    Args:
        output: path or URL of the published output.

    Raises:
        ControlFileError: an entry of the registry is damaged.
    """
    folder = _folder(output)
    names = [name for name in list_names(folder) if name.endswith(".json")]
    return sorted({read_control(join(folder, name), Registered).path for name in names})


def drop_export(output: str, folder: str) -> None:
    """Remove an export from an output's registry; the export itself is not touched.

    Args:
        output: path or URL of the published output.
        folder: path or URL of the export.
    """
    remove(entry_of_export(output, folder))


def entry_of_export(output: str, folder: str) -> str:
    """Return the path of an export's entry in an output's registry, whether it exists or not.

    Args:
        output: path or URL of the published output.
        folder: path or URL of the export.
    """
    return join(_folder(output), f"{digest({'path': real_path(folder)})}.json")


def source_of(output: str, salt: str) -> str:
    """Return the value by which the manifest of an export names its output without showing its path: a salted hash.

    Args:
        output: path or URL of the published output.
        salt: salt of the export, in its manifest.
    """
    return hash_document(salt, real_path(absolute(output)))


def _folder(output: str) -> str:
    return OutputLayout(real_path(absolute(output))).exports
