"""The picture of a comparison."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any


def draw(summary: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """Bars by way: prompts per second, CPU per prompt and the whole command, with ranges over the repeats."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    names = list(summary)[::-1]
    panels = {
        "prompts_per_s": "prompts per second, engines loaded",
        "cpu_ms_per_prompt": "CPU ms per prompt, engines loaded",
        "command_s": "from command to last row, s",
    }
    figure, axes = pyplot.subplots(1, len(panels), figsize=(13, 0.6 + 0.45 * len(names)), sharey=True)
    for axis, (measure, title) in zip(axes, panels.items(), strict=True):
        medians, least, most = zip(*(summary[name][measure] for name in names), strict=True)
        low = [middle - small for middle, small in zip(medians, least, strict=True)]
        high = [large - middle for middle, large in zip(medians, most, strict=True)]
        colours = ["tab:orange" if name.startswith("ours") else "tab:blue" for name in names]
        axis.barh(names, medians, xerr=[low, high], color=colours, capsize=3)
        axis.set_title(title, fontsize=10)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
