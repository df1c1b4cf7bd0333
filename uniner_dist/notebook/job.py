"""The main job as Python functions: from a corpus by its path, or data in memory, to published annotations.

Same as `uniner-dist annotate` and `uniner-dist plan`, with their options as arguments and typed results. Data in
memory is first written next to the output, where every process can read it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from uniner_dist.config.loading import Files, load_config
from uniner_dist.config.schema import Config
from uniner_dist.notebook.job_results import Plan, Report
from uniner_dist.notebook.saved_corpus import save_corpus


def annotate(
    data: Any,
    types: Any,
    *,
    output: str,
    id_column: str | None = None,
    text_column: str | None = None,
    keep_columns: Sequence[str] = (),
    model: str | None = None,
    scores: bool = False,
    workdir: str | None = None,
    config: Files = None,
    settings: Mapping[str, Any] | None = None,
    say: Callable[[str], None] = print,
) -> Report:
    """Annotate a corpus and publish the annotations as Parquet. The same call again resumes, or finds it finished.

    Args:
        data: path of the corpus: a Parquet file, folder, glob or Hive dataset, or a table, on any storage. Or strings,
            a pandas, Arrow, polars, Hugging Face or Spark table, a `DeltaTable` or a table of pyiceberg, which is
            written to `OUTPUT.corpus` first.
        types: ["person", "location"], "PER=person,ORG=company or institution", or {label: phrase or definition}.
        output: folder for the annotations: new, empty, or annotations of ours.
        id_column: column of unique ids; default: `doc_id`. Rows of data in memory are numbered without one.
        text_column: column of texts; default: `text`.
        keep_columns: further columns to carry into the annotations.
        model: "demo", a Hugging Face name, or a folder; default: demo.
        scores: write confidences.
        workdir: folder of runs; default: `OUTPUT.work`.
        config: YAML file or files, such as conf/cluster.yaml.
        settings: any other option by its dotted name, such as {"pool.replicas": 2}.
        say: takes one line of news.

    Returns:
        A report with counts, times and paths.

    Raises:
        ConfigError: everything that is wrong with the arguments, the corpus or the model, before anything is started.
        StageError: a cluster or a storage failed; the same call resumes. Others: see `uniner_dist.errors`.

    Example:
        >>> report = ud.annotate("corpus/", ["person", "city"], output="annotations/")  # doctest: +SKIP
        >>> report.mentions                                                              # doctest: +SKIP
        {'person': 12, 'city': 9}
    """
    from uniner_dist.pipeline.stages import annotate as run_all

    options = _options(output, types, keep_columns, model, scores, workdir, settings)
    return Report.of(run_all(_config(data, options, id_column, text_column, config), say))


def plan(
    data: Any,
    types: Any,
    *,
    output: str,
    id_column: str | None = None,
    text_column: str | None = None,
    keep_columns: Sequence[str] = (),
    model: str | None = None,
    scores: bool = False,
    workdir: str | None = None,
    config: Files = None,
    settings: Mapping[str, Any] | None = None,
    say: Callable[[str], None] = print,
) -> Plan:
    """Estimate what `annotate` with the same arguments would ask and cost; no replica is started.

    Args: as for `annotate`.

    Returns:
        Counts, and estimates where a rate is known.

    Raises:
        ConfigError: as for `annotate`.
    """
    from uniner_dist.pipeline.stages import plan as make_plan

    options = _options(output, types, keep_columns, model, scores, workdir, settings)
    return Plan.of(make_plan(_config(data, options, id_column, text_column, config), say))


def _options(
    output: str,
    types: Any,
    keep_columns: Sequence[str],
    model: str | None,
    scores: bool,
    workdir: str | None,
    settings: Mapping[str, object] | None,
) -> dict[str, object]:
    """Dotted key → value of what is given."""
    given = {
        "output.path": os.fspath(output),
        "types": types,
        "corpus.keep_columns": (keep_columns,) if isinstance(keep_columns, str) else tuple(keep_columns) or None,
        "model.name": model,
        "run.scores": scores or None,
        "workdir": workdir,
    }
    return {**(settings or {}), **{key: value for key, value in given.items() if value is not None}}


def _config(data: Any, options: dict[str, Any], id_column: str | None, text_column: str | None, files: Files) -> Config:
    columns = {"corpus.id_column": id_column, "corpus.text_column": text_column}
    if isinstance(data, str | os.PathLike):
        return load_config(files, (), {**options, **columns, "corpus.path": os.fspath(data)})
    path = f"{options['output.path'].rstrip('/')}.corpus"
    checked = load_config(files, (), {**options, **columns, "corpus.path": path})  # told before anything is written
    path, found = save_corpus(data, path, id_column, text_column, checked.corpus.keep_columns)
    columns = {"corpus.id_column": found.id_name, "corpus.text_column": found.text}
    return load_config(files, (), {**options, **columns, "corpus.path": path})
