"""Templates of the DAGs, rendered as Airflow does: undefined names are errors. Airflow itself runs in tests/airflow."""

from __future__ import annotations

import ast
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import jinja2

TASKS = Path(__file__).parents[2] / "jobs/airflow/uniner_tasks.py"


def render(name: str, **variable: str) -> str:
    """A constant of the tasks' module, for the first day of 2026."""
    assigned = {
        node.targets[0].id: node.value
        for node in ast.parse(TASKS.read_text()).body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=True)
    environment.filters["ds"] = lambda day: day.strftime("%Y-%m-%d")
    var = SimpleNamespace(json=SimpleNamespace(uniner_dist=variable))
    template = environment.from_string(ast.literal_eval(assigned[name]))
    return template.render(var=var, data_interval_start=datetime(2026, 1, 1, tzinfo=UTC))


def test_the_corpus_of_an_interval_is_its_partition_or_the_whole_table() -> None:
    assert render("CORPUS", corpus="s3://bucket/corpus") == "s3://bucket/corpus/day=2026-01-01"
    for table in ("s3://bucket/notes", "table:lake.ns.notes"):
        assert render("CORPUS", table=table) == table
        assert render("CORPUS", table=table, corpus="s3://bucket/corpus") == table
