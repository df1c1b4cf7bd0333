"""Annotations into other tools."""

from __future__ import annotations

from dataclasses import replace as replace_fields
from typing import Annotated

import typer

from uniner_dist.cli.examples import complete_format
from uniner_dist.cli.options import ConfigFiles, Set
from uniner_dist.cli.root import app, say


@app.command()
def export(
    annotations: Annotated[str, typer.Option(help="Published annotations.")],
    to: Annotated[
        str,
        typer.Option(
            "--output", "--to", help="Folder for the files: new, empty, or an export in which nobody has worked."
        ),
    ],
    format: Annotated[
        str, typer.Option(help="conll, spacy, labelstudio, hf, brat or jsonl.", autocompletion=complete_format)
    ],
    corpus: Annotated[str | None, typer.Option(help="Where the texts are. Default: what the annotations say.")] = None,
    text_column: Annotated[str | None, typer.Option(help="Column of the texts. Default: as annotated.")] = None,
    id_column: Annotated[str | None, typer.Option(help="Column of the ids. Default: as annotated.")] = None,
    types: Annotated[str | None, typer.Option(help="Only these types: person,location.")] = None,
    sample: Annotated[int | None, typer.Option(help="Only so many documents, the same ones every time.")] = None,
    language: Annotated[str, typer.Option(help="Of spaCy's tokens, such as en; xx is for any.")] = "xx",
    comments: Annotated[
        bool,
        typer.Option(
            "--comments/--no-comments",
            help="conll: say ids, texts and types in comments. Readers of spaCy and flair take them for tokens.",
        ),
    ] = True,
    replace: Annotated[
        bool, typer.Option("--replace", help="Lose what people changed or added in an export that is there already.")
    ] = False,
    config: ConfigFiles = None,
    overrides: Set = None,
) -> None:
    """Write annotations and their texts for another tool; what is corrected there is gold for `evaluate`."""
    from uniner_dist.cli.export import ExportOptions, run_export

    options = ExportOptions(annotations, to, format, corpus, text_column, id_column, types, sample, language)
    options = replace_fields(options, comments=comments, replace=replace)
    run_export(options, config or (), overrides or (), say)
