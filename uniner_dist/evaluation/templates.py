"""Compares prompt templates for one model: the same benchmark for each, and a table of their scores.

Calls `run_benchmark` for each template, in a folder of its name, and writes `templates.json` with the mean F1 of each.
Running it again resumes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.text import Text

from uniner_dist.core.characters import visible
from uniner_dist.core.template import get_template
from uniner_dist.errors import ConfigError
from uniner_dist.evaluation.benchmark import run_benchmark
from uniner_dist.evaluation.figures import BenchmarkTable
from uniner_dist.evaluation.show import new_table
from uniner_dist.storage.filesystem import join, write_json


@dataclass(frozen=True)
class TemplatesCompared:
    """Benchmarks by their templates, and the template with the highest mean F1."""

    tables: Mapping[str, BenchmarkTable]
    best: str


def compare_templates(
    data: str, output: str, templates: Sequence[str], *, overrides: Sequence[str] = (), **arguments: Any
) -> TemplatesCompared:
    """Run the benchmark once per template.

    Args:
        data: as for `run_benchmark`.
        output: folder for `<template>/…` and `templates.json`.
        templates: names of prompt templates (`core.template.TEMPLATES`), at least one and all different.
        overrides: `key=value`, as for `annotate`; `model.template` is set from `templates`.
        arguments: further ones of `run_benchmark`.

    Returns:
        The benchmark's table of every template, in the order given, and the name of the best one.

    Raises:
        ConfigError: an unknown template, or one named twice.
    """
    for name in templates:
        try:
            get_template(name)
        except ConfigError as error:
            raise ConfigError(f"--templates {name}: {error.problems[0]}") from None
    if len(set(templates)) < len(templates):
        raise ConfigError(f"--templates {','.join(templates)}: a template is named twice")
    tables = {
        name: run_benchmark(data, join(output, name), overrides=[*overrides, f"model.template={name}"], **arguments)
        for name in templates
    }
    best = max(tables, key=lambda name: tables[name].mean_f1)
    write_json(
        join(output, "templates.json"),
        {"best": best, "mean_f1": {name: table.mean_f1 for name, table in tables.items()}},
    )
    return TemplatesCompared(tables, best)


def print_templates(compared: TemplatesCompared, console: Console | None = None) -> None:
    """Print one row per dataset and their mean, with one column of official F1 per template.

    Args:
        compared: result of `compare_templates`.
        console: where to print; default: standard output.
    """
    console = console or Console()
    tables = compared.tables
    first = next(iter(tables.values()))
    shown = new_table(f"Prompt templates for {escape(visible(first.model))}: official F1", "dataset", *tables)
    for name in first.datasets:
        shown.add_row(Text(visible(name)), *(f"{table.datasets[name].official.f1:.3f}" for table in tables.values()))
    shown.add_row("mean", *(f"{table.mean_f1:.3f}" for table in tables.values()))
    console.print(shown)
