"""How good annotations are: scores against gold, differences, provenance, the authors' table."""

from __future__ import annotations

from typing import Annotated

import typer

from uniner_dist.cli.json_output import HELP
from uniner_dist.cli.options import ConfigFiles, ModelOption, Set
from uniner_dist.cli.root import app, say


@app.command()
def evaluate(
    annotations: Annotated[str, typer.Option(help="Published annotations.")],
    gold: Annotated[str, typer.Option(help="Parquet, CoNLL, JSON lines, brat, JSON of Label Studio or the authors.")],
    by: Annotated[str | None, typer.Option(help="Column to score by as well, such as domain.")] = None,
    types: Annotated[str | None, typer.Option(help="Score only these types of the gold: person,location.")] = None,
    id_column: Annotated[str, typer.Option(help="Column of the document ids in both.")] = "doc_id",
    json: Annotated[str | None, typer.Option(help=f"Write all scores and the worst errors {HELP}")] = None,
    plot: Annotated[str | None, typer.Option(help="Write a picture: PNG, SVG or PDF.")] = None,
) -> None:
    """Score annotations against gold answers: the authors' metric, spans, confidence, the worst errors."""
    from uniner_dist.cli.evaluation import run_evaluate

    run_evaluate(annotations, gold, id_column, by, types, json, plot, say)


@app.command()
def diff(
    before: Annotated[str, typer.Option(help="Published annotations.")],
    after: Annotated[str, typer.Option(help="Published annotations, of another model, template or day.")],
    before_run: Annotated[str | None, typer.Option(help="Only the rows of this run.")] = None,
    after_run: Annotated[str | None, typer.Option(help="Only the rows of this run.")] = None,
    by: Annotated[str | None, typer.Option(help="Column of AFTER to count by as well, such as domain.")] = None,
    id_column: Annotated[str | None, typer.Option(help="Column of the document ids, if not the datasets' own.")] = None,
    json: Annotated[str | None, typer.Option(help=f"Write everything, with more examples, {HELP}")] = None,
    config: ConfigFiles = None,
    overrides: Set = None,
) -> None:
    """Compare two annotations datasets or runs (Spark): what appeared, vanished and moved, agreement, examples."""
    from uniner_dist.cli.comparison import run_diff
    from uniner_dist.comparison.joining import Side

    sides = Side(before, before_run), Side(after, after_run)
    run_diff(*sides, by, id_column, json, config or (), overrides or (), say)


@app.command()
def provenance(
    output: Annotated[str, typer.Option("--annotations", "--output", help="Published annotations.")],
    run: Annotated[str | None, typer.Option(help="Only this run, such as the run_id of a row.")] = None,
) -> None:
    """Where an output's rows come from, as JSON: each run's model, revision, template, fingerprint, engine, licence."""
    from uniner_dist.run.provenance import look_up
    from uniner_dist.storage.filesystem import json_text

    print(json_text(look_up(output, run)))


@app.command()
def benchmark(
    data: Annotated[str, typer.Option(help="Folder with the authors' JSON files, or with corpus/ and gold/.")],
    output: Annotated[str, typer.Option(help="Folder for annotations and scores of every data set.")],
    model: ModelOption = None,
    config: ConfigFiles = None,
    overrides: Set = None,
    templates: Annotated[
        str | None, typer.Option(help="Prompt templates to compare, by name, with commas between them.")
    ] = None,
) -> None:
    """The authors' table: annotate and score every data set of a folder with its own types."""
    from uniner_dist.cli.evaluation import run_benchmark_command

    names = tuple(name.strip() for name in (templates or "").split(",") if name.strip())
    run_benchmark_command(data, output, model, config or (), overrides or (), names, say)
