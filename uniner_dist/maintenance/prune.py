"""Retention: what old runs keep of their texts and answers.

Removes shards, answers, rejects and quarantine of each run of a workdir that nobody has used for a given time. Answers
are kept in the store, so a run that is opened again later asks nothing again; the occurrences of passages are kept
without texts, so that a document can still be erased.
"""

from __future__ import annotations

import time
from contextlib import suppress

from uniner_dist.annotations.journal import is_half_published
from uniner_dist.errors import RunHeldError
from uniner_dist.maintenance.ownership import check_own
from uniner_dist.run.run import Run, list_runs, load_run
from uniner_dist.run.starts import read_starts
from uniner_dist.storage.commit import Check, always
from uniner_dist.storage.filesystem import exists, find_files, join, list_names
from uniner_dist.storage.layout import RunLayout
from uniner_dist.storage.lease import STALE_S, hold_lease, last_worked
from uniner_dist.storage.parquet_rows import drop_values
from uniner_dist.storage.stage_files import remove_until_now


def prune(workdir: str, older_than_s: float, check: Check = always) -> list[str]:
    """Remove texts and answers of the runs whose last sign of life is older than a given age.

    A run that somebody works on, or whose publication was cut off, is left alone, and so is every folder that is no
    run's by its name and its configuration. Cut off anywhere, it is done by starting it again.

    Args:
        workdir: path or URL of the workdir.
        older_than_s: age of the last sign of life in seconds.
        check: called before anything is removed; raises when this process may not go on.

    Returns:
        Ids of the runs that had something to remove.

    Raises:
        ControlFileError: the folder of a run is damaged, or there are links in it; nothing was removed.
    """
    runs = [load_run(workdir, run_id) for run_id in list_runs(workdir) if exists(RunLayout(workdir, run_id).config)]
    for run in runs:
        check_own(run.layout)
    return [run.id for run in runs if is_old(run, time.time() - older_than_s) and _prune(run.layout, check)]


def is_old(run: Run, since: float) -> bool:
    """Return whether nobody has touched a run since a given time, and no publication of it is cut off.

    Args:
        run: any run of a workdir.
        since: seconds since the epoch.
    """
    return _last_sign(run.layout) <= since and not is_half_published(run.layout)


def _prune(layout: RunLayout, check: Check) -> bool:
    """Whether there was anything to remove; files that are no run's stay, and a run that somebody works on."""
    with suppress(RunHeldError), hold_lease(layout, upkeep=True) as lease:
        present = {join(layout.root, name) for name in list_names(layout.root)}
        # First the manifest: a run that is opened in the middle of this starts over instead of missing shards.
        payload = [path for path in layout.payload if path in present]
        for path in payload:
            check()
            lease.check()
            remove_until_now(layout.under(lease.generation), path)
        return _drop_texts(layout) > 0 or bool(payload)
    return False


def _drop_texts(layout: RunLayout) -> int:
    """Take the passages of split documents out of the occurrences; returns in how many files there were any."""
    return sum(drop_values(file, "text") for file in text_files(layout))


def text_files(layout: RunLayout) -> list[str]:
    """Return the files of a run's occurrences, which have the passages of split documents; none where there are none.

    Args:
        layout: of the run's folder.
    """
    try:
        return [join(layout.occurrences, file) for file in sorted(find_files(layout.occurrences, ".parquet"))]
    except FileNotFoundError:
        return []


def _last_sign(layout: RunLayout) -> float:
    """Seconds since the epoch of the last thing that a run is known to have done."""
    signs = [0.0, last_worked(layout)]
    signs += [attempt.ended for attempt in read_starts(layout)]
    # Nothing was done in the future: a wrong clock must not keep texts for ever.
    return max(sign for sign in signs if sign <= time.time() + STALE_S)
