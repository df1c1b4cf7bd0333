"""Whether a folder is a run's own, before anything in it is changed or removed."""

from __future__ import annotations

from uniner_dist.storage.containment import is_link
from uniner_dist.storage.control_files import ControlFileError
from uniner_dist.storage.filesystem import join, list_names
from uniner_dist.storage.layout import RunLayout
from uniner_dist.storage.place_layout import WorkdirLayout


def check_own(layout: RunLayout) -> None:
    """Make sure that nothing in a run's folder, or in its folders of shards, is a link to somewhere else.

    Nor may the folder of all runs be one: it could be that of another workdir. A workdir itself may be a link.

    Args:
        layout: of the run's folder.

    Raises:
        ControlFileError: something is a link; the message names the first.
    """
    runs = WorkdirLayout(layout.workdir).runs
    links = [runs] if is_link(runs) else []
    for folder in (layout.root, layout.prompts, layout.parts, layout.gates):
        links += [path for name in list_names(folder) if is_link(path := join(folder, name))]
    if links:
        raise ControlFileError(f"{links[0]}: is a link, which no run has; nothing was changed")
