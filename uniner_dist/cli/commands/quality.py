"""How good annotations are: scores against gold, differences, provenance, the authors' table."""

from __future__ import annotations

from typing import Annotated

from uniner_dist.cli.command import INPUT, MODEL, OUTPUT
from uniner_dist.cli.json_output import HELP
from uniner_dist.cli.options import Annotations, ConfigFiles, ModelOption, Set, option
from uniner_dist.cli.root import app, say


@app.command()
def evaluate(
    annotations: Annotations,
    gold: Annotated[
        str, option(INPUT, "PATH", "Parquet, CoNLL, JSON lines, brat, JSON of Label Studio or the authors.", "--gold")
    ],
    by: Annotated[str | None, option(INPUT, "NAME", "Column to score by as well, such as domain.")] = None,
    types: Annotated[
        str | None, option(INPUT, "NAME,…", "Types to score: person,location. [default: all of the gold]")
    ] = None,
    id_column: Annotated[str, option(INPUT, "NAME", "Column of the document ids in both.")] = "doc_id",
    json: Annotated[str | None, option(OUTPUT, "PATH", f"Print all scores and the worst errors {HELP}")] = None,
    plot: Annotated[str | None, option(OUTPUT, "PATH", "Write a picture: PNG, SVG or PDF.")] = None,
) -> None:
    """Score annotations against gold answers: the authors' metric, spans, confidence, the worst errors."""
    from uniner_dist.cli.evaluation import run_evaluate

    run_evaluate(annotations, gold, id_column, by, types, json, plot, say)


@app.command()
def diff(
    before: Annotated[str, option(INPUT, "PATH", "Published annotations.")],
    after: Annotated[str, option(INPUT, "PATH", "Published annotations, of another model, template or day.")],
    before_run: Annotated[str | None, option(INPUT, "ID", "Run whose rows count. [default: all]")] = None,
    after_run: Annotated[str | None, option(INPUT, "ID", "Run whose rows count. [default: all]")] = None,
    by: Annotated[str | None, option(INPUT, "NAME", "Column of AFTER to count by as well, such as domain.")] = None,
    id_column: Annotated[
        str | None, option(INPUT, "NAME", "Column of the document ids. [default: the datasets' own]")
    ] = None,
    json: Annotated[str | None, option(OUTPUT, "PATH", f"Print everything, with more examples, {HELP}")] = None,
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
    annotations: Annotations,
    run: Annotated[
        str | None, option(INPUT, "ID", "Run to tell of, such as the run_id of a row. [default: all]")
    ] = None,
) -> None:
    """Where an output's rows come from, as JSON: each run's model, revision, template, fingerprint, engine, licence."""
    from uniner_dist.run.provenance import look_up
    from uniner_dist.storage.control_files import record_values
    from uniner_dist.storage.filesystem import json_text

    print(json_text({name: record_values(entry) for name, entry in look_up(annotations, run).items()}))


@app.command()
def benchmark(
    data: Annotated[str, option(INPUT, "PATH", "Folder with the authors' JSON files, or with corpus/ and gold/.")],
    output: Annotated[str, option(OUTPUT, "PATH", "Folder for annotations and scores of every dataset.")],
    model: ModelOption = None,
    config: ConfigFiles = None,
    overrides: Set = None,
    templates: Annotated[
        str | None, option(MODEL, "NAME,…", "Prompt templates to compare. [default: the model's own]")
    ] = None,
) -> None:
    """The authors' table: annotate and score every dataset of a folder with its own types."""
    from uniner_dist.cli.evaluation import run_benchmark_command

    names = tuple(name.strip() for name in (templates or "").split(",") if name.strip())
    run_benchmark_command(data, output, model, config or (), overrides or (), names, say)
