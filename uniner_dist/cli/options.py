"""Options that several commands share, each declared once, and the configuration that they resolve to."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, get_type_hints

import typer

from uniner_dist.cli.examples import complete_setting
from uniner_dist.config.loading import load_config

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


def _run_options(
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
    """The signature of every command that opens a run by its configuration; never called."""


#: Options of `_run_options` → where they are in the configuration.
_KEYS: Final[Mapping[str, str]] = {
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


def opens_a_run(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command all options that open a run; it receives the resolved `Config` first, then options of its own.

    Args:
        command: a function of a `Config` and of parameters that Typer can read.
    """
    shared = _parameters(_run_options)
    own = _parameters(command)[1:]

    @functools.wraps(command)
    def parsed(**given: Any) -> None:
        values = {parameter.name: given.pop(parameter.name) for parameter in shared}
        options = {key: values[name] for name, key in _KEYS.items()}
        command(load_config(values["config"], values["overrides"] or (), options), **given)

    parsed.__signature__ = inspect.Signature([*shared, *own])  # type: ignore[attr-defined]
    parsed.__annotations__ = {parameter.name: parameter.annotation for parameter in [*shared, *own]}
    return parsed


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    hints = get_type_hints(function, include_extras=True)
    parameters = inspect.signature(function).parameters.values()
    return [
        parameter.replace(annotation=hints[parameter.name], kind=inspect.Parameter.KEYWORD_ONLY)
        for parameter in parameters
    ]
