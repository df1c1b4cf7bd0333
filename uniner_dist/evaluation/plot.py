"""Plots of scores: bars per entity type with intervals, and the calibration of confidences.

Draws the result of `evaluate` as a PNG or SVG file. Needs matplotlib, which nothing else does.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from uniner_dist.errors import ConfigError
from uniner_dist.evaluation.figures import Bounds, Confidence, ConfidenceSummary, Score, Scores, as_scores
from uniner_dist.storage.filesystem import write_bytes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SUFFIXES: Final = ("png", "svg", "pdf")
#: Colours that colour-blind readers and prints keep apart (Okabe and Ito), like those of `_curves`.
_BARS: Final = {"precision": "#56B4E9", "recall": "#E69F00", "f1": "#009E73"}
#: Characters of an entity type that are shown.
_LONGEST_NAME: Final = 32
_LABELS: Final = {"precision": "precision", "recall": "recall", "f1": "F1"}


def check_plot_path(path: str) -> None:
    """Check, before anything is computed, that the picture can be written.

    Args:
        path: path or URL of the picture.

    Raises:
        ConfigError: an ending other than .png, .svg and .pdf, or matplotlib is not installed.
    """
    if path.rsplit(".", 1)[-1].lower() not in _SUFFIXES:
        raise ConfigError(f"--plot {path}: must end in .{', .'.join(_SUFFIXES)}")
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise ConfigError("--plot needs matplotlib: pip install matplotlib") from error


def plot_scores(scores: Scores | Mapping[str, object], path: str) -> None:
    """Write the picture.

    Args:
        scores: also as the mapping that `evaluate` returns, or that was stored as JSON.
        path: path or URL of the picture; its ending (.png, .svg or .pdf) chooses the format.

    Raises:
        ConfigError: another ending, or matplotlib is not installed; or these are no scores.
    """
    check_plot_path(path)
    sink = io.BytesIO()
    draw_scores(as_scores(scores)).savefig(sink, format=path.rsplit(".", 1)[-1].lower(), dpi=150)
    write_bytes(path, sink.getvalue())


def draw_scores(scores: Scores) -> Figure:
    """Return the picture as a matplotlib figure: bars per entity type, and curves of the confidences if there are any.

    Args:
        scores: official scores and, where the annotations have them, summaries of the confidences.
    """
    from matplotlib.figure import Figure

    types = len(scores.by_type) + 1
    height = max(3.5, 1.2 + 0.42 * types)
    confidence = scores.confidence
    figure = Figure(figsize=(14 if confidence else 7.5, height), layout="constrained")
    if confidence is None:
        _draw_types(figure.add_subplot(), scores)
        return figure
    panels = figure.add_gridspec(2 if height > 6 else 1, 2 if height > 6 else 3)
    _draw_types(figure.add_subplot(panels[:, 0]), scores)
    _draw_coverage(figure.add_subplot(panels[0, 1]), confidence)
    _draw_reliability(figure.add_subplot(panels[1, 1] if height > 6 else panels[0, 2]), confidence)
    return figure


def _draw_types(axes: Axes, scores: Scores) -> None:
    """Horizontal bars: all types first, then each, best F1 on top; a line from end to end of each interval."""
    ranked = sorted(scores.by_type.items(), key=lambda item: -item[1].official.f1)
    rows = [("all types", scores.official), *((name, one.official) for name, one in ranked)]
    for offset, (measure, colour) in zip((-0.27, 0.0, 0.27), _BARS.items(), strict=True):
        places = [index + offset for index in range(len(rows))]
        figures = [_of_measure(score, measure) for _, score in rows]
        values = [value for value, _ in figures]
        below = [max(0.0, value - low) for value, (low, _) in figures]
        above = [max(0.0, high - value) for value, (_, high) in figures]
        style = {"elinewidth": 0.9, "capsize": 1.5, "ecolor": "#444444"}
        axes.barh(places, values, 0.25, xerr=[below, above], color=colour, label=_LABELS[measure], error_kw=style)
    axes.axhline(0.5, color="#bbbbbb", linewidth=0.8)
    axes.set_yticks(range(len(rows)), [f"{_short(name)}  ({score.counts.gold:,})" for name, score in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlim(0, 1)
    axes.set_xlabel("official score, 95 % intervals (gold mentions)")
    axes.set_title("By entity type", loc="left", pad=26)
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 0.99), ncols=3, frameon=False, columnspacing=1, handlelength=1)


def _of_measure(score: Score, measure: str) -> tuple[float, Bounds]:
    intervals = score.intervals
    return {
        "precision": (score.precision, intervals.precision),
        "recall": (score.recall, intervals.recall),
        "f1": (score.f1, intervals.f1),
    }[measure]


def _short(name: str) -> str:
    """A type may be a whole definition. A dollar sign would begin a formula."""
    return (name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…").replace("$", r"\$")


def _curves(confidence: Confidence) -> list[tuple[ConfidenceSummary, str, str]]:
    """The curves to draw, with their names and colours."""
    kinds = ((confidence.mentions, "mentions", "#0072B2"), (confidence.none, 'answers "none"', "#D55E00"))
    return [(summary, name, colour) for summary, name, colour in kinds if summary is not None]


def _draw_coverage(axes: Axes, confidence: Confidence) -> None:
    for summary, name, colour in _curves(confidence):
        auc = "" if summary.auc is None else f"\nAUC {summary.auc:.3f}"
        within = summary.auc_within_types
        auc += "" if within is None else f", within types {within:.3f}"
        coverage = [point.coverage for point in summary.curve]
        precision = [point.precision for point in summary.curve]
        axes.plot(coverage, precision, color=colour, label=f"{name} ({summary.n:,}){auc}")
    _finish(axes, "Keeping only the surest", "share kept", "share of the kept that is right")


def _draw_reliability(axes: Axes, confidence: Confidence) -> None:
    axes.plot([0, 1], [0, 1], color="#999999", linewidth=1, linestyle="--", label="confidence = share right")
    for summary, name, colour in _curves(confidence):
        bins = summary.reliability
        if bins:
            most = max(one.n for one in bins)
            means, rights = [one.confidence for one in bins], [one.right for one in bins]
            axes.plot(means, rights, color=colour, label=name)
            axes.scatter(means, rights, [12 + 90 * one.n / most for one in bins], color=colour)
    _finish(axes, "Confidence and truth (dot size: number)", "mean confidence", "share right")


def _finish(axes: Axes, title: str, x_label: str, y_label: str) -> None:
    axes.set_title(title, loc="left")
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.set_xlim(0, 1.02)
    axes.set_ylim(0, 1.03)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="best", framealpha=0.8, edgecolor="none")
