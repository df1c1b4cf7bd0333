"""Commands that export annotations to other tools."""

from __future__ import annotations

from dataclasses import replace as replace_fields
from typing import Annotated

from uniner_dist.cli.command import INPUT, OUTPUT
from uniner_dist.cli.examples import complete_format
from uniner_dist.cli.options import Annotations, ConfigFiles, Set, option
from uniner_dist.cli.root import app, say

_Path = Annotated[
    str,
    option(OUTPUT, "PATH", "Folder for the files: new, empty, or an export that nobody has changed.", "--output"),
]
_Format = Annotated[
    str,
    option(OUTPUT, "NAME", "conll, spacy, labelstudio, hf, brat or jsonl.", autocompletion=complete_format),
]
_Comments = Annotated[
    bool,
    option(
        *(OUTPUT, None),
        "conll: say ids, texts and types in comments. Readers of spaCy and flair take them for tokens.",
        "--comments/--no-comments",
    ),
]


@app.command()
def export(
    annotations: Annotations,
    output: _Path,
    format: _Format,
    corpus: Annotated[
        str | None, option(INPUT, "PATH", "Where the texts are. [default: what the annotations say]")
    ] = None,
    text_column: Annotated[str | None, option(INPUT, "NAME", "Column of the texts. [default: as annotated]")] = None,
    id_column: Annotated[str | None, option(INPUT, "NAME", "Column of the ids. [default: as annotated]")] = None,
    types: Annotated[str | None, option(INPUT, "NAME,…", "Types to write: person,location. [default: all]")] = None,
    sample: Annotated[
        int | None, option(INPUT, "N", "Documents to write, the same ones every time. [default: all]")
    ] = None,
    language: Annotated[str, option(OUTPUT, "CODE", "Of spaCy's tokens, such as en; xx is for any.")] = "xx",
    comments: _Comments = True,
    replace: Annotated[
        bool, option(OUTPUT, None, "Lose what people changed or added in an export that is there.", "--replace")
    ] = False,
    config: ConfigFiles = None,
    overrides: Set = None,
) -> None:
    """Write annotations and their texts for another tool; what is corrected there is gold for `evaluate`."""
    from uniner_dist.cli.export import ExportOptions, run_export

    options = ExportOptions(annotations, output, format, corpus, text_column, id_column, types, sample, language)
    options = replace_fields(options, comments=comments, replace=replace)
    run_export(options, config or (), overrides or (), say)
