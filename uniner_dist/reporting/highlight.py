"""Texts with marked mentions as HTML, for notebooks, the report, or any page. Pure; no I/O.

Returns an HTML fragment in displaCy's manner (a coloured mark followed by its label), in which everything that came
from the corpus is escaped. Offsets are code points. A mention inside another one is a mark inside a mark; where
mentions cross, each gets a line of its own under the text. Colours follow the page: light or dark by the reader's
system, by JupyterLab's theme or by VS Code's. Nothing is fetched from anywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from typing import Final

from uniner_dist.core.characters import cuts_character, visible

#: Hues of the first types, far apart from one another; further types take them again (the label always says which).
_HUES: Final = (210, 140, 32, 280, 355, 180, 320, 85, 245, 55, 160, 300)
#: Pixels from one line under crossing mentions to the next.
_LINE_STEP: Final = 5

_LIGHT: Final = "--ud-back: 88%; --ud-text: 14%; --ud-line: 42%; --ud-label: 24%; --ud-vivid: 75%;"
_DARK: Final = "--ud-back: 24%; --ud-text: 93%; --ud-line: 62%; --ud-label: 82%; --ud-vivid: 42%;"

#: What the fragments need; once per page. A theme that the page declares overrides the reader's system.
STYLE: Final = f"""<style>
.ud {{ {_LIGHT} font: 15px/1.5 system-ui, sans-serif; color: inherit; max-width: 60em; overflow-wrap: anywhere; }}
@media (prefers-color-scheme: dark) {{ .ud {{ {_DARK} }} }}
[data-jp-theme-light="true"] .ud, .vscode-light .ud {{ {_LIGHT} }}
[data-jp-theme-light="false"] .ud, .vscode-dark .ud {{ {_DARK} }}
.ud figure {{ margin: 0 0 1em; padding: .1em .8em; border-inline-start: 3px solid hsl(0 0% 50% / .35); }}
.ud figcaption {{ font-size: .8em; opacity: .7; }}
.ud-text {{ white-space: pre-wrap; line-height: 2; }}
.ud mark {{ background: hsl(var(--h) var(--ud-vivid) var(--ud-back)); color: hsl(var(--h) 35% var(--ud-text));
  padding: .15em .3em; border-radius: .3em; -webkit-box-decoration-break: clone; box-decoration-break: clone;
  print-color-adjust: exact; -webkit-print-color-adjust: exact; }}
.ud mark mark {{ box-shadow: 0 0 0 1px hsl(var(--h) 40% var(--ud-line)); }}
.ud-label {{ font-size: .72em; font-weight: 600; color: hsl(var(--h) 60% var(--ud-label)); margin-inline-start: .4em;
  white-space: nowrap; user-select: none; unicode-bidi: isolate; }}
.ud-line {{ border-bottom: 3px solid hsl(var(--h) 60% var(--ud-line)); }}
.ud-more {{ font-size: .8em; }}
.ud-legend {{ margin: 0 0 .8em; line-height: 2; }}
.ud-legend mark {{ display: inline-block; line-height: 1.5; margin-inline-end: .5em; }}
</style>"""


@dataclass(frozen=True)
class Mention:
    """A mention to show.

    Args:
        label: its entity type.
        text: as it was answered.
        start, end: its offsets in code points; both None where it was not located.
    """

    label: str
    text: str
    start: int | None = None
    end: int | None = None


@dataclass(frozen=True)
class Placed:
    """A mention that was located in the text to show."""

    label: str
    start: int
    end: int


@dataclass(frozen=True)
class Marked:
    """One document to show.

    Args:
        title: what names it, such as its id.
        text: the whole text.
        entities: its mentions.
    """

    title: str
    text: str
    entities: Sequence[Mention]


def placed_mentions(entities: Iterable[Mention]) -> list[Placed]:
    """Return those mentions that were located, in the order given.

    Args:
        entities: mentions of one text.
    """
    return [
        Placed(entity.label, entity.start, entity.end)
        for entity in entities
        if entity.start is not None and entity.end is not None
    ]


def hues_of(labels: Iterable[str]) -> dict[str, int]:
    """Return a hue (in degrees) for each label, in the order given, so that a page uses the same ones throughout.

    Args:
        labels: entity types, with repeats; the first twelve different ones get different hues.
    """
    return {label: _HUES[i % len(_HUES)] for i, label in enumerate(dict.fromkeys(labels))}


def documents_html(documents: Sequence[Marked], labels: Iterable[str] = (), max_chars: int | None = 600) -> str:
    """Return an HTML fragment with style, legend and all documents.

    Args:
        documents: title, text and mentions of each; everything in them is escaped.
        labels: entity types in the order of their colours; those of the documents are added.
        max_chars: see `text_html`.
    """
    hues = hues_of([*labels, *(entity.label for document in documents for entity in document.entities)])
    figures = [
        f"<figure><figcaption>{_safe(document.title)}</figcaption>"
        f"{text_html(document.text, document.entities, hues, max_chars)}</figure>"
        for document in documents
    ]
    return f'{STYLE}\n<div class="ud">{legend_html(hues)}{"".join(figures)}</div>'


def legend_html(hues: Mapping[str, int]) -> str:
    """Return an HTML fragment that shows the labels in their colours.

    Args:
        hues: colour of each label, see `hues_of`. Labels are escaped.
    """
    marks = "".join(f'<mark style="--h:{hue}">{_safe(label)}</mark>' for label, hue in hues.items())
    return f'<div class="ud-legend">{marks}</div>'


def text_html(text: str, entities: Sequence[Mention], hues: Mapping[str, int], max_chars: int | None = None) -> str:
    """Return one text with its mentions marked; to be put inside of an element of class `ud`, with `STYLE` on the page.

    Args:
        text: of the document, unescaped.
        entities: those without offsets are listed below the text.
        hues: colour of each label, see `hues_of`.
        max_chars: a longer text is cut to about this many characters around its first mention; None shows all of it.
    """
    placed = sorted(placed_mentions(entities), key=lambda entity: (entity.start, -entity.end))
    begin, end = excerpt(text, placed, max_chars)
    shown = [entity for entity in placed if begin <= entity.start and entity.end <= end]
    parts, position = ["…" if begin else ""], begin
    for group in _overlapping(shown):
        start, stop = group[0].start, max(entity.end for entity in group)
        parts.append(_safe(text[position:start]))
        parts.append(_nested(text, group, hues) if _is_nested(group) else _lines(text, group, hues))
        position = stop
    parts += [_safe(text[position:end]), "…" if end < len(text) else ""]
    hidden = len(placed) - len(shown)
    return f'<div class="ud-text" dir="auto">{"".join(parts)}</div>{_absent(entities, hues)}{_more(hidden)}'


def excerpt(text: str, placed: Sequence[Placed], max_chars: int | None) -> tuple[int, int]:
    """Choose the part of a text to show: about `max_chars` from a little before the first mention on.

    It cuts no mention, except one that would make the part longer than twice `max_chars`. Characters of several code
    points stay whole.

    Args:
        text: of the document.
        placed: mentions with offsets, sorted by `start`.
        max_chars: code points; None shows all of it.

    Returns:
        Begin and end of the part, in code points of `text`.
    """
    if max_chars is None or len(text) <= max_chars:
        return 0, len(text)
    first = placed[0].start if placed else 0
    begin = 0 if first < max_chars // 2 else first - max_chars // 4
    end = min(len(text), begin + max_chars)
    for entity in placed:
        if entity.start < end < entity.end:
            end = min(entity.end, begin + 2 * max_chars)
    while cuts_character(text, begin):
        begin -= 1
    while cuts_character(text, end):
        end += 1
    return begin, end


def _overlapping(placed: Sequence[Placed]) -> list[list[Placed]]:
    """Groups of mentions that overlap, directly or through others; most groups have one mention."""
    groups: list[list[Placed]] = []
    reach = -1
    for entity in placed:
        if entity.start < reach:
            groups[-1].append(entity)
        else:
            groups.append([entity])
        reach = max(reach, entity.end)
    return groups


def _is_nested(group: Sequence[Placed]) -> bool:
    """Whether of any two that overlap one holds the other."""
    open_ends: list[int] = []
    for entity in group:
        while open_ends and open_ends[-1] <= entity.start:
            open_ends.pop()
        if open_ends and entity.end > open_ends[-1]:
            return False
        open_ends.append(entity.end)
    return True


def _nested(text: str, group: Sequence[Placed], hues: Mapping[str, int]) -> str:
    """Marks inside of marks."""
    parts: list[str] = []
    around: list[Placed] = []
    position = group[0].start

    def close(until: int) -> None:
        nonlocal position
        while around and around[-1].end <= until:
            entity = around.pop()
            parts.append(f"{_safe(text[position : entity.end])}{_label(entity, hues)}</mark>")
            position = entity.end

    for entity in group:
        close(entity.start)
        parts.append(f"{_safe(text[position : entity.start])}<mark {_colour(entity, hues)}>")
        position = entity.start
        around.append(entity)
    close(len(text))
    return "".join(parts)


def _lines(text: str, group: Sequence[Placed], hues: Mapping[str, int]) -> str:
    """Crossing mentions: each has a line at a height of its own, and its label where it ends.

    Between two lines of text there is room for two; a taller group makes the lines of text that it is in taller.
    """
    heights = _heights(group)
    borders = sorted({place for entity in group for place in (entity.start, entity.end)})
    parts = []
    for start, end in pairwise(borders):
        covering = [i for i, entity in enumerate(group) if entity.start <= start and end <= entity.end]
        parts.append(_underlined(_safe(text[start:end]), covering, group, heights, hues))
        going_on = [i for i in covering if group[i].end > end]
        for entity in (group[i] for i in covering if group[i].end == end):
            parts.append(_underlined(_label(entity, hues), going_on, group, heights, hues))
    more = max(heights) - 1
    return (
        f'<span style="line-height:calc(2em + {2 * _LINE_STEP * more}px)">{"".join(parts)}</span>'
        if more > 0
        else "".join(parts)
    )


def _underlined(
    inner: str,
    covering: Sequence[int],
    group: Sequence[Placed],
    heights: Sequence[int],
    hues: Mapping[str, int],
) -> str:
    """The lower a line, the further out its element."""
    for i in sorted(covering, key=lambda i: heights[i]):
        style = f"--h:{hues.get(group[i].label, 0)};padding-bottom:{1 + _LINE_STEP * heights[i]}px"
        inner = f'<span class="ud-line" style="{style}">{inner}</span>'
    return inner


def _heights(group: Sequence[Placed]) -> list[int]:
    """For each mention the first line, counted from the text down, that is free where it begins."""
    ends: list[int] = []
    heights = []
    for entity in group:
        free = next((i for i, end in enumerate(ends) if end <= entity.start), len(ends))
        ends[free : free + 1] = [entity.end]
        heights.append(free)
    return heights


def _absent(entities: Sequence[Mention], hues: Mapping[str, int]) -> str:
    """Mentions that are nowhere in the text."""
    absent = [entity for entity in entities if entity.start is None]
    if not absent:
        return ""
    marks = " ".join(
        f"<mark {_colour(entity, hues)}>{_safe(entity.text)}{_label(entity, hues)}</mark>" for entity in absent
    )
    return f'<div class="ud-more">answered, but not in the text: {marks}</div>'


def _more(hidden: int) -> str:
    return f'<div class="ud-more">{hidden:,} more outside of this part</div>' if hidden else ""


def _label(entity: Mention | Placed, hues: Mapping[str, int]) -> str:
    return f'<span class="ud-label" {_colour(entity, hues)}>{_safe(entity.label)}</span>'


def _colour(entity: Mention | Placed, hues: Mapping[str, int]) -> str:
    return f'style="--h:{hues.get(entity.label, 0)}"'


def _safe(value: str) -> str:
    """Text of a corpus for a page: no markup, no control character, no direction mark that affects what follows it."""
    return escape(visible(value, keep="\n\t\u200d\u200c\ufe0f"))
