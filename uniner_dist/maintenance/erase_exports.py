"""Erasure from exports: one that has a document is removed as a whole, unless people have worked in it.

An export can be made again, from an output that no longer has the document; single documents cannot be cut out of its
files, whose formats are made for other programs. Which documents it has is recorded in its lists of salted hashes,
written before the files.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from uniner_dist.errors import ConfigError
from uniner_dist.export.ownership import MANIFEST, changed_files, clear_folder, has_documents
from uniner_dist.export.registry import drop_export, entry_of_export, exports_of, source_of
from uniner_dist.storage.commit import Check
from uniner_dist.storage.control_files import ExportManifest, read_control
from uniner_dist.storage.filesystem import exists, join, remove_if_empty
from uniner_dist.storage.retries import StorageError


@dataclass
class ErasedExports:
    """What became of exports.

    Attributes:
        removed: folders of exports that were removed.
        left: one sentence for each export that still has, or may have, one of the documents.
    """

    removed: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)


def erase_from_exports(output: str, doc_ids: Collection[str], check: Check) -> ErasedExports:
    """Erase documents from every export of an output.

    Args:
        output: path or URL of the published dataset, next to which its exports are registered.
        doc_ids: ids of the documents, as strings.
        check: called before every export; raises when this process may not go on.

    Returns:
        The exports that were removed, and those that could not be.
    """
    found = ErasedExports()
    for folder in exports_of(output):
        check()
        try:
            _erase(output, folder, doc_ids, found)
        except (StorageError, ConfigError) as error:
            found.left.append(f"export {folder} cannot be read: {error}")
    return found


def _erase(output: str, folder: str, doc_ids: Collection[str], found: ErasedExports) -> None:
    entry = entry_of_export(output, folder)
    if not exists(folder):
        if exists(folder.rpartition("/")[0]) or "://" in folder:  # somebody removed it
            drop_export(output, folder)
        else:
            found.left.append(f"export {folder} is not there (if it is gone for good, remove {entry})")
        return
    if not exists(join(folder, MANIFEST)):  # another folder by now, or it was removed already
        return
    manifest = read_control(join(folder, MANIFEST), ExportManifest)
    if manifest.source != source_of(output, manifest.salt):
        # Whoever may write next to an output can name any folder there, but cannot make its manifest agree.
        entries = entry.rpartition("/")[0]
        found.left.append(f"export {folder} does not say that it is of {output}; remove it, or its entry in {entries}")
    elif not manifest.complete:
        found.left.append(f"export {folder} is being written, or was cut off; export again or remove it")
    elif has_documents(folder, manifest.salt, doc_ids):
        changed = next(changed_files(folder), None)
        if changed is not None:
            found.left.append(f"export {folder} has some of them, and people worked in it ({changed} …); remove it")
            return
        clear_folder(folder)
        remove_if_empty(folder)
        found.removed.append(folder)
