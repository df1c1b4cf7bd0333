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
        snapshot: hash over the files whose footers these are.
        columns: names of the columns that were examined.
        rows: number of rows of each file.
        schema_of: of each file, the index of its schema in `schemas`.
        traits: index of a file, in decimal → its trait (`storage.footers.Trait`); files without one are left out.
        schemas: the distinct schemas of the files.
    """

    snapshot: Fingerprint
    columns: tuple[Name, ...]
    rows: tuple[Count, ...]
    schema_of: tuple[Count, ...]
    traits: dict[str, str]
    schemas: tuple[PinnedSchema, ...]
