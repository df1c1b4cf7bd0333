"""Scores as tables for a person at a terminal; reads nothing but the mapping that `evaluate` returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from uniner_dist.core.characters import visible

_METRICS: Final = {"official": "official", "strict": "strict spans", "relaxed": "relaxed spans"}
#: Lines of the list of worst answers.
_WORST: Final = 8
#: Mentions shown in one of them.
_MENTIONS: Final = 4


def print_scores(scores: Mapping[str, Any], console: Console | None = None) -> None:
    """Overall scores with intervals, per type, per value of the `by` column, confidence, and the worst answers."""
    console = console or Console()
    console.print(_overall(scores))
    _print_notes(scores, console)
    console.print(_grouped("Scores by entity type", "entity type", scores["by_type"]))
    if scores.get("by"):
        column = scores["by_column"]
        console.print(_grouped(f"Scores by {escape(visible(column))}", column, scores["by"]))
    if scores["confidence"]:
        _print_confidence(scores["confidence"], console)
    if scores["worst"]["pairs"]:
        console.print(_worst(scores["worst"]["pairs"]))


def shown(text: str) -> Text:
    """A value of a corpus or a gold file: no markup, and nothing that a terminal obeys."""
    return Text(visible(text))


def new_table(title: str, *columns: str) -> Table:
    """An empty table that fits into 80 columns, numbers to the right."""
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


def interval(score: Mapping[str, Any], name: str = "f1") -> str:
    """A bootstrap interval, such as `0.81–0.84`."""
    low, high = score["intervals"][name]
    return f"{low:.3f}–{high:.3f}"


def _overall(scores: Mapping[str, Any]) -> Table:
    pairs = scores["pairs"]["gold"]
    title = f"Scores against gold: {scores['documents']:,} documents, {pairs:,} annotations"
    table = new_table(title, "metric", "prec.", "recall", "F1", "F1, 95 %", "right", "answered", "gold")
    for metric, name in _METRICS.items():
        score = scores[metric]
        if score is not None:
            table.add_row(name, *_figures(score), interval(score), *(f"{n:,}" for n in score["counts"].values()))
    return table


def _print_notes(scores: Mapping[str, Any], console: Console) -> None:
    pairs = scores["pairs"]
    outcomes = ", ".join(f"{count:,} {name}" for name, count in scores["outcomes"].items())
    console.print(shown(f"annotations: {outcomes}"), soft_wrap=True)
    if scores["answered"]:
        left_out = f", their {pairs['failed_mentions']:,} mentions left out" * bool(pairs["failed_mentions"])
        skipped = f"{pairs['skipped']:,} skipped, " if pairs.get("skipped") else ""
        console.print(
            f"{skipped}{pairs['failed']:,} failed and {pairs['missing']:,} missing annotations count as empty"
            f"{left_out};"
        )
        console.print(
            f"official F1 of the other {pairs['answered']:,} annotations: {scores['answered']['official']['f1']:.3f}"
        )
    _print_reading(scores, console)
    if pairs["annotations_without_gold"]:
        console.print(f"{pairs['annotations_without_gold']:,} annotations have no gold and are left out")
    console.print()


def _print_reading(scores: Mapping[str, Any], console: Console) -> None:
    """What was taken for gold, how much of it was annotated, and whether both count in the same text."""
    for line in scores["read"]:
        console.print(shown(f"gold: {line}"), soft_wrap=True)
    if scores["annotated_documents"] < scores["documents"]:
        console.print(f"{scores['annotated_documents']:,} of {scores['documents']:,} gold documents are annotated")
    coordinates = scores["coordinates"]
    if coordinates["aligned"]:
        console.print(
            f"{coordinates['aligned']:,} documents were annotated in another text than the gold's (other white space, "
            "say): their mentions were located in the gold's text",
            soft_wrap=True,
        )
    if coordinates["contradicting"]:
        example = coordinates["example"]
        console.print(
            shown(
                f"no span scores: in {coordinates['contradicting']:,} documents gold and annotations count in "
                f"different texts, such as in {example['doc_id']}: {example['says']}"
            ),
            soft_wrap=True,
        )


def _grouped(title: str, column: str, groups: Mapping[str, Mapping[str, Any]]) -> Table:
    metrics = [metric for metric in _METRICS if any(scores[metric] for scores in groups.values())]
    table = new_table(title, escape(visible(column)), "prec.", "recall", "F1", "F1, 95 %", *metrics[1:], "gold")
    for name, scores in groups.items():
        official = scores["official"]
        others = [f"{scores[metric]['f1']:.3f}" for metric in metrics[1:]]
        table.add_row(shown(name), *_figures(official), interval(official), *others, f"{official['counts']['gold']:,}")
    return table


def _print_confidence(confidence: Mapping[str, Any], console: Console) -> None:
    names = {"mentions": "mentions", "none": 'answers "none"'}
    table = new_table(
        "Confidence: does it rank right above wrong?",
        "of",
        "number",
        "right",
        "AUC",
        "within types",
        "surest half right",
    )
    for kind, name in names.items():
        if confidence[kind]:
            summary = confidence[kind]
            auc, within = (
                "–" if summary[name] is None else f"{summary[name]:.3f}" for name in ("auc", "auc_within_types")
            )
            half = next((p["precision"] for p in summary["curve"] if p["coverage"] >= 0.5), summary["right"])
            table.add_row(name, f"{summary['n']:,}", f"{summary['right']:.1%}", auc, within, f"{half:.1%}")
    console.print(table)


def _worst(pairs: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(
        "document", "type", "missed", "spurious", title="Worst answers", title_justify="left", box=box.SIMPLE_HEAD
    )
    for pair in pairs[:_WORST]:
        spurious = [_with_types(mention) for mention in pair["spurious"]]
        cells = [pair["doc_id"], pair["entity_type"], _some(pair["missed"]), _some(spurious)]
        table.add_row(*(shown(cell) for cell in cells))
    return table


def _with_types(mention: Mapping[str, Any]) -> str:
    types = ", ".join(mention["gold_types"])
    return f"{mention['text']} (is {types})" if types else str(mention["text"])


def _some(mentions: Sequence[str]) -> str:
    rest = len(mentions) - _MENTIONS
    return "; ".join(mentions[:_MENTIONS]) + (f"; {rest} more" if rest > 0 else "")


def _figures(score: Mapping[str, Any]) -> list[str]:
    return [f"{score[name]:.3f}" for name in ("precision", "recall", "f1")]
