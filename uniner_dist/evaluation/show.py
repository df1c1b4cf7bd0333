"""Scores as tables for a person at a terminal; reads nothing but the mapping that `evaluate` returns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

_METRICS = {"official": "official", "strict": "strict spans", "relaxed": "relaxed spans"}


def print_scores(scores: Mapping[str, Any], console: Console | None = None) -> None:
    """Overall scores with intervals, then per type and per value of the `by` column."""
    console = console or Console()
    console.print(_overall(scores))
    _print_notes(scores, console)
    console.print(_grouped("Scores by entity type", "entity type", scores["by_type"]))
    if scores.get("by"):
        column = scores["by_column"]
        console.print(_grouped(f"Scores by {column}", column, scores["by"]))


def _overall(scores: Mapping[str, Any]) -> Table:
    pairs = scores["pairs"]["gold"]
    title = f"Scores against gold: {scores['documents']:,} documents, {pairs:,} (document, entity type) pairs"
    table = Table("metric", "precision", "recall", "F1", "F1, 95 %", "correct", "predicted", "gold", title=title)
    _right(table)
    for metric, name in _METRICS.items():
        score = scores[metric]
        if score is not None:
            table.add_row(name, *_figures(score), _interval(score, "f1"), *(f"{n:,}" for n in score["counts"].values()))
    return table


def _print_notes(scores: Mapping[str, Any], console: Console) -> None:
    pairs = scores["pairs"]
    outcomes = ", ".join(f"{count:,} {name}" for name, count in scores["outcomes"].items())
    console.print(Text(f"answers: {outcomes}"), soft_wrap=True)
    if pairs["failed"] or pairs["missing"]:
        console.print(f"{pairs['failed']:,} failed and {pairs['missing']:,} missing answers count as empty")
    if pairs["annotations_without_gold"]:
        console.print(f"{pairs['annotations_without_gold']:,} annotations have no gold answer and are left out")


def _grouped(title: str, column: str, groups: Mapping[str, Mapping[str, Any]]) -> Table:
    metrics = [metric for metric in _METRICS if any(scores[metric] for scores in groups.values())]
    table = Table(escape(column), "precision", "recall", "F1", "F1, 95 %", title=title)
    for metric in metrics[1:]:
        table.add_column(f"{_METRICS[metric]} F1")
    table.add_column("gold")
    _right(table)
    for name, scores in groups.items():
        official = scores["official"]
        extra = [f"{scores[metric]['f1']:.3f}" for metric in metrics[1:]]
        table.add_row(
            Text(name), *_figures(official), _interval(official, "f1"), *extra, f"{official['counts']['gold']:,}"
        )
    return table


def _figures(score: Mapping[str, Any]) -> list[str]:
    return [f"{score[name]:.3f}" for name in ("precision", "recall", "f1")]


def _interval(score: Mapping[str, Any], name: str) -> str:
    low, high = score["intervals"][name]
    return f"{low:.3f} – {high:.3f}"


def _right(table: Table) -> None:
    for column in table.columns[1:]:
        column.justify = "right"
