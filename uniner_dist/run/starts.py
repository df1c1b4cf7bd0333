"""Counters of the starts of a run's completions stage: one small file each."""

from __future__ import annotations

from uniner_dist.storage.control_files import Attempt, read_control
from uniner_dist.storage.control_files.forms import ATTEMPT_FILE, has_form
from uniner_dist.storage.filesystem import join, list_names
from uniner_dist.storage.layout import RunLayout


def read_starts(layout: RunLayout) -> list[Attempt]:
    """Return the counters of every start so far, oldest first.

    Args:
        layout: paths of the run.

    Raises:
        ControlFileError: one of the files is damaged.
    """
    names = [name for name in list_names(layout.attempts) if has_form(ATTEMPT_FILE, name)]
    ordered = sorted(names, key=lambda name: float(name.removesuffix(".json")))
    return [read_control(join(layout.attempts, name), Attempt) for name in ordered]
