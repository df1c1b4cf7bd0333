"""The manifest of an export's folder."""

from __future__ import annotations

from typing import Literal

from uniner_dist.storage.control_files.reading import ControlFile


class ExportManifest(ControlFile):
    """Says that a folder is an export of ours; its further keys are for people.

    Attributes:
        salt: prefix of what the lists of documents hash; empty in exports of earlier releases, which have none.
        source: salted hash of the output that it was made from: an erasure in another output leaves it alone.
        parts: names of the lists whose files count, in a complete export.
    """

    dataset: Literal["uniner-dist export"]
    format: str
    complete: bool
    salt: str = ""
    source: str = ""
    parts: tuple[str, ...] = ()
