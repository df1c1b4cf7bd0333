"""The command line: parse, load the configuration, call one function, exit code. `jobs/` calls the same."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from uniner_dist._version import __version__
from uniner_dist.cli.examples import add_examples, complete_format, complete_setting
from uniner_dist.config.loading import load_config
from uniner_dist.config.schema import Config
from uniner_dist.core.characters import visible
from uniner_dist.errors import UninerError

app = typer.Typer(
    name="uniner-dist",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help=(
        "Annotate Parquet corpora with open named entities: Spark makes prompts, a Ray pool of vLLM replicas of UniNER "
        "answers them, Spark publishes annotations with offsets.\n\n"
        "Begin with `uniner-dist demo`; every command's --help ends with examples. `uniner-dist --install-completion` "
        "teaches your shell the commands, their options and the keys of --set.\n\n"
        "Exit codes: 0 complete · 1 unexpected · 2 wrong options or inputs · 3 a stage failed, run again to resume · "
        "4 an invariant does not hold, nothing published · 5 too many failures, nothing published · "
        "6 another process works on this run · 7 the quality gate stopped the run, nothing published · "
        "8 a limit is reached, a higher one goes on · "
        "75 stopped on request, run again to resume."
    ),
)

Corpus = Annotated[str | None, typer.Option(help="Parquet file, folder, glob or Hive-partitioned dataset.")]
Output = Annotated[str | None, typer.Option(help="Folder for the annotations: new, empty, or annotations of ours.")]
TypesOption = Annotated[str | None, typer.Option("--types", help="person,location or LABEL=phrase,LABEL=phrase.")]
ModelOption = Annotated[str | None, typer.Option("--model", help='"demo", a Hugging Face name, or a folder anywhere.')]
IdColumn = Annotated[str | None, typer.Option(help="Column of the document ids. Default: doc_id.")]
TextColumn = Annotated[str | None, typer.Option(help="Column of the texts. Default: text.")]
PartitionBy = Annotated[str | None, typer.Option(help="Folder columns; default: the corpus's, then entity_type.")]
Store = Annotated[str | None, typer.Option(help="Answers to reuse, for several workdirs. Default: WORKDIR/store.")]
MaxPrompts = Annotated[int | None, typer.Option(help="Prompts the run may ask in all; stops with exit code 8.")]
MaxGpuHours = Annotated[float | None, typer.Option(help="GPU hours the run may take in all; stops with exit code 8.")]
Workdir = Annotated[str | None, typer.Option(help="Folder of runs. Default: OUTPUT.work.")]
ConfigFile = Annotated[str | None, typer.Option("--config", help="YAML file, such as conf/local.yaml.")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", help="Any option: key=value, such as pool.replicas=2.", autocompletion=complete_setting),
]
Scores = Annotated[bool | None, typer.Option("--scores/--no-scores", help="Write confidences.")]
RunName = Annotated[str | None, typer.Option("--run", help='Id of the run if the workdir holds several, or "latest".')]
WorkdirArgument = Annotated[str, typer.Option("--workdir", help="Folder of runs.")]


#: Options of the commands that open a run by its configuration, and where they stand in it.
_KEYS = {
    "corpus": "corpus.path",
    "id_column": "corpus.id_column",
    "text_column": "corpus.text_column",
    "output": "output.path",
    "partition_by": "output.partition_by",
    "types": "types",
    "workdir": "workdir",
    "store": "store",
    "model": "model.name",
    "scores": "run.scores",
    "max_prompts": "run.max_prompts",
    "max_gpu_hours": "run.max_gpu_hours",
}


def _config(given: Mapping[str, Any]) -> Config:
    """The configuration that a command's options ask for: its parameters by name."""
    options = {_KEYS[name]: value for name, value in given.items() if name in _KEYS}
    return load_config(given["config"], given["overrides"] or (), options)


@app.command()
def annotate(
    corpus: Corpus = None,
    output: Output = None,
    types: TypesOption = None,
    model: ModelOption = None,
    id_column: IdColumn = None,
    text_column: TextColumn = None,
    partition_by: PartitionBy = None,
    workdir: Workdir = None,
    store: Store = None,
    config: ConfigFile = None,
    overrides: Set = None,
    scores: Scores = None,
    max_prompts: MaxPrompts = None,
    max_gpu_hours: MaxGpuHours = None,
) -> None:
    """Annotate a corpus: documents in, one row per document and entity type out. The same command again resumes."""
    resolved = _config(locals())
    from uniner_dist.pipeline.stages import annotate as run_all
    from uniner_dist.reporting.terminal import print_report

    print_report(run_all(resolved, _say))


@app.command()
def plan(
    corpus: Corpus = None,
    output: Output = None,
    types: TypesOption = None,
    model: ModelOption = None,
    id_column: IdColumn = None,
    text_column: TextColumn = None,
    partition_by: PartitionBy = None,
    workdir: Workdir = None,
    store: Store = None,
    config: ConfigFile = None,
    overrides: Set = None,
    scores: Scores = None,
    max_prompts: MaxPrompts = None,
    max_gpu_hours: MaxGpuHours = None,
    json: Annotated[str | None, typer.Option(help="Write the plan to this file as well.")] = None,
) -> None:
    """What `annotate` with the same options would ask and cost: stage 1 is done for it, and no replica is started."""
    resolved = _config(locals())
    from uniner_dist.pipeline.stages import plan as make_plan
    from uniner_dist.reporting.terminal import print_plan
    from uniner_dist.storage.filesystem import absolute, write_json

    made = make_plan(resolved, _say)
    print_plan(made)
    if json:
        write_json(absolute(json), made)


@app.command("prompts")
def write_prompts(
    corpus: Corpus = None,
    output: Output = None,
    types: TypesOption = None,
    model: ModelOption = None,
    id_column: IdColumn = None,
    text_column: TextColumn = None,
    partition_by: PartitionBy = None,
    workdir: Workdir = None,
    store: Store = None,
    config: ConfigFile = None,
    overrides: Set = None,
    scores: Scores = None,
    max_prompts: MaxPrompts = None,
    max_gpu_hours: MaxGpuHours = None,
) -> None:
    """Stage 1 alone (Spark): read the corpus, write prompts shards. Prints the run's id for the other stages."""
    resolved = _config(locals())
    from uniner_dist.pipeline.preflight import open_run
    from uniner_dist.pipeline.stages import run_prompts, working_on

    run = open_run(resolved)
    with working_on(run):
        run_prompts(run, _say)
    print(run.id)


@app.command("gate")
def pass_gate(workdir: WorkdirArgument, run: RunName = None) -> None:
    """The quality gate of a run alone (Spark, Ray and vLLM): annotate its gold and sample, and judge the answers."""
    from uniner_dist.pipeline.stages import run_gate, working_on
    from uniner_dist.run.run import load_run

    opened = load_run(workdir, run)
    with working_on(opened):
        run_gate(opened, _say)


@app.command("completions")
def complete_prompts(
    workdir: WorkdirArgument,
    run: RunName = None,
    max_prompts: MaxPrompts = None,
    max_gpu_hours: MaxGpuHours = None,
) -> None:
    """Stage 2 alone (Ray and vLLM, no Spark, no Java): answer the prompts of a run."""
    from uniner_dist.pipeline.stages import run_completions
    from uniner_dist.run.run import load_run, with_limits

    run_completions(with_limits(load_run(workdir, run), max_prompts, max_gpu_hours), _say)


@app.command("annotations")
def publish_annotations(workdir: WorkdirArgument, run: RunName = None) -> None:
    """Stage 3 alone (Spark): parse and locate the answers of a run, audit, publish."""
    from uniner_dist.pipeline.stages import run_annotations, working_on
    from uniner_dist.reporting.terminal import print_report
    from uniner_dist.run.run import load_run

    opened = load_run(workdir, run)
    with working_on(opened) as (holder, _):
        print_report(run_annotations(opened, holder, _say))


@app.command()
def retry(workdir: WorkdirArgument, run: RunName = None) -> None:
    """Ask again what stands in a run's quarantine without an answer (refused prompts, killers), and publish it anew."""
    from uniner_dist.pipeline.stages import retry_quarantine
    from uniner_dist.reporting.terminal import print_report
    from uniner_dist.run.run import load_run

    print_report(retry_quarantine(load_run(workdir, run), _say))


@app.command()
def status(
    workdir: WorkdirArgument,
    run: RunName = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Look again every few seconds, as long as anybody works.")
    ] = False,
) -> None:
    """What the runs of a workdir are doing, from any machine, while they work and after a crash."""
    from uniner_dist.cli.status import print_status

    print_status(workdir, run, watch)


@app.command()
def report(workdir: WorkdirArgument, run: RunName = None) -> None:
    """Write the page about a finished run, report.html, anew, and print where it is."""
    from uniner_dist.cli.report_command import run_report

    print(run_report(workdir, run))


@app.command()
def compact(
    workdir: Annotated[str | None, typer.Option(help="Workdir whose own store is meant.")] = None,
    store: Annotated[str | None, typer.Option(help="Store of answers.")] = None,
    grace_hours: Annotated[float, typer.Option(help="Hours that replaced files stay for readers.")] = 24,
    master: Annotated[str | None, typer.Option(help="Spark master, without spark-submit. Default: local[*].")] = None,
) -> None:
    """Merge the many small files of a store of answers into few, while runs read and write it."""
    from uniner_dist.cli.maintenance import run_compact

    run_compact(workdir, store, grace_hours, master, _say)


@app.command()
def prune(
    workdir: WorkdirArgument,
    older_than_days: Annotated[float, typer.Option(help="Age of a run's last sign of life.")] = 30,
) -> None:
    """Remove texts and answers of old runs; reports stay, and the store keeps answers from being asked again."""
    from uniner_dist.cli.maintenance import run_prune

    run_prune(workdir, older_than_days, _say)


@app.command()
def forget(
    workdir: WorkdirArgument,
    ids: Annotated[list[str] | None, typer.Option("--id", help="Id of a document; may be given again.")] = None,
    file: Annotated[str | None, typer.Option("--ids", help="File with one id a line.")] = None,
) -> None:
    """Erase documents from store, runs and published annotations (the right to erasure)."""
    from uniner_dist.cli.maintenance import run_forget

    run_forget(workdir, ids or (), file, _say)


@app.command()
def evaluate(
    annotations: Annotated[str, typer.Option(help="Published annotations.")],
    gold: Annotated[str, typer.Option(help="Parquet, CoNLL, JSON lines, brat, JSON of Label Studio or the authors.")],
    by: Annotated[str | None, typer.Option(help="Column to score by as well, such as domain.")] = None,
    types: Annotated[str | None, typer.Option(help="Score only these types of the gold: person,location.")] = None,
    id_column: Annotated[str, typer.Option(help="Column of the document ids in both.")] = "doc_id",
    json: Annotated[str | None, typer.Option(help="Write all scores and the worst errors to this file.")] = None,
    plot: Annotated[str | None, typer.Option(help="Write a picture: PNG, SVG or PDF.")] = None,
) -> None:
    """Score annotations against gold answers: the authors' metric, spans, confidence, the worst errors."""
    from uniner_dist.cli.evaluation import run_evaluate

    run_evaluate(annotations, gold, id_column, by, types, json, plot, _say)


@app.command()
def export(
    annotations: Annotated[str, typer.Option(help="Published annotations.")],
    to: Annotated[str, typer.Option(help="Folder for the files: new, empty, or an export, which is replaced.")],
    format: Annotated[
        str, typer.Option(help="conll, spacy, labelstudio, hf, brat or jsonl.", autocompletion=complete_format)
    ],
    corpus: Annotated[str | None, typer.Option(help="Where the texts are. Default: what the annotations say.")] = None,
    text_column: Annotated[str | None, typer.Option(help="Column of the texts. Default: as annotated.")] = None,
    id_column: Annotated[str | None, typer.Option(help="Column of the ids. Default: as annotated.")] = None,
    types: Annotated[str | None, typer.Option(help="Only these types: person,location.")] = None,
    sample: Annotated[int | None, typer.Option(help="Only so many documents, the same ones every time.")] = None,
    language: Annotated[str, typer.Option(help="Of spaCy's tokens, such as en; xx is for any.")] = "xx",
    config: ConfigFile = None,
    overrides: Set = None,
) -> None:
    """Write annotations and their texts for another tool; what is corrected there is gold for `evaluate`."""
    from uniner_dist.cli.export import ExportOptions, run_export

    options = ExportOptions(annotations, to, format, corpus, text_column, id_column, types, sample, language)
    run_export(options, config, overrides or [], _say)


@app.command()
def diff(
    before: Annotated[str, typer.Option(help="Published annotations.")],
    after: Annotated[str, typer.Option(help="Published annotations, of another model, template or day.")],
    before_run: Annotated[str | None, typer.Option(help="Only the rows of this run.")] = None,
    after_run: Annotated[str | None, typer.Option(help="Only the rows of this run.")] = None,
    by: Annotated[str | None, typer.Option(help="Column of AFTER to count by as well, such as domain.")] = None,
    id_column: Annotated[str | None, typer.Option(help="Column of the document ids, if not the datasets' own.")] = None,
    json: Annotated[str | None, typer.Option(help="Write everything, with more examples, to this file.")] = None,
    config: ConfigFile = None,
    overrides: Set = None,
) -> None:
    """Compare two annotations datasets or runs (Spark): what appeared, vanished and moved, agreement, examples."""
    from uniner_dist.cli.comparison import run_diff
    from uniner_dist.comparison.joining import Side

    sides = Side(before, before_run), Side(after, after_run)
    run_diff(*sides, by, id_column, json, config, overrides or [], _say)


@app.command()
def provenance(
    output: Annotated[str, typer.Option(help="Published annotations.")],
    run: Annotated[str | None, typer.Option(help="Only this run, such as the run_id of a row.")] = None,
) -> None:
    """Where an output's rows come from, as JSON: each run's model, revision, template, fingerprint, engine, licence."""
    import json

    from uniner_dist.run.provenance import look_up

    print(json.dumps(look_up(output, run), indent=2, ensure_ascii=False))


@app.command()
def benchmark(
    data: Annotated[str, typer.Option(help="Folder with the authors' JSON files, or with corpus/ and gold/.")],
    output: Annotated[str, typer.Option(help="Folder for annotations and scores of every data set.")],
    model: ModelOption = None,
    config: ConfigFile = None,
    overrides: Set = None,
) -> None:
    """The authors' table: annotate and score every data set of a folder with its own types."""
    from uniner_dist.cli.evaluation import run_benchmark_command

    run_benchmark_command(data, output, model, config, overrides or [], _say)


@app.command()
def demo(
    output: Annotated[str, typer.Option(help="Folder for the annotations.")] = "demo-output",
    overrides: Set = None,
) -> None:
    """Annotate the shipped sample corpus with the shipped demonstration model, and show what came out."""
    from uniner_dist.cli.demo import run_demo

    run_demo(output, overrides or [], _say)


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        print(__version__)
        raise typer.Exit


add_examples(app)


def _say(line: str) -> None:
    """News for a person goes to stderr, so that stdout carries results only.

    Names and values of a corpus may be in it, which must not steer the terminal.
    """
    print(visible(line, keep="\n"), file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit code. Errors on purpose become one message, others show their stack trace."""
    try:
        app(args=list(arguments) if arguments is not None else None, standalone_mode=True)
    except UninerError as error:
        _say(f"uniner-dist: {type(error).__name__}:\n{error}")
        return error.exit_code
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else int(bool(leaving.code))
    except Exception:
        _say(traceback.format_exc())
        return 1
    return 0
