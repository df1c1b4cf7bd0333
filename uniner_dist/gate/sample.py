"""The pinned sample: some documents of a corpus, and the answers of the last run that passed the gate.

It belongs to the output, not to a run or workdir, and so survives them: `<output>.gate/sample.json`, replaced
atomically. The documents never change once pinned; answers are kept per label with what gave them, since a run may ask
only some.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, replace

from uniner_dist.core.differences import Cell
from uniner_dist.storage.control_files import PinnedSample, read_control, write_control
from uniner_dist.storage.control_files.gate import PinnedAnswer, PinnedSource
from uniner_dist.storage.place_layout import OutputLayout

Cells = Mapping[tuple[str, str], Cell]


@dataclass(frozen=True)
class Source:
    """What gave the answers for one label."""

    ask: str
    fingerprint: str
    model: str
    run_id: str


@dataclass(frozen=True)
class Sample:
    """Documents, answers and their sources.

    Args:
        texts: document id (as a string) → text.
        sources: label → what gave its answers.
        cells: (document id, label) → answer.
    """

    texts: Mapping[str, str]
    sources: Mapping[str, Source]
    cells: Cells

    def updated(self, sources: Mapping[str, Source], cells: Cells) -> Sample:
        """The same documents with the answers for some labels replaced."""
        kept = {key: cell for key, cell in self.cells.items() if key[1] not in sources}
        return Sample(self.texts, {**self.sources, **sources}, {**kept, **cells})


def read_sample(output: str) -> Sample | None:
    """The pinned sample of an output, None when there is none yet (or no document of it is left)."""
    try:
        stored = read_control(OutputLayout(output).sample, PinnedSample)
    except (FileNotFoundError, NotADirectoryError):
        return None
    if not stored.texts:
        return None
    return Sample(
        stored.texts,
        {label: Source(one.ask, one.fingerprint, one.model, one.run_id) for label, one in stored.sources.items()},
        {(one.doc_id, one.label): Cell(one.outcome, one.mentions) for one in stored.answers},
    )


def write_sample(output: str, sample: Sample) -> None:
    """Pin documents and answers."""
    answers = (
        PinnedAnswer(doc_id=doc_id, label=label, outcome=cell.outcome, mentions=tuple(cell.mentions))
        for (doc_id, label), cell in sample.cells.items()
    )
    sources = {label: PinnedSource(**asdict(source)) for label, source in sample.sources.items()}
    stored = PinnedSample(texts=dict(sample.texts), sources=sources, answers=tuple(answers))
    write_control(OutputLayout(output).sample, stored)


def forget_documents(output: str, doc_ids: Collection[str]) -> int:
    """Take documents (ids as strings) out of the pinned sample, text and answers; returns how many it had."""
    sample = read_sample(output)
    gone = set(doc_ids) & set(sample.texts) if sample else set()
    if sample and gone:
        texts = {doc_id: text for doc_id, text in sample.texts.items() if doc_id not in gone}
        cells = {key: cell for key, cell in sample.cells.items() if key[0] not in gone}
        write_sample(output, replace(sample, texts=texts, cells=cells))
    return len(gone)
