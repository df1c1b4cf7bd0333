"""Control file with the footers of a corpus's files."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from uniner_dist.storage.control_files.forms import Count, Fingerprint, Name
from uniner_dist.storage.control_files.reading import ControlFile


class PinnedSchema(ControlFile):
    """One way in which files store their columns; `arrow` is a serialised Arrow schema in base64."""

    arrow: Annotated[str, Field(pattern=r"^[A-Za-z0-9+/=]*$")]
    opaque: bool


class PinnedFooters(ControlFile):
    """The footers of a run's corpus, in the order of its files.

    Attributes:
        snapshot: hash over the files that they are of.
        columns: those that were looked at.
        rows: of each file.
        schema_of: number of each file's schema.
        traits: of files that have one, by the file's number.
        schemas: the schemas.
    """

    snapshot: Fingerprint
    columns: tuple[Name, ...]
    rows: tuple[Count, ...]
    schema_of: tuple[Count, ...]
    traits: dict[str, str]
    schemas: tuple[PinnedSchema, ...]
