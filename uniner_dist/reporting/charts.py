"""Charts as inline SVG. Pure; colours and fonts come from the page's style.

The drawings have a fixed size in their own units and scale with the page, so lines of text in them are few and large.
"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup

from uniner_dist.completions.work import Loss
from uniner_dist.core.characters import visible
from uniner_dist.reporting.progress import duration
from uniner_dist.storage.control_files import Attempt

_WIDTH: Final = 720
_LEFT: Final = 64
_RIGHT: Final = 12
_ROW: Final = 14
#: Rows of the replica timeline; the others are counted below it.
_LIVES: Final = 40


@dataclass(frozen=True)
class DrawnLife:
    """A replica from its placing to its end, in seconds of all starts put end to end; see `ReplicaLife`."""

    number: int
    node: str
    placed_s: float
    ready_s: float | None
    ended_s: float
    end: str | None


@dataclass(frozen=True)
class Timeline:
    """All starts of the completions stage, one after the other, without the time between them.

    Args:
        end_s: seconds of work in all.
        starts_s: where each start begins.
        rates: (begin, end, prompts per second) between two points.
        lives: of each replica.
        more_lives: replicas that are not among them.
    """

    end_s: float
    starts_s: Sequence[float]
    rates: Sequence[tuple[float, float, float]]
    lives: Sequence[DrawnLife]
    more_lives: int


def timeline(attempts: Sequence[Attempt]) -> Timeline | None:
    """Put the histories of the starts together, one after the other.

    Args:
        attempts: the starts of the completions stage, oldest first. One without points is left out.

    Returns:
        Throughput and replicas over the time of all starts, each of which begins with its first point or the placing of
        its first replica, whichever is earlier. None when no start has a history.
    """
    at, starts, rates, lives, more = 0.0, [], [], [], 0
    for attempt in attempts:
        history = attempt.history
        if not history.points:
            continue
        starts.append(at)
        # Before the first replica was placed there is nothing to see: Spark was at work, or the cluster full.
        first = min(history.points[0][0], *(life.placed_s for life in history.replicas), math.inf)
        end = max(history.points[-1][0], *(life.ended_s or 0 for life in history.replicas), first + 0.1)
        at -= first
        for before, after in zip(history.points, history.points[1:], strict=False):
            seconds = after[0] - before[0]
            if seconds > 0:
                rates.append((at + before[0], at + after[0], max(after[1] - before[1], 0) / seconds))
        for life in history.replicas:
            ready_s = None if life.ready_s is None else at + life.ready_s
            ended_s = at + (end if life.ended_s is None else life.ended_s)
            lives.append(DrawnLife(life.number, life.node, at + life.placed_s, ready_s, ended_s, life.end))
        more += history.replicas_left_out
        at += end
    return Timeline(at, starts, smooth(rates, at), lives, more) if starts else None


def smooth(
    rates: Sequence[tuple[float, float, float]], end_s: float, bins: int = 90
) -> list[tuple[float, float, float]]:
    """Return the means over equal stretches of time: shards end together, and single points would only show that.

    Args:
        rates: (begin, end, rate), with begin and end in seconds from 0 to `end_s`; they may leave gaps.
        end_s: seconds of the whole time.
        bins: number of stretches.

    Returns:
        (begin, end, mean rate) of each stretch, in order of time; a stretch that no rate covers is left out.
    """
    width = max(end_s / bins, 1e-9)
    done, covered = [0.0] * bins, [0.0] * bins
    for begin, end, rate in rates:
        first, last = int(begin / width), min(int(end / width), bins - 1)
        for index in range(first, last + 1):
            part = min(end, (index + 1) * width) - max(begin, index * width)
            if part > 0:
                done[index] += rate * part
                covered[index] += part
    return [(i * width, (i + 1) * width, done[i] / covered[i]) for i in range(bins) if covered[i] > 0]


def throughput(line: Timeline) -> Markup:
    """Return a chart of prompts per second over the time of work.

    Args:
        line: result of `timeline`.
    """
    height, bottom = 190, 160
    top = nice(max((rate for _, _, rate in line.rates), default=0) or 1)
    scale = (bottom - 12) / top
    parts = [_grid(bottom - value * scale, _number(value)) for value in (0, top / 2, top)]
    area = "".join(
        f"L{_x(begin, line):.1f} {bottom - rate * scale:.1f}L{_x(end, line):.1f} {bottom - rate * scale:.1f}"
        for begin, end, rate in line.rates
    )
    if line.rates:
        first, last = _x(line.rates[0][0], line), _x(line.rates[-1][1], line)
        parts.append(f'<path class="area" d="M{first:.1f} {bottom}{area}L{last:.1f} {bottom}Z"/>')
    return _svg("Prompts per second over time", height, [*parts, *_axis(line, bottom), *_marks(line, bottom)])


def replicas(line: Timeline) -> Markup:
    """Return a chart with a bar for each replica: loading, then at work; a red end where it was lost.

    Args:
        line: result of `timeline`; the first 40 of its replicas are drawn.
    """
    shown = line.lives[:_LIVES]
    bottom = 10 + _ROW * max(len(shown), 1)
    parts = []
    for row, life in enumerate(shown):
        y = 8 + _ROW * row
        name = escape(f"replica {life.number} on node {life.node}: {_story(life)}")
        ready = life.ready_s if life.ready_s is not None else life.ended_s
        bars = _bar("loading", life.placed_s, ready, y, line) + _bar("working", ready, life.ended_s, y, line)
        end = _x(life.ended_s, line)
        lost = f'<rect class="lost" x="{end - 5:.1f}" y="{y - 2}" width="5" height="{_ROW}"/>' if life.end else ""
        parts.append(f'<text class="row" x="{_LEFT - 8}" y="{y + 9}">{life.number}</text>')
        parts.append(f"<g><title>{name}</title>{bars}{lost}</g>")
    return _svg("Replicas over time", bottom + 30, [*parts, *_axis(line, bottom), *_marks(line, bottom)])


def lives(line: Timeline) -> list[tuple[str, str, str]]:
    """Return (number, node, what became of it) of the replicas that are drawn, for readers who cannot point at a bar.

    Args:
        line: result of `timeline`.
    """
    return [(str(life.number), visible(life.node), _story(life)) for life in line.lives[:_LIVES]]


def hidden_replicas(line: Timeline) -> int:
    """Return the number of replicas that the timeline does not show; a lower bound where a history left some out.

    Args:
        line: result of `timeline`.
    """
    return max(len(line.lives) - _LIVES, 0) + line.more_lives


def stacked(parts: Sequence[tuple[str, int]], label: str) -> Markup:
    """Return one bar of 100 %, divided by counts.

    Args:
        parts: (outcome, count), from left to right. The outcome is the part's CSS class and its tooltip.
        label: what the bar is about, for screen readers.
    """
    total = sum(count for _, count in parts) or 1
    x, bars = 0.0, []
    for kind, count in parts:
        width = 100 * count / total
        if count:
            title = escape(f"{kind}: {count:,}")
            bars.append(
                f'<rect class="outcome {escape(kind)}" x="{x:.2f}" width="{max(width, 0.4):.2f}" height="10">'
                f"<title>{title}</title></rect>"
            )
        x += width
    head = f'viewBox="0 0 100 10" preserveAspectRatio="none" role="img" aria-label="{escape(label)}"'
    return Markup(f'<svg class="stacked" {head}>{"".join(bars)}</svg>')


def nice(value: float) -> float:
    """Return the least round number that is not below a value: 1, 2, 4, 5, 8 or 10 times a power of ten.

    Args:
        value: above 0; below 0.1 the result is 0.1.
    """
    step = 10.0 ** (len(str(int(value))) - 1) if value >= 1 else 0.1
    return next(step * factor for factor in (1, 2, 4, 5, 8, 10) if step * factor >= value)


def escape(value: str) -> str:
    """Return foreign text as it may be inserted into a drawing, in text and in attributes.

    Args:
        value: text of a corpus, a model or a user.
    """
    return html.escape(visible(value), quote=True)


def _story(life: DrawnLife) -> str:
    ends = {Loss.NODE.value: "lost with its node", Loss.START.value: "failed to start", Loss.DEATH.value: "died"}
    loaded = "never loaded" if life.ready_s is None else f"loaded in {duration(life.ready_s - life.placed_s)}"
    end = ends.get(life.end or "")
    return f"{loaded}, {end} after {duration(life.ended_s - life.placed_s)}" if end else loaded


def _x(seconds: float, line: Timeline) -> float:
    return _LEFT + (_WIDTH - _LEFT - _RIGHT) * seconds / (line.end_s or 1)


def _bar(kind: str, begin: float, end: float, y: int, line: Timeline) -> str:
    x = _x(begin, line)
    return f'<rect class="{kind}" x="{x:.1f}" y="{y}" width="{max(_x(end, line) - x, 0):.1f}" height="{_ROW - 4}"/>'


def _grid(y: float, name: str) -> str:
    line = f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
    return f'{line}<text class="name" x="{_LEFT - 8}" y="{y + 4:.1f}">{name}</text>'


def _axis(line: Timeline, bottom: float) -> list[str]:
    ticks = [line.end_s * part for part in (0, 0.25, 0.5, 0.75, 1)]
    places = ["start", "middle", "middle", "middle", "end"]
    return [
        f'<text class="tick" text-anchor="{place}" x="{_x(tick, line):.1f}" y="{bottom + 20}">'
        f"{_time(tick, line)}</text>"
        for tick, place in zip(ticks, places, strict=True)
    ]


def _time(seconds: float, line: Timeline) -> str:
    """Where the whole axis is a few seconds long, with a decimal."""
    return f"{seconds:.1f} s" if line.end_s < 8 else duration(seconds)


def _marks(line: Timeline, bottom: float) -> list[str]:
    """Where the stage was started again."""
    return [
        f'<line class="start" x1="{_x(s, line):.1f}" x2="{_x(s, line):.1f}" y1="4" y2="{bottom}">'
        f"<title>start {number}</title></line>"
        for number, s in enumerate(line.starts_s, 1)
        if number > 1
    ]


def _number(value: float) -> str:
    return f"{value / 1000:g}k" if value >= 10_000 else f"{value:,.10g}"


def _svg(title: str, height: float, parts: Sequence[str]) -> Markup:
    name = escape(title)
    return Markup(
        f'<svg class="chart" viewBox="0 0 {_WIDTH} {height:.0f}" role="img" aria-label="{name}">{"".join(parts)}</svg>'
    )
