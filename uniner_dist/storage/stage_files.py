"""Files of stage 1 in a run's folder: removal of those that no later lease wrote, and a check that all exist.

Names of shards bear the fencing token of the lease under which they were written, and an attempt. Occurrences, rejects
and quarantine are in a folder of that token each (`RunLayout.own`) with a list of the files that count, which is
written last: the folder of the latest lease that has a list counts. So a process that was replaced while suspended
knows no name that its successor gives, and what it writes later never counts. A file that is
lost or truncated otherwise is detected here, and the run is planned again.
"""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

import pyarrow.compute as pc

from uniner_dist.storage.attempts import COUNTED, is_sound
from uniner_dist.storage.control_files import PromptsSummary, read_control
from uniner_dist.storage.filesystem import exists, join, list_names, remove, remove_if_empty
from uniner_dist.storage.layout import RunLayout
from uniner_dist.storage.shards import committed_shards, read_shards, shards_with_cached_answers

_REMOVERS = 16
_TOKEN = re.compile(r".*-([0-9]{1,18})-[0-9a-f]{8}", re.ASCII)
#: A folder of one lease, in a folder of the run's: `RunLayout.own`, or one of stage 3.
_OF_LEASE = re.compile(r"(?:lease=)?([0-9]{6,18})", re.ASCII)


def counting(folder: str) -> str:
    """Return the part of a run's folder that counts: of the latest lease that finished there.

    A folder of an earlier release, whose files are directly in it, counts as a whole.

    Args:
        folder: path or URL of a folder with one folder per lease, such as `RunLayout.occurrences`.
    """
    parts = [(int(match[1]), name) for name in list_names(folder) if (match := _OF_LEASE.fullmatch(name))]
    for _, name in sorted(parts, reverse=True):
        if exists(join(folder, name, COUNTED)):
            return join(folder, name)
    return folder


def token_of(shard: str) -> int:
    """Return the fencing token in the name of a shard; 0 for one of an earlier release.

    Args:
        shard: id of the shard.
    """
    match = _TOKEN.fullmatch(shard)
    return int(match[1]) if match else 0


def remove_shards(layout: RunLayout) -> None:
    """Remove prompts, parts, completions and checks of every shard, except those of a lease later than this process's.

    Args:
        layout: paths of the run, with the fencing token of the lease that this process holds.
    """
    for folder in (layout.prompts, layout.parts, layout.completions, layout.checks):
        remove_until_now(layout, folder)


def remove_until_now(layout: RunLayout, path: str) -> None:
    """Remove a file or folder of a run; of a folder whose entries bear fencing tokens, those of a later lease stay.

    Args:
        layout: paths of the run, with the fencing token of the lease that this process holds.
        path: one of the run's paths; only in the folders of `RunLayout.by_lease` are entries kept by their tokens.
    """
    if path not in layout.by_lease:
        remove(path)
        return
    names = [name for name in list_names(path) if token_of_entry(name) <= layout.token]
    with ThreadPoolExecutor(_REMOVERS) as removers:
        list(removers.map(lambda name: remove(join(path, name)), names))
    remove_if_empty(path)


def token_of_entry(name: str) -> int:
    """Return the fencing token in the name of a shard's folder or file, or of a folder of one lease; 0 without any.

    Args:
        name: name of an entry of a run's folder, without the folders above it.
    """
    match = _OF_LEASE.fullmatch(name)
    return int(match[1]) if match else token_of(name.removeprefix("shard=").removesuffix(".parquet"))


def is_whole(layout: RunLayout) -> bool:
    """Return whether all files exist that a finished stage 1 has counted, judged by listings and the files' last bytes.

    Args:
        layout: paths of a run whose manifest exists.

    Raises:
        ControlFileError: the manifest or the summary of stage 1 is damaged.
    """
    prompts, manifest = {name.removeprefix("shard=") for name in list_names(layout.prompts)}, read_shards(layout)
    if not prompts.issuperset(manifest["shard"].to_pylist()):
        return False
    skipping = set(manifest.filter(pc.greater(manifest["skipped"], 0))["shard"].to_pylist())
    # What triage has left out of an open shard is told by its file of known answers.
    if skipping and not skipping <= committed_shards(layout) | shards_with_cached_answers(layout):
        return False
    try:
        summary = read_control(layout.prompts_summary, PromptsSummary)
    except (FileNotFoundError, NotADirectoryError):
        return False
    expected = {layout.occurrences: summary.occurrences_files, layout.rejects: summary.rejects_files}
    return all(is_sound(counting(folder), files) for folder, files in expected.items() if files is not None)
