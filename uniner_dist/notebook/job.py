"""The main job as Python functions: from a corpus by its path, or data in memory, to published annotations.

Same as `uniner-dist annotate` and `uniner-dist plan`, with their options as arguments and typed results. Data in
memory is first written next to the output, where every process can read it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
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

    The output has one row per document and type, with the columns that `Annotator.annotate` describes. Of what earlier
    runs published there, rows of the same documents and labels are replaced. Rows of other labels of a document stay if
    its text is the same (`output.other_types`). Rows of documents that this corpus no longer has are removed
    (`output.removed_documents`). Data in memory is one corpus for each output, so a second batch removes the rows of
    the first, unless settings={"output.removed_documents": "keep"} is given (with ids that differ from batch to batch)
    or the output is another one.

    Needs Spark and Java, and Ray with vLLM for what is not answered in the store yet. The rows of a classic Spark
    DataFrame are written anew by each call: the same call again is another run then, which takes committed answers from
    the store and asks only the rest.

    Args:
        data: path or URL of the corpus: a Parquet file, folder, glob or Hive dataset, or a table, on any storage. Or
            strings, a pandas, Arrow, polars, Hugging Face or Spark table, a `DeltaTable` or a table of pyiceberg, which
            is written to `OUTPUT.corpus` first.
        types: what to look for: ["person", "location"], "PER=person,ORG=company or institution", "@types.yaml" (a
            file), or {label: phrase or definition}. The phrase is what the model is asked, the label what the
            annotations have; a word alone is both.
        output: path or URL of the folder for the annotations: new, empty, or annotations of ours.
        id_column: column of unique ids, strings or integers; None: `doc_id`. Rows of data in memory are numbered from 0
            without one (not of Spark, Delta and Iceberg, whose rows have no order).
        text_column: column of texts; None: `text`.
        keep_columns: further columns of the corpus to carry into the annotations.
        model: "demo" (a small demonstration model for CPUs), a Hugging Face name, or a folder with a model. None: what
            `settings` or `config` say, else "demo".
        scores: compute confidences in [0, 1] of answers and mentions; else the columns `score` are null.
        workdir: path or URL of the folder of runs, with prompts, answers and reports; None: `OUTPUT.work`. Where Spark
            or Ray have other machines, corpus, output and workdir are places that all of them see.
        config: path of a YAML file of the configuration, or several of which later ones win, such as conf/cluster.yaml.
        settings: any other option by its dotted name, such as {"pool.replicas": 2}. It takes precedence over `config`,
            and the arguments above take precedence over it.
        say: called with each line of news; default: print.

    Returns:
        A report with counts, times and paths.

    Raises:
        ConfigError: everything that is wrong with the arguments, the corpus or the model, before anything is started.
        StageError: a cluster or a storage failed; the same call resumes.
        DrainedError: stopped by Ctrl-C or SIGTERM; the same call resumes from what is committed.
        RunHeldError: another process works on the same run, or changes the output.
        ThresholdError: more rows were rejected, failed or would be removed than the configuration allows; nothing was
            published.
        UninerError: anything else that ends the job (audit, quality gate, limits), see `uniner_dist.errors`.

    Example:
        >>> report = ud.annotate("corpus/", ["person", "city"], output="annotations/")  # doctest: +SKIP
        >>> report.mentions                                                              # doctest: +SKIP
        {'person': 12, 'city': 9}
        >>> rows = pq.read_table(report.output)                                          # doctest: +SKIP
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

    Spark reads the corpus and writes the prompts, from which `annotate` with the same arguments continues. Nothing is
    published.

    Args:
        data: path or URL of the corpus, or data in memory, as for `annotate`; the latter is written to `OUTPUT.corpus`.
        types: what to look for, as for `annotate`.
        output: path or URL of the folder for the annotations of `annotate`; it is checked, and left as it is.
        id_column: column of unique ids, strings or integers; None: `doc_id`.
        text_column: column of texts; None: `text`.
        keep_columns: further columns of the corpus that `annotate` is to carry into the annotations.
        model: "demo", a Hugging Face name, or a folder with a model. None: what `settings` or `config` say, else
            "demo".
        scores: whether `annotate` is to compute confidences; stored answers without them do not count as known then.
        workdir: path or URL of the folder of runs; None: `OUTPUT.work`.
        config: path of a YAML file of the configuration, or several of which later ones win.
        settings: any other option by its dotted name, such as {"plan.tokens_per_second": 9000}.
        say: called with each line of news; default: print.

    Returns:
        Counts of documents and prompts, and estimates of tokens; of GPU hours and money where a rate and a price are
        known.

    Raises:
        ConfigError: everything that is wrong with the arguments, the corpus or the model, before anything is started.
        StageError: Spark or a storage failed; the same call resumes.
        DrainedError: stopped by Ctrl-C or SIGTERM.
        RunHeldError: another process works on the same run.
        ThresholdError: more rows of the corpus were rejected than `run.allow_rejects_fraction` allows.

    Example:
        >>> plan = ud.plan("corpus/", ["person", "city"], output="annotations/")  # doctest: +SKIP
        >>> plan.prompts_to_ask, plan.gpu_hours                                    # doctest: +SKIP
        (1200, None)
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
        "types": list(types) if isinstance(types, Iterator) else types,  # they are read twice
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
