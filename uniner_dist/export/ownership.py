"""Which files of an export are as they were exported: checked by content hash, so that corrections are never destroyed.

Every task lists its files with their hashes before it writes them (`_export/…`, in the form of `sha256sum`), and the
documents in them by salted hashes, so that an erasure can find out whether an export has a document. A file with
another hash, or in no list, is a user's work.

A task may be tried again, or run twice at the same time: each attempt has a stem of its own, and the manifest names
those that count.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from uniner_dist.core.characters import visible
from uniner_dist.errors import ConfigError
from uniner_dist.storage.containment import is_link, require_inside
from uniner_dist.storage.control_files import ControlFileError, ExportManifest, read_control
from uniner_dist.storage.control_files.forms import EXPORTED_FILE, EXPORTED_STEM, HASH, has_form
from uniner_dist.storage.erased import hash_document
from uniner_dist.storage.filesystem import (
    exists,
    find_files,
    join,
    list_names,
    read_bytes,
    remove,
    write_bytes,
)
from uniner_dist.storage.stale_files import remove_stale_temporary

#: Written first, which marks a folder as an export of this project, and again last, with what is in it.
MANIFEST: Final = "export.json"
#: Folder of the lists; readers of the export skip names that begin with an underscore.
LISTS: Final = "_export"
#: Ends of the names of lists: of files, and of documents.
_FILES, _DOCUMENTS = ".sha256", ".documents"
_READERS: Final = 8
#: Files named in a message.
_EXAMPLES: Final = 3


def write_files(folder: str, name: str, files: Iterable[tuple[str, bytes]]) -> int:
    """Write files below an export's folder, their list first.

    Args:
        folder: path or URL of the export.
        name: name of the list: the stem of the files, or `extras`.
        files: (path relative to the folder, content) of each.

    Returns:
        The number of files.
    """
    found = list(files)
    lines = [f"{_hash(content)}  {path}\n" for path, content in found]
    write_bytes(join(folder, LISTS, f"{name}{_FILES}"), "".join(lines).encode())
    for path, content in found:
        write_bytes(join(folder, path), content)
    return len(found)


def list_documents(folder: str, name: str, salt: str, doc_ids: Iterable[str]) -> None:
    """List the documents of files that are about to be written, without their ids.

    Args:
        folder: path or URL of the export.
        name: name of the list of these files, their stem.
        salt: salt of the export, in its manifest.
        doc_ids: document ids as strings; only their salted hashes are written.
    """
    lines = [f"{hash_document(salt, doc_id)}\n" for doc_id in doc_ids]
    write_bytes(join(folder, LISTS, f"{name}{_DOCUMENTS}"), "".join(lines).encode())


def has_documents(folder: str, salt: str, doc_ids: Iterable[str]) -> bool:
    """Return whether an export has, or was about to get, any of the given documents.

    Args:
        folder: path or URL of the export.
        salt: salt of the export, in its manifest.
        doc_ids: document ids as strings.

    Raises:
        ControlFileError: a list of documents is damaged or gone, so that the answer is unknown.
    """
    wanted = {hash_document(salt, doc_id) for doc_id in doc_ids}
    stems = [name.removesuffix(_FILES) for name in list_names(join(folder, LISTS)) if name.endswith(_FILES)]
    names = {f"{stem}{_DOCUMENTS}" for stem in stems if has_form(EXPORTED_STEM, stem)}
    names |= {name for name in list_names(join(folder, LISTS)) if name.endswith(_DOCUMENTS)}
    with ThreadPoolExecutor(_READERS) as pool:
        lists = pool.map(lambda name: _documents(join(folder, LISTS, name)), sorted(names))
        found = [not wanted.isdisjoint(listed) for listed in lists]  # all of them are looked at: each may be damaged
        return any(found)


def _documents(path: str) -> list[str]:
    """The hashes of a list of documents."""
    try:
        listed = read_bytes(path).decode("ascii", "replace").split("\n")
    except FileNotFoundError:
        raise ControlFileError(f"{visible(path)}: is gone; nobody can tell which documents are in its files") from None
    if listed.pop() or not all(has_form(HASH, one) for one in listed):
        raise ControlFileError(f"{visible(path)}: is damaged or not ours; nothing was done with it")
    return listed


def keep_only(folder: str, names: Collection[str]) -> None:
    """Remove the files of attempts of tasks that do not count.

    Args:
        folder: path or URL of the export.
        names: names of the lists that count, without endings.
    """
    lists = [one for one in list_names(join(folder, LISTS)) if one.endswith(_FILES)]
    for listed in lists:
        if listed.removesuffix(_FILES) not in names:
            for path, _ in _listed(folder, listed):
                require_inside(join(folder, path), folder, join(folder, LISTS, listed))
                remove(join(folder, path))
            remove(join(folder, LISTS, listed.removesuffix(_FILES) + _DOCUMENTS))
            remove(join(folder, LISTS, listed))


def check_folder(folder: str, *, replace: bool) -> None:
    """Check that a folder may be exported to: it is empty, or an export of this project that nobody has changed.

    Args:
        folder: path or URL of the export; it need not exist.
        replace: whether files that people changed or added in an export may be lost.

    Raises:
        ConfigError: the folder has something else, or changed or added files that may not be lost.
        ControlFileError: its manifest is damaged or not one of this project.
    """
    if not exists(folder):
        return
    manifest = join(folder, MANIFEST)
    if not exists(manifest) or read_control(manifest, ExportManifest) is None:
        others = sorted(find_files(folder))
        if others:
            raise ConfigError(f"--output {folder}: already holds something else ({', '.join(others[:_EXAMPLES])} …)")
        return
    changed = [] if replace else list(changed_files(folder))
    if changed:
        named = ", ".join(changed[:_EXAMPLES]) + " …" * (len(changed) > _EXAMPLES)
        raise ConfigError(
            f"--output {folder}: {len(changed):,} files were changed or added since they were exported ({named}); "
            "export into another folder, or give --replace to lose them"
        )


def changed_files(folder: str) -> Iterator[str]:
    """Find the files of an export that are not as they were exported, or were not exported at all.

    Files that were removed since are not reported.

    Args:
        folder: path or URL of the export.

    Yields:
        The path of each such file, relative to the folder; the manifest and hidden files are never among them.
    """
    there = set(find_files(folder)) - {MANIFEST}
    for listed in (name for name in list_names(join(folder, LISTS)) if name.endswith(_FILES)):
        expected = [(path, digest) for path, digest in _listed(folder, listed) if path in there]
        with ThreadPoolExecutor(_READERS) as pool:
            digests = pool.map(lambda path: _hash(read_bytes(join(folder, path))), [path for path, _ in expected])
            yield from (path for (path, digest), now in zip(expected, digests, strict=True) if now != digest)
        there -= {path for path, _ in expected}
    yield from sorted(there)


def clear_folder(folder: str) -> None:
    """Remove an export's files, half written ones too, then its lists, then its manifest.

    Files with names that no export writes are kept. Call `check_folder` first: it finds out whether this may be done.

    Args:
        folder: path or URL of the export; it need not exist.

    Raises:
        ConfigError: a file is a link to somewhere else.
    """
    linked = [name for name in list_names(folder) if is_link(join(folder, name))]
    if linked:
        raise ConfigError(f"--output {folder}: {linked[0]} in it is a link, which no export has; nothing was removed")
    found = set[str]()
    if exists(folder):
        found = set(find_files(folder))
        remove_stale_temporary(folder)
    for path in sorted(found - {MANIFEST}):
        if has_form(EXPORTED_FILE, path):
            require_inside(join(folder, path), folder, f"--output {folder}")
            remove(join(folder, path))
    if exists(join(folder, LISTS)):
        require_inside(join(folder, LISTS), folder, f"--output {folder}")
        remove(join(folder, LISTS))
    if MANIFEST in found:
        require_inside(join(folder, MANIFEST), folder, f"--output {folder}")
        remove(join(folder, MANIFEST))


def _listed(folder: str, name: str) -> list[tuple[str, str]]:
    """(relative path, hash) of the files of a list; paths that no export has are left out."""
    lines = read_bytes(join(folder, LISTS, name)).decode(errors="replace").splitlines()
    pairs = (line.partition("  ") for line in lines)
    return [(path, digest) for digest, _, path in pairs if has_form(EXPORTED_FILE, path)]


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
