"""Forms of the names and paths in control files, as types of their models. Pure; nothing is read.

A name that does not have its form never becomes part of a path.
"""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import AfterValidator, Field, StringConstraints

from uniner_dist.config.schemes import check_scheme

_MAX_PATH: Final = 4096
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

RUN_ID: Final = r"[0-9a-f]{12}"
FINGERPRINT: Final = r"[0-9a-f]{16}"
#: 128 bits: of a document, with or without its text.
HASH: Final = r"[0-9a-f]{32}"
#: The folder of a quality gate: a hash of what it asks.
GATE: Final = RUN_ID
#: See `prompts.packing.Packing.shard_name`; shards of earlier releases have no token and no attempt.
SHARD: Final = r"[0-9]{5,9}-(?:known-)?[0-9]{4,9}(?:-[0-9]{1,18}-[0-9a-f]{8})?"
#: A version of a table as a run pins it: of Delta a number, of Iceberg `snapshot.schema`.
VERSION: Final = r"[0-9]{1,20}(?:\.[0-9]{1,9})?"
#: A data file of an output; every name that a publication or an erasure gives begins so.
DATA_FILE: Final = r"part-[0-9A-Za-z][0-9A-Za-z._-]{0,200}\.parquet"
#: The same in a table that is kept over an output: it begins with a run's id, or with an erasure's.
TABLE_FILE: Final = rf"part-{RUN_ID}[.-][0-9A-Za-z._-]{{1,200}}\.parquet"
#: Any visible Parquet file of one folder, such as one that goes from an output.
PARQUET_FILE: Final = r"[^./\x00-\x1f\x7f][^/\x00-\x1f\x7f]{0,250}\.parquet"
#: A file of answers in a store: a shard's (see `answer_store.contribute`), or a compaction's.
STORE_FILE: Final = rf"(?:{RUN_ID}-{SHARD}-[0-9a-f]{{12}}|compacted-[0-9]{{12}}-[0-9a-f]{{8}}-[0-9]{{5,9}})\.parquet"
#: The beginning of the names of the files of one task of an export, and the name of its lists.
EXPORTED_STEM: Final = r"part-[0-9]{5,9}-[0-9]{5,9}(?:-[0-9a-f]{8})?"
#: A file of an export, relative to its folder (see the writers in `formats`).
EXPORTED_FILE: Final = (
    rf"(?:data/)?{EXPORTED_STEM}(?:\.(?:conll|spacy|json|jsonl|parquet)|/[^/]+\.(?:txt|ann))"
    r"|export\.json|README\.md|annotation\.conf|visual\.conf|labelling_interface\.xml"
)
#: The manifest of a change of a store, by its number; earlier releases named it by its time.
MANIFEST_FILE: Final = r"[0-9]{12}\.json|[0-9]{10}\.[0-9]{6}-[0-9a-f]{8}\.json"
#: Counters of one start of the completions stage, by its time.
ATTEMPT_FILE: Final = r"[0-9]{1,12}\.[0-9]{3}\.json"
#: Path of the journal of a publication or of an erasure, below any workdir.
JOURNAL: Final = (
    rf".*/(?:runs/{RUN_ID}/(?:publishing/[0-9]{{6,18}}/)?publication|forgetting(?:-files)?/{RUN_ID}/journal)\.json"
)


def has_form(form: str, name: str) -> bool:
    """Return whether a name is wholly of a form.

    Args:
        form: regular expression, one of the constants of this module or built from them.
        name: file or folder name to check, such as one from a listing, without the folders above it unless the form has
            them.
    """
    return re.fullmatch(form, name, re.ASCII) is not None


def has_controls(path: str) -> bool:
    """Return whether a path has characters that no path in a control file may have.

    Args:
        path: URL or local path; refused are U+0000 to U+001F and U+007F.
    """
    return _CONTROL.search(path) is not None


def _source(path: str) -> str:
    if len(path) > _MAX_PATH or has_controls(path):
        raise ValueError("is too long for a path, or has control characters")
    check_scheme(path)
    if ".." in path.split("/"):
        raise ValueError("leads out of its own folder (..)")
    return path


def _absolute(path: str) -> str:
    if not (path.startswith("/") or "://" in path):
        raise ValueError("is not an absolute path")
    return _source(path)


RunId = Annotated[str, StringConstraints(pattern=f"^{RUN_ID}$")]
Fingerprint = Annotated[str, StringConstraints(pattern=f"^{FINGERPRINT}$")]
Hash = Annotated[str, StringConstraints(pattern=f"^{HASH}$")]
DataFileName = Annotated[str, StringConstraints(pattern=f"^{DATA_FILE}$")]
ParquetName = Annotated[str, StringConstraints(pattern=f"^{PARQUET_FILE}$")]
PinnedVersion = Annotated[str, StringConstraints(pattern=f"^{VERSION}$")]
StoreFileName = Annotated[str, StringConstraints(pattern=f"^{STORE_FILE}$")]
JournalPath = Annotated[str, AfterValidator(_absolute), StringConstraints(pattern=f"^{JOURNAL}$")]
#: An absolute path or URL of a kind that is allowed, which does not climb.
StoredPath = Annotated[str, StringConstraints(min_length=1), AfterValidator(_absolute)]
#: What a corpus was named by: such a path, or the name of a table.
StoredSource = Annotated[str, StringConstraints(min_length=1), AfterValidator(_source)]
#: The folder that a corpus's partition columns count from; empty for the root of a store.
StoredBase = Annotated[str, AfterValidator(_source)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=10_000)]
#: Text that is shown to people: without control characters, so it cannot steer a terminal.
Words = Annotated[str, StringConstraints(max_length=1000, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")]
Count = Annotated[int, Field(ge=0, le=2**63 - 1)]
#: A file below a folder, compared with a listing of it before anything is opened.
RelativePath = Annotated[
    str, StringConstraints(min_length=1, max_length=_MAX_PATH, pattern=r"^[^\x00-\x1f/][^\x00-\x1f]*$")
]
#: Seconds since the epoch, or of a duration.
Seconds = Annotated[float, Field(ge=0, le=1e11)]
