"""Prints a comparison as tables; reads nothing but the result of `compare`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from uniner_dist.comparison.figures import Comparison, Differences, Example, ShownMention
from uniner_dist.core.characters import visible
from uniner_dist.evaluation.show import new_table, shown

#: Examples shown of each kind of change of an entity type.
_EXAMPLES: Final = 2
#: Mentions shown in one of them.
_MENTIONS: Final = 3
_KINDS: Final = ("appeared", "vanished", "moved", "borders")


def print_comparison(comparison: Comparison, console: Console | None = None) -> None:
    """Print documents, rates and changes per type (and per value of the `by` column), changed outcomes, examples.

    Args:
        comparison: result of `compare`.
        console: where to print; None: standard output.
    """
    console = console or Console()
    for side, named in (("before", comparison.before), ("after", comparison.after)):
        console.print(shown(f"{side}: {named.path}" + (f" (run {named.run})" if named.run else "")), soft_wrap=True)
    documents = comparison.documents
    console.print(
        f"{documents.both:,} documents in both, {documents.only_before:,} only before, "
        f"{documents.only_after:,} only after;\n{comparison.cells:,} annotations in both, "
        f"{comparison.only_before:,} only before, {comparison.only_after:,} only after\n"
    )
    console.print(_rates(comparison))
    console.print(_changes(comparison.by_type))
    if comparison.by:
        console.print(_by(comparison.by_column or "", comparison.by))
    if comparison.outcomes:
        console.print(_outcomes(comparison.outcomes))
    if comparison.examples:
        console.print(_examples(comparison.examples))


def _rates(comparison: Comparison) -> Table:
    title = "Agreement: annotations that are the same, and F1 of the mentions"
    table = new_table(title, "entity type", "annotations", "same", "95 %", "F1", "95 %")
    for name, figures in {**comparison.by_type, "all": comparison}.items():
        table.add_row(shown(name), f"{figures.cells:,}", *_figures(figures))
    return table


def _by(by: str, groups: Mapping[str, Differences]) -> Table:
    table = new_table(
        f"Agreement by {escape(visible(by))}", escape(visible(by)), "annotations", "same", "95 %", "F1", "95 %"
    )
    for name, figures in groups.items():
        table.add_row(shown(name), f"{figures.cells:,}", *_figures(figures))
    return table


def _figures(figures: Differences) -> list[str]:
    """Both rates with their intervals."""
    cells = []
    intervals = figures.intervals
    for value, interval in ((figures.agreement, intervals.agreement), (figures.f1, intervals.f1)):
        cells += ["–" if value is None else f"{value:.3f}", "{:.3f}–{:.3f}".format(*interval) if interval else ""]
    return cells


def _changes(by_type: Mapping[str, Differences]) -> Table:
    title = "Mentions of annotations on both sides"
    table = new_table(title, "entity type", "before", "after", "kept", "appeared", "vanished", "moved", "other borders")
    for entity_type, one in by_type.items():
        counts = (one.mentions_before, one.mentions_after, one.kept)
        changed = (one.appeared, one.vanished, one.moved, one.borders)  # in the order of _KINDS
        table.add_row(shown(entity_type), *(f"{count:,}" for count in (*counts, *changed)))
    return table


def _outcomes(outcomes: Mapping[str, int]) -> Table:
    table = new_table("Changed outcomes", "before → after", "annotations")
    for kind, cells in sorted(outcomes.items(), key=lambda item: -item[1]):
        table.add_row(shown(kind), f"{cells:,}")
    return table


def _examples(examples: Mapping[str, Mapping[str, Sequence[Example]]]) -> Table:
    table = Table("type", "change", "document", "mentions", title="Examples", title_justify="left", box=box.SIMPLE_HEAD)
    for entity_type, kinds in examples.items():
        for kind in _KINDS:
            for example in kinds.get(kind, ())[:_EXAMPLES]:
                cells = [entity_type, kind, example.doc_id, _words(example.mentions)]
                table.add_row(*(shown(cell) for cell in cells))
    return table


def _words(mentions: Sequence[ShownMention | tuple[ShownMention, ...]]) -> str:
    words = [_pair(one) if isinstance(one, tuple) else _one(one) for one in mentions[:_MENTIONS]]
    return "; ".join(words) + ("; …" if len(mentions) > _MENTIONS else "")


def _pair(pair: Sequence[ShownMention]) -> str:
    return f"{_one(pair[0])} → {_one(pair[1])}"


def _one(mention: ShownMention) -> str:
    place = "nowhere" if mention.start is None else f"{mention.start}–{mention.end}"
    return f"{mention.text} ({place})"
