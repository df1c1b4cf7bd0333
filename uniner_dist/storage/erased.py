"""Lists of erased documents, stored without id or text: they stay away until their text changes.

A list belongs to a workdir or to a store. It holds salted hashes: of each document's id, and of the id with each text
that it was known by. So anyone who has a document can tell whether it is in the list, and nobody can read the list.
Each erasure adds one file, which never changes; taking a document off the list rewrites the others under another name.
"""

from __future__ import annotations

import hashlib
import secrets
import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from uniner_dist.core.hashing import digest
from uniner_dist.storage.control_files import Salt, read_control, read_hashes
from uniner_dist.storage.filesystem import join, list_names, remove, write_json

_SALT = "salt.json"


@dataclass(frozen=True)
class ErasedList:
    """Content of a list.

    Attributes:
        salt: prefix of everything that is hashed.
        texts: hash of an erased document → hashes of it with its texts; none when no text of it was known, and then it
            stays away whatever its text is.
    """

    salt: str
    texts: Mapping[str, tuple[str, ...]]

    @property
    def with_text(self) -> list[str]:
        """Hashes of documents with their texts."""
        return sorted({one for texts in self.texts.values() for one in texts})

    @property
    def without_text(self) -> list[str]:
        """Hashes of documents without a known text."""
        return sorted(document for document, texts in self.texts.items() if not texts)


def hash_document(salt: str, doc_id: str) -> str:
    """Return the hash of a document's id: 32 hex digits. Spark computes the same in `prompts.corpus`.

    Args:
        salt: of the list of erased documents, in hex.
        doc_id: as a string, whatever type the id column has.
    """
    return hashlib.sha256(f"{salt}::{doc_id}".encode()).hexdigest()[:32]


def hash_text(salt: str, doc_id: str, text_hash: str) -> str:
    """Return the hash of a document's id with its text: 32 hex digits. Spark computes the same in `prompts.corpus`.

    Args:
        salt: of the list of erased documents, in hex.
        doc_id: as a string, whatever type the id column has.
        text_hash: of the text, as `core.hashing.passage_id` gives it.
    """
    return hashlib.sha256(f"{salt}:{text_hash}:{doc_id}".encode()).hexdigest()[:32]


def read_erased(folder: str) -> ErasedList | None:
    """Return the list in a folder, all of its entries together; None when no document is on it.

    Args:
        folder: URL or local path of the list; it need not exist.

    Raises:
        ControlFileError: a file of the list is damaged.
        FileNotFoundError: another process has taken a document off the list meanwhile.
    """
    return _read(folder, _entries(folder))


def _read(folder: str, names: Sequence[str]) -> ErasedList | None:
    """Return these entries together; a document that one of them has without a text stays without one."""
    if not names:
        return None
    texts: dict[str, tuple[str, ...]] = {}
    for name in names:
        for document, found in read_hashes(join(folder, name)).items():
            known = texts.get(document)
            both = known is None or (known and found)
            texts[document] = tuple(dict.fromkeys([*(known or ()), *found])) if both else ()
    return ErasedList(read_control(join(folder, _SALT), Salt).salt, texts)


def erased_state(folders: Iterable[str], but: Collection[str] = ()) -> str:
    """Return a hash over the content of lists, which changes with every added or removed document.

    Only the names of the entries are read: an entry never changes, and its name is random.

    Args:
        folders: of the lists, one per workdir and store.
        but: entries to leave out, as `remember` names them, for the state of the lists before these entries.

    Returns:
        16 hex digits; an empty string for empty lists.
    """
    names = [name for folder in folders for name in _entries(folder) if name not in but]
    return digest({"lists": sorted(names)}) if names else ""


def remember(folder: str, texts: Mapping[str, Collection[str]]) -> str | None:
    """Add documents to the list.

    Args:
        folder: of the list; it is made, with a salt of its own, by its first entry.
        texts: ids of documents → hashes of the texts that they were known by (`core.hashing.passage_id`); none where no
            text is known.

    Returns:
        Name of the new entry; None if all documents were in the list with these texts.
    """
    write_json(join(folder, _SALT), {"salt": secrets.token_hex(16)}, exclusive=True)
    salt = read_control(join(folder, _SALT), Salt).salt
    entries = {
        hash_document(salt, doc_id): sorted(hash_text(salt, doc_id, one) for one in hashes)
        for doc_id, hashes in texts.items()
    }
    known = read_erased(folder)
    texts_of = {} if known is None else known.texts
    # One that is on the list without a text stays away whatever its text is: there is nothing to add.
    new = {
        key: found
        for key, found in entries.items()
        if key not in texts_of or (texts_of[key] and set(found) - set(texts_of[key]))
    }
    if not new:
        return None
    name = f"{uuid.uuid4().hex}.json"
    write_json(join(folder, name), new)
    return name


def take_off(folder: str, doc_ids: Iterable[str]) -> int:
    """Remove documents from the list, so that they come back.

    Args:
        folder: URL or local path of the list; it need not exist.
        doc_ids: ids of the documents as strings; those that are not in the list are ignored.

    Returns:
        How many of them were in the list.

    Raises:
        ControlFileError: a file of the list is damaged.
        FileNotFoundError: another process has taken a document off the list meanwhile.
    """
    names = _entries(folder)  # an entry that is added from here on is not read, and stays
    erased = _read(folder, names)
    if erased is None:
        return 0
    back = {hash_document(erased.salt, doc_id) for doc_id in doc_ids} & erased.texts.keys()
    if back:
        kept = {document: list(texts) for document, texts in erased.texts.items() if document not in back}
        if kept:
            write_json(join(folder, f"{uuid.uuid4().hex}.json"), kept)
        for name in names:
            remove(join(folder, name))
    return len(back)


def _entries(folder: str) -> list[str]:
    return [name for name in list_names(folder) if name.endswith(".json") and name != _SALT]
