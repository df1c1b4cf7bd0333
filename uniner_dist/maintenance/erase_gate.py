"""Erasure from the data of quality gates: an output's pinned sample, and the gates' own runs.

A gate that has seen one of the documents is removed as a whole: its figures list examples. A run that is not published
passes its gate again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import pyarrow as pa

from uniner_dist.gate.figures import GOLD, SAMPLE
from uniner_dist.gate.sample import erase_from_sample
from uniner_dist.run.run import Run
from uniner_dist.storage.control_files import Verdict, read_control
from uniner_dist.storage.control_files.forms import GATE, has_form
from uniner_dist.storage.filesystem import exists, find_files, join, list_names, remove
from uniner_dist.storage.layout import GateLayout
from uniner_dist.storage.parquet_rows import find_rows


class Found(Protocol):
    """Result of an erasure."""

    @property
    def found_any(self) -> bool:
        """Whether anything of the documents was found."""


def erase_from_gates(run: Run, ids: Sequence[str], forget: Callable[[str, Sequence[str]], Found]) -> int:
    """Erase documents from a run's gates and from its output's sample.

    Args:
        run: the run whose gates and whose output's sample are looked through.
        ids: as strings; of a corpus with integer ids, their digits.
        forget: erases documents of a workdir, such as a gate's, from its runs and from the store.

    Returns:
        How many of the documents the pinned sample had.
    """
    names = [prefix + doc_id for prefix in (GOLD, SAMPLE) for doc_id in ids]
    for name in list_names(run.layout.gates):
        if not has_form(GATE, name):
            continue
        place = GateLayout(join(run.layout.gates, name))
        erasure = forget(place.work, names)
        if erasure.found_any or not exists(place.verdict) or _has_seen(place, names):
            remove(place.root)
    return erase_from_sample(run.config.output.path, ids)


def _has_seen(place: GateLayout, names: Sequence[str]) -> bool:
    """Whether a gate was about one of the documents; its texts may be gone, its answers and figures are not."""
    if set(names) & set(read_control(place.verdict, Verdict).in_corpus):
        return True
    wanted = pa.array(names, pa.string())
    files = [join(folder, file) for folder in (place.corpus, place.gold, place.annotations) for file in _files(folder)]
    return any(len(find_rows(file, ["doc_id"], wanted)[1]) for file in files)


def _files(folder: str) -> list[str]:
    try:
        return sorted(find_files(folder, ".parquet"))
    except FileNotFoundError:
        return []
