"""Erasure from what quality gates keep: an output's pinned sample, and the runs that gates made for themselves.

A gate that has seen one of the documents is taken away whole: its figures list examples. A run that is not published
passes its gate anew.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from uniner_dist.gate.figures import GOLD, SAMPLE
from uniner_dist.gate.sample import forget_documents
from uniner_dist.run.run import Run
from uniner_dist.storage.filesystem import exists, join, list_names, remove
from uniner_dist.storage.layout import GateLayout


class Found(Protocol):
    """What an erasure says."""

    @property
    def anything(self) -> bool:
        """Whether there was a trace of the documents."""


def forget_in_gates(run: Run, ids: Sequence[str], forget: Callable[[str, Sequence[str]], Found]) -> int:
    """Erase documents from a run's gates and from its output's sample.

    Args:
        forget: erases documents of a workdir, such as a gate's, from its runs and from the store.

    Returns:
        How many of the documents the pinned sample had.
    """
    for name in list_names(run.layout.gates):
        place = GateLayout(join(run.layout.gates, name))
        erasure = forget(place.work, [prefix + doc_id for prefix in (GOLD, SAMPLE) for doc_id in ids])
        if erasure.anything or not exists(place.verdict):
            remove(place.root)
    return forget_documents(run.config.output.path, ids)
