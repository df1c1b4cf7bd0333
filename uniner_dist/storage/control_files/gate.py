"""The pinned sample of an output's quality gate, as it is stored."""

from __future__ import annotations

from uniner_dist.storage.control_files.forms import Name
from uniner_dist.storage.control_files.reading import ControlFile


class PinnedSource(ControlFile):
    """What gave the answers for one label."""

    ask: str
    fingerprint: str
    model: str
    run_id: str


class PinnedAnswer(ControlFile):
    """One cell: its outcome, and its mentions as (text, start, end), with None for offsets that are not known."""

    doc_id: str
    label: Name
    outcome: Name
    mentions: tuple[tuple[str, int | None, int | None], ...]


class PinnedSample(ControlFile):
    """The documents (id → text), the sources of their answers (by label), and the answers."""

    texts: dict[str, str]
    sources: dict[str, PinnedSource]
    answers: tuple[PinnedAnswer, ...]
