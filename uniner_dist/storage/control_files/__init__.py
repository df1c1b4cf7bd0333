"""Control files: every small JSON file that the product reads back from shared storage, with a strict model of each.

Whoever may write to a folder can change these files, so nothing in them is obeyed before it was checked: names have our
own form, paths stay in their place, numbers are in range. One function reads them all; every refusal names its file.
"""

from uniner_dist.storage.control_files.export import ExportManifest
from uniner_dist.storage.control_files.footers import PinnedFooters, PinnedSchema
from uniner_dist.storage.control_files.gate import PinnedSample
from uniner_dist.storage.control_files.leases import Beat, Claim, End
from uniner_dist.storage.control_files.publication import (
    FolderChange,
    Journal,
    Marker,
    PublishedRun,
    read_journal,
)
from uniner_dist.storage.control_files.reading import (
    ControlFile,
    ControlFileError,
    encode_control,
    parse_control,
    read_control,
    read_hashes,
    read_record,
    write_control,
)
from uniner_dist.storage.control_files.records import (
    AnnotationsSummary,
    Attempt,
    Plan,
    Progress,
    PromptsSummary,
    Report,
    Verdict,
)
from uniner_dist.storage.control_files.runs import LatestRun, PinnedRun, RetryState
from uniner_dist.storage.control_files.storages import ProbedStorage, ProbedStorages
from uniner_dist.storage.control_files.store import CountedFiles, Registered, Salt, StoreManifest
from uniner_dist.storage.control_files.triage import TriageBound, TriageLearnt, TriageVerdict

__all__ = [
    "AnnotationsSummary",
    "Attempt",
    "Beat",
    "Claim",
    "ControlFile",
    "ControlFileError",
    "CountedFiles",
    "End",
    "ExportManifest",
    "FolderChange",
    "Journal",
    "LatestRun",
    "Marker",
    "PinnedFooters",
    "PinnedRun",
    "PinnedSample",
    "PinnedSchema",
    "Plan",
    "ProbedStorage",
    "ProbedStorages",
    "Progress",
    "PromptsSummary",
    "PublishedRun",
    "Registered",
    "Report",
    "RetryState",
    "Salt",
    "StoreManifest",
    "TriageBound",
    "TriageLearnt",
    "TriageVerdict",
    "Verdict",
    "encode_control",
    "parse_control",
    "read_control",
    "read_hashes",
    "read_journal",
    "read_record",
    "write_control",
]
