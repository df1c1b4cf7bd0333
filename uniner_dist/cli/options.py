"""Options that several commands share, each declared once, and the configuration that they resolve to."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, get_type_hints

import typer

from uniner_dist.cli.as_typed import named_as_typed
from uniner_dist.cli.command import CONFIGURATION, INPUT, LIMITS, MODEL, OUTPUT
from uniner_dist.cli.examples import complete_setting
from uniner_dist.config.caller import Caller, Owned
from uniner_dist.config.loading import load_config
from uniner_dist.config.schema import Config


def option(panel: str, metavar: str | None, help_: str, *names: str, **further: Any) -> Any:
    """An option in a panel; a flag has no metavar."""
    return typer.Option(*names, help=help_.replace("[", r"\["), metavar=metavar, rich_help_panel=panel, **further)


Corpus = Annotated[str | None, option(INPUT, "PATH", "Parquet file, folder, glob or Hive dataset. [required]")]
IdColumn = Annotated[str | None, option(INPUT, "NAME", "Column of the document ids. [default: doc_id]")]
TextColumn = Annotated[str | None, option(INPUT, "NAME", "Column of the texts. [default: text]")]
Keep = Annotated[
    str | None, option(INPUT, "NAME,…", "Further columns to carry into the annotations. [default: none]", "--keep")
]
TypesOption = Annotated[
    str | None,
    option(INPUT, "NAME,…", "person,location or LABEL=phrase,… or @FILE.yaml. [required]", "--types"),
]
Output = Annotated[
    str | None, option(OUTPUT, "PATH", "Folder for the annotations: new, empty, or annotations of ours. [required]")
]
PartitionBy = Annotated[
    str | None, option(OUTPUT, "NAME,…", "Folder columns. [default: the corpus's, then entity_type]")
]
Workdir = Annotated[str | None, option(OUTPUT, "PATH", "Folder of runs. [default: OUTPUT.work]")]
Store = Annotated[
    str | None, option(OUTPUT, "PATH", "Answers to reuse, for several workdirs. [default: WORKDIR/store]")
]
ModelOption = Annotated[
    str | None,
    option(MODEL, "NAME", '"demo", a Hugging Face name, or a folder anywhere. [default: demo]', "--model"),
]
Scores = Annotated[bool | None, option(MODEL, None, "Write confidences. [default: no]", "--scores/--no-scores")]
MaxPrompts = Annotated[
    int | None, option(LIMITS, "N", "Prompts the run may ask in all; stops with exit code 8. [default: any]")
]
MaxGpuHours = Annotated[
    float | None, option(LIMITS, "HOURS", "GPU hours the run may take in all; stops with exit code 8. [default: any]")
]
MaxMissed = Annotated[
    float | None,
    option(LIMITS, "SHARE", "Leave out questions, missing so much of what is there at most (0.01). [default: ask all]"),
]
ConfigFiles = Annotated[
    list[str] | None,
    option(CONFIGURATION, "PATH", "YAML file, such as conf/local.yaml; repeatable, later ones win.", "--config"),
]
Set = Annotated[
    list[str] | None,
    option(
        *(CONFIGURATION, "KEY=VALUE", "Any option, such as pool.replicas=2; repeatable.", "--set"),
        autocompletion=complete_setting,
    ),
]
TrustWorkdir = Annotated[
    bool,
    option(
        CONFIGURATION,
        None,
        "Take cluster addresses, Spark's properties, arguments of the engine and the store from the run's folder.",
        "--trust-workdir",
    ),
]
RunName = Annotated[
    str | None, option(INPUT, "ID", 'Id of the run if the workdir holds several, or "latest".', "--run")
]
WorkdirArgument = Annotated[str, option(INPUT, "PATH", "Folder of runs.", "--workdir")]
Annotations = Annotated[str, option(INPUT, "PATH", "Published annotations.", "--annotations")]
#: Of commands that look at runs.
Json = Annotated[bool, option(OUTPUT, None, "Print JSON on stdout, for a machine.", "--json")]
DryRun = Annotated[bool, option(LIMITS, None, "Say what would be done, and do nothing.", "--dry-run")]


def _work_options(
    workdir: WorkdirArgument,
    run: RunName = None,
    config: ConfigFiles = None,
    overrides: Set = None,
    store: Store = None,
    trust_workdir: TrustWorkdir = False,
) -> None:
    """The signature of every command that works on a run by its folder; never called."""


def works_on_a_run(*uses: Owned) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command all options that find a run by its folder; it receives the `Run` first, then options of its own.

    Args:
        uses: the options that only the caller may decide and that the command acts on.
    """

    def add(command: Callable[..., None]) -> Callable[..., None]:
        def opened(values: dict[str, Any], given: dict[str, Any]) -> None:
            from uniner_dist.pipeline.reopening import reopen_run

            stores = (values["store"],) if values["store"] else ()
            caller = Caller.of(values["config"] or (), values["overrides"] or (), stores, values["trust_workdir"])
            command(reopen_run(values["workdir"], values["run"], caller, uses), **given)

        return _with_options(_work_options, command, opened)

    return add


def _run_options(
    corpus: Corpus = None,
    types: TypesOption = None,
    id_column: IdColumn = None,
    text_column: TextColumn = None,
    keep: Keep = None,
    output: Output = None,
    partition_by: PartitionBy = None,
    workdir: Workdir = None,
    store: Store = None,
    model: ModelOption = None,
    scores: Scores = None,
    max_prompts: MaxPrompts = None,
    max_gpu_hours: MaxGpuHours = None,
    max_missed: MaxMissed = None,
    config: ConfigFiles = None,
    overrides: Set = None,
) -> None:
    """The signature of every command that opens a run by its configuration; never called."""


#: Options of `_run_options` → where they are in the configuration.
_KEYS: Final[Mapping[str, str]] = {
    "corpus": "corpus.path",
    "id_column": "corpus.id_column",
    "text_column": "corpus.text_column",
    "keep": "corpus.keep_columns",
    "output": "output.path",
    "partition_by": "output.partition_by",
    "types": "types",
    "workdir": "workdir",
    "store": "store",
    "model": "model.name",
    "scores": "run.scores",
    "max_prompts": "run.max_prompts",
    "max_gpu_hours": "run.max_gpu_hours",
    "max_missed": "triage.max_missed",
}


def opens_a_run(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command all options that open a run; it receives the resolved `Config` first, then options of its own.

    Args:
        command: a function of a `Config` and of parameters that Typer can read.
    """

    def opened(values: dict[str, Any], given: dict[str, Any]) -> None:
        options = {key: values[name] for name, key in _KEYS.items()}
        typed = {key: f"--{name.replace('_', '-')}" for name, key in _KEYS.items() if values[name] is not None}
        with named_as_typed(typed):
            command(load_config(values["config"] or (), values["overrides"] or (), options), **given)

    return _with_options(_run_options, command, opened)


def _with_options(
    signature: Callable[..., None],
    command: Callable[..., None],
    call: Callable[[dict[str, object], dict[str, object]], None],
) -> Callable[..., None]:
    """The command as Typer is to see it: the options of a signature, then its own; `call` gets the values of both."""
    shared, own = _parameters(signature), _parameters(command)[1:]

    @functools.wraps(command)
    def parsed(**given: Any) -> None:
        call({parameter.name: given.pop(parameter.name) for parameter in shared}, given)

    parsed.__signature__ = inspect.Signature([*shared, *own])  # type: ignore[attr-defined]
    parsed.__annotations__ = {parameter.name: parameter.annotation for parameter in [*shared, *own]}
    return parsed


def asked_types(config: Config) -> str:
    """A line that says what is going to be asked, so that a misread `--types` is noticed before it costs anything."""
    shown = [one.label if one.label == one.ask else f"{one.label} (“{one.ask}”)" for one in config.types]
    count = len(shown)
    some = ", ".join(shown[:20]) + (f" and {count - 20} more" if count > 20 else "")
    return f"asking for {count} {'type' if count == 1 else 'types'}: {some}"


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    hints = get_type_hints(function, localns={"Run": object}, include_extras=True)
    parameters = inspect.signature(function).parameters.values()
    return [
        parameter.replace(annotation=hints[parameter.name], kind=inspect.Parameter.KEYWORD_ONLY)
        for parameter in parameters
    ]
