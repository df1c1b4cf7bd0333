"""The pinned sample: some documents of a corpus, and the answers of the last run that passed the gate.

It belongs to the output, not to a run or workdir, and so survives them: `<output>.gate/sample.json`, replaced by
compare-and-swap under the lease of the output. The documents never change once pinned; answers are kept per label with
what gave them, since a run may ask only some.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, replace

from uniner_dist.core.differences import Cell
from uniner_dist.errors import StageError
from uniner_dist.storage.commit import WAIT_S
from uniner_dist.storage.conditional import read_version, swap
from uniner_dist.storage.control_files import PinnedSample, encode_control, parse_control, read_control
from uniner_dist.storage.control_files.gate import PinnedAnswer, PinnedSource
from uniner_dist.storage.lease import hold_lease
from uniner_dist.storage.place_layout import OutputLayout

#: Attempts to read and replace a sample that other processes replace concurrently.
_TRIES = 10

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
        """Return the same documents with the answers for some labels replaced; those for other labels stay.

        Args:
            sources: label → what gave its new answers.
            cells: (document id, label) → answer, for these labels.
        """
        kept = {key: cell for key, cell in self.cells.items() if key[1] not in sources}
        return Sample(self.texts, {**self.sources, **sources}, {**kept, **cells})


def read_sample(output: str) -> Sample | None:
    """Return the pinned sample of an output, None when there is none yet (or no document of it is left).

    Args:
        output: path or URL of the published dataset that the sample belongs to.

    Raises:
        ControlFileError: its file is damaged.
    """
    try:
        return _sample(read_control(OutputLayout(output).sample, PinnedSample))
    except (FileNotFoundError, NotADirectoryError):
        return None


def _sample(stored: PinnedSample) -> Sample | None:
    if not stored.texts:
        return None
    return Sample(
        stored.texts,
        {label: Source(one.ask, one.fingerprint, one.model, one.run_id) for label, one in stored.sources.items()},
        {(one.doc_id, one.label): Cell(one.outcome, one.mentions) for one in stored.answers},
    )


def update_sample(output: str, change: Callable[[Sample | None], Sample | None]) -> None:
    """Replace the pinned sample by what a function makes of it, under the lease of the output.

    Args:
        output: path or URL of the published dataset that the sample belongs to.
        change: is given the sample as it is now, None when there is none; None leaves it as it is. May be called again.

    Raises:
        RunHeldError: another process changes the output and does not come to an end.
        StageError: the sample was changed at every try.
    """
    path = OutputLayout(output).sample
    with hold_lease(OutputLayout(output), wait_s=WAIT_S) as lease:
        for _ in range(_TRIES):
            seen = read_version(path)
            changed = change(_sample(parse_control(path, seen.data, PinnedSample)) if seen is not None else None)
            lease.check()
            if changed is None or swap(path, seen, encode_control(_pinned(changed))):
                return
    raise StageError(f"{path}: was changed by another process meanwhile; start the same command again")


def _pinned(sample: Sample) -> PinnedSample:
    answers = (
        PinnedAnswer(doc_id=doc_id, label=label, outcome=cell.outcome, mentions=tuple(cell.mentions))
        for (doc_id, label), cell in sample.cells.items()
    )
    sources = {label: PinnedSource(**asdict(source)) for label, source in sample.sources.items()}
    return PinnedSample(texts=dict(sample.texts), sources=sources, answers=tuple(answers))


def erase_from_sample(output: str, doc_ids: Collection[str]) -> int:
    """Remove documents from the pinned sample, text and answers.

    Args:
        output: path or URL of the published dataset that the sample belongs to.
        doc_ids: ids as strings; those that the sample does not have are ignored.

    Returns:
        How many of them the sample had.

    Raises:
        RunHeldError: another process changes the output and does not come to an end.
        StageError: the sample was changed by other processes at every try.
    """
    gone: set[str] = set()

    def without(sample: Sample | None) -> Sample | None:
        gone.update(set(doc_ids) & set(sample.texts) if sample else ())
        if not sample or not gone:
            return None
        texts = {doc_id: text for doc_id, text in sample.texts.items() if doc_id not in gone}
        cells = {key: cell for key, cell in sample.cells.items() if key[0] not in gone}
        return replace(sample, texts=texts, cells=cells)

    if read_sample(output):
        update_sample(output, without)
    return len(gone)
