"""Control files: every small JSON file that the product reads back from shared storage, with a strict model of each.

Whoever may write to a folder can change these files, so nothing in them is obeyed before it was checked: names have our
own form, paths stay in their place, numbers are in range. One function reads them all; every refusal names its file.
"""

from uniner_dist.storage.control_files.export import ExportManifest
from uniner_dist.storage.control_files.footers import PinnedFooters, PinnedSchema
from uniner_dist.storage.control_files.gate import PinnedSample
from uniner_dist.storage.control_files.gate_figures import (
    Agreement,
    Drift,
    GateFigures,
    GoldFigures,
    PublishedFigures,
    RateIntervals,
    SliceFigures,
    Verdict,
)
from uniner_dist.storage.control_files.leases import Claim, End, Heartbeat
from uniner_dist.storage.control_files.publication import (
    FolderChange,
    Journal,
    Marker,
    Provenance,
    PublishedRun,
    read_journal,
)
from uniner_dist.storage.control_files.reading import (
    ControlFile,
    ControlFileError,
    encode_control,
    encode_record,
    parse_control,
    read_control,
    read_hashes,
    record_values,
    write_control,
    write_record,
)
from uniner_dist.storage.control_files.records import (
    AnnotationsSummary,
    Attempt,
    AttemptHistory,
    Interval,
    Life,
    Plan,
    PlannedStore,
    PoolProgress,
    Progress,
    PromptsSummary,
    Record,
    SparkProgress,
    TriagePlan,
)
from uniner_dist.storage.control_files.report import (
    Compared,
    Publication,
    Report,
    ReportedGate,
    ReportedModel,
    ReportedTriage,
    Totals,
    TriagePromise,
)
from uniner_dist.storage.control_files.runs import LatestRun, PinnedRun, RetryState
from uniner_dist.storage.control_files.storages import ProbedStorage, ProbedStorages
from uniner_dist.storage.control_files.store import CountedFiles, Registered, Salt, StoreManifest
from uniner_dist.storage.control_files.triage import TriageBound, TriageLearnt, TriageVerdict

__all__ = [
    "Agreement",
    "AnnotationsSummary",
    "Attempt",
    "AttemptHistory",
    "Claim",
    "Compared",
    "ControlFile",
    "ControlFileError",
    "CountedFiles",
    "Drift",
    "End",
    "ExportManifest",
    "FolderChange",
    "GateFigures",
    "GoldFigures",
    "Heartbeat",
    "Interval",
    "Journal",
    "LatestRun",
    "Life",
    "Marker",
    "PinnedFooters",
    "PinnedRun",
    "PinnedSample",
    "PinnedSchema",
    "Plan",
    "PlannedStore",
    "PoolProgress",
    "ProbedStorage",
    "ProbedStorages",
    "Progress",
    "PromptsSummary",
    "Provenance",
    "Publication",
    "PublishedFigures",
    "PublishedRun",
    "RateIntervals",
    "Record",
    "Registered",
    "Report",
    "ReportedGate",
    "ReportedModel",
    "ReportedTriage",
    "RetryState",
    "Salt",
    "SliceFigures",
    "SparkProgress",
    "StoreManifest",
    "Totals",
    "TriageBound",
    "TriageLearnt",
    "TriagePlan",
    "TriagePromise",
    "TriageVerdict",
    "Verdict",
    "encode_control",
    "encode_record",
    "parse_control",
    "read_control",
    "read_hashes",
    "read_journal",
    "record_values",
    "write_control",
    "write_record",
]
