"""Prints scores as tables; reads nothing but the result of `evaluate`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from uniner_dist.core.characters import visible
from uniner_dist.evaluation.figures import Confidence, Metrics, Score, Scores, SpuriousMention, WorstPair, as_scores

_METRICS: Final = {"official": "official", "strict": "strict spans", "relaxed": "relaxed spans"}
#: Lines of the list of worst answers.
_WORST: Final = 8
#: Mentions shown in one of them.
_MENTIONS: Final = 4


def print_scores(scores: Scores | Mapping[str, object], console: Console | None = None) -> None:
    """Overall scores with intervals, per type, per value of the `by` column, confidence, and the worst answers.

    Args:
        scores: also as the mapping that `evaluate` returns, or that was stored as JSON.
        console: where to print; default: standard output.

    Raises:
        ConfigError: these are no scores.
    """
    scores = as_scores(scores)
    console = console or Console()
    console.print(_overall(scores))
    _print_notes(scores, console)
    console.print(_grouped("Scores by entity type", "entity type", scores.by_type))
    if scores.by:
        column = scores.by_column or ""
        console.print(_grouped(f"Scores by {escape(visible(column))}", column, scores.by))
    if scores.confidence:
        _print_confidence(scores.confidence, console)
    if scores.worst.pairs:
        console.print(_worst(scores.worst.pairs))


def shown(text: str) -> Text:
    """Return a value of a corpus or a gold file as rich text, without markup and control characters.

    Args:
        text: the value, as it was read.
    """
    return Text(visible(text))


def new_table(title: str, *columns: str) -> Table:
    """Return an empty table that fits into 80 columns; every column but the first is aligned to the right.

    Args:
        title: printed above the table, with rich markup: values of users must be escaped.
        columns: headings, at least one; with rich markup too.
    """
    table = Table(
        *columns,
        title=title,
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1),
        collapse_padding=True,
    )
    table.columns[0].min_width = 13
    for column in table.columns[1:]:
        column.justify = "right"
        column.no_wrap = True
    return table


def interval(score: Score) -> str:
    """Return the bootstrap interval of F1, such as `0.810–0.840`.

    Args:
        score: one metric over some annotations.
    """
    low, high = score.intervals.f1
    return f"{low:.3f}–{high:.3f}"


def _overall(scores: Scores) -> Table:
    pairs = scores.pairs.gold
    title = f"Scores against gold: {scores.documents:,} documents, {pairs:,} annotations"
    table = new_table(title, "metric", "prec.", "recall", "F1", "F1, 95 %", "right", "answered", "gold")
    for metric, name in _METRICS.items():
        score = _of_metric(scores, metric)
        if score is not None:
            counts = (score.counts.correct, score.counts.predicted, score.counts.gold)
            table.add_row(name, *_figures(score), interval(score), *(f"{n:,}" for n in counts))
    return table


def _print_notes(scores: Scores, console: Console) -> None:
    pairs = scores.pairs
    outcomes = ", ".join(f"{count:,} {name}" for name, count in scores.outcomes.items())
    console.print(shown(f"annotations: {outcomes}"), soft_wrap=True)
    if scores.answered:
        left_out = f", their {pairs.failed_mentions:,} mentions left out" * bool(pairs.failed_mentions)
        skipped = f"{pairs.skipped:,} skipped, " if pairs.skipped else ""
        console.print(
            f"{skipped}{pairs.failed:,} failed and {pairs.missing:,} missing annotations count as empty{left_out};"
        )
        console.print(f"official F1 of the other {pairs.answered:,} annotations: {scores.answered.official.f1:.3f}")
    _print_reading(scores, console)
    if pairs.annotations_without_gold:
        console.print(f"{pairs.annotations_without_gold:,} annotations have no gold and are left out")
    console.print()


def _print_reading(scores: Scores, console: Console) -> None:
    """What was taken for gold, how much of it was annotated, and whether both count in the same text."""
    for line in scores.read:
        console.print(shown(f"gold: {line}"), soft_wrap=True)
    if scores.annotated_documents < scores.documents:
        console.print(f"{scores.annotated_documents:,} of {scores.documents:,} gold documents are annotated")
    coordinates = scores.coordinates
    if coordinates.aligned:
        console.print(
            f"{coordinates.aligned:,} documents were annotated in another text than the gold's (other white space, "
            "say): their mentions were located in the gold's text",
            soft_wrap=True,
        )
    if coordinates.example is not None:
        example = coordinates.example
        console.print(
            shown(
                f"no span scores: in {coordinates.contradicting:,} documents gold and annotations count in "
                f"different texts, such as in {example.doc_id}: {example.says}"
            ),
            soft_wrap=True,
        )


def _grouped(title: str, column: str, groups: Mapping[str, Metrics]) -> Table:
    metrics = [metric for metric in _METRICS if any(_of_metric(scores, metric) for scores in groups.values())]
    table = new_table(title, escape(visible(column)), "prec.", "recall", "F1", "F1, 95 %", *metrics[1:], "gold")
    for name, scores in groups.items():
        official = scores.official
        others = [f"{score.f1:.3f}" for metric in metrics[1:] if (score := _of_metric(scores, metric))]
        table.add_row(shown(name), *_figures(official), interval(official), *others, f"{official.counts.gold:,}")
    return table


def _print_confidence(confidence: Confidence, console: Console) -> None:
    kinds = (("mentions", confidence.mentions), ('answers "none"', confidence.none))
    table = new_table(
        "Confidence: does it rank right above wrong?",
        "of",
        "number",
        "right",
        "AUC",
        "within types",
        "surest half right",
    )
    for name, summary in kinds:
        if summary is not None:
            auc, within = ("–" if one is None else f"{one:.3f}" for one in (summary.auc, summary.auc_within_types))
            half = next((point.precision for point in summary.curve if point.coverage >= 0.5), summary.right)
            table.add_row(name, f"{summary.n:,}", f"{summary.right:.1%}", auc, within, f"{half:.1%}")
    console.print(table)


def _worst(pairs: Sequence[WorstPair]) -> Table:
    table = Table(
        "document", "type", "missed", "spurious", title="Worst answers", title_justify="left", box=box.SIMPLE_HEAD
    )
    for pair in pairs[:_WORST]:
        spurious = [_with_types(mention) for mention in pair.spurious]
        cells = [pair.doc_id, pair.entity_type, _some(pair.missed), _some(spurious)]
        table.add_row(*(shown(cell) for cell in cells))
    return table


def _with_types(mention: SpuriousMention) -> str:
    types = ", ".join(mention.gold_types)
    return f"{mention.text} (is {types})" if types else mention.text


def _some(mentions: Sequence[str]) -> str:
    rest = len(mentions) - _MENTIONS
    return "; ".join(mentions[:_MENTIONS]) + (f"; {rest} more" if rest > 0 else "")


def _figures(score: Score) -> list[str]:
    return [f"{value:.3f}" for value in (score.precision, score.recall, score.f1)]


def _of_metric(metrics: Metrics, name: str) -> Score | None:
    return {"official": metrics.official, "strict": metrics.strict, "relaxed": metrics.relaxed}[name]
