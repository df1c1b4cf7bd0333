"""The command `status`: what the runs of a workdir do, from their files alone, hence anywhere and after a crash."""

from __future__ import annotations

import os
import time
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.text import Text

from uniner_dist.completions.stage import is_complete
from uniner_dist.core.characters import visible
from uniner_dist.errors import ConfigError
from uniner_dist.reporting.console import SafeConsole
from uniner_dist.reporting.figures import paid
from uniner_dist.reporting.progress import State, cost, duration, view
from uniner_dist.run.resuming import resume_command
from uniner_dist.run.run import Run, list_runs, load_run, no_runs
from uniner_dist.storage.control_files import PoolProgress, Report, SparkProgress, read_control, record_values
from uniner_dist.storage.filesystem import absolute, exists, json_text
from uniner_dist.storage.lease import current_holder

#: Seconds between two looks with --watch.
_LOOK_S: Final = 5.0
_STYLES: Final = {"working": "green", "stopped": "yellow", "published": "cyan"}


def print_status(workdir: str, run_id: str | None, watch: bool = False, console: Console | None = None) -> None:
    """A few lines per run of a workdir.

    Args:
        workdir: path or URL of the workdir.
        run_id: only this run; None: every run of the workdir.
        watch: look again every few seconds, until nobody works on any of the runs.
        console: where to print; default: standard output, with control characters removed.

    Raises:
        ConfigError: no such workdir, or no such run in it.
    """
    console = console or SafeConsole()
    shown, at_work = status(workdir, run_id)
    if watch and at_work:
        with Live(Group(*shown), console=console, auto_refresh=False, transient=True) as live:
            live.refresh()
            while at_work:
                time.sleep(_LOOK_S)
                shown, at_work = status(workdir, run_id)
                live.update(Group(*shown), refresh=True)
    for part in shown:
        # A command is to be copied: one line, however narrow the terminal.
        console.print(part, soft_wrap=isinstance(part, _Command))


class _Command(Text):
    """A command to copy."""


def status(workdir: str, run_id: str | None) -> tuple[list[RenderableType], bool]:
    """What to print, and whether anybody works on any of the runs."""
    runs = _runs(workdir, run_id)
    if not runs:
        return [Text(f"no runs in {workdir}")], False
    looks = [_look(run, len(runs) > 1 and run is runs[-1]) for run in runs]
    return [part for shown, _ in looks for part in shown], any(at_work for _, at_work in looks)


def print_json(workdir: str, run_id: str | None) -> None:
    """What `print_status` shows, as a list of objects, oldest run first."""
    print(json_text([_facts(run) for run in _runs(workdir, run_id)]))


def _facts(run: Run) -> dict[str, object]:
    state, holder, progress = run_state(run), current_holder(run.layout), _progress(run)
    finished = exists(run.layout.report)
    return {
        "run": run.id,
        "state": state,
        "at_work": holder is not None,
        "holder": holder,
        "types": {one.label: one.ask for one in run.config.types},
        "corpus": run.config.corpus.path,
        "output": run.config.output.path,
        "resume": None if finished else resume_command(run),
        "progress": None if progress is None else record_values(progress),
        "report": run.layout.report if finished else None,
    }


def _runs(workdir: str, run_id: str | None) -> list[Run]:
    if not workdir:
        raise ConfigError("--workdir: must not be empty")
    if os.path.isfile(workdir):
        raise ConfigError(f"--workdir {workdir}: is a file; name a folder")
    ids = [run_id] if run_id else list_runs(absolute(workdir))
    if not ids and not exists(workdir):
        raise ConfigError(f"--workdir {workdir}: is not there")
    if not ids and list_runs(f"{absolute(workdir)}.work"):
        raise ConfigError(no_runs(workdir))
    return sorted((load_run(workdir, name) for name in ids), key=lambda run: run.opened_at)


def run_state(run: Run) -> str:
    """How far a run is, from its files alone."""
    if exists(run.layout.report):
        return "published" if read_control(run.layout.report, Report).publication else "stopped by its gate"
    if not exists(run.layout.shards):
        return "prompts"
    return "annotations" if is_complete(run) else "completions"


def _look(run: Run, is_newest: bool) -> tuple[list[RenderableType], bool]:
    about = Text(
        f"{visible(', '.join(one.label for one in run.config.types))} · {visible(run.config.corpus.path)} → "
        f"{visible(run.config.output.path)}" + " · newest" * is_newest,
        style="dim",
    )
    shown, at_work = _state_of(run)
    return [shown[0], Padding(about, (0, 0, 0, 2), expand=False), *shown[1:]], at_work


def _state_of(run: Run) -> tuple[list[RenderableType], bool]:
    state, holder = run_state(run), current_holder(run.layout)
    progress = _progress(run)
    head = Text(run.id, style="bold")
    if state in ("published", "stopped by its gate") and holder is None:
        head.append(f"  {state}", style=_STYLES.get(state, "yellow"))
        head.append(f"  {_summary(read_control(run.layout.report, Report))}")
        return [head], False
    words, style = (f"at work on {state}", "green") if holder else (f"stopped in {state}", "yellow")
    head.append(f"  {words}", style=style)
    body: list[RenderableType] = []
    if holder:
        body.append(Text(f"by {visible(holder)}"))
    if progress:
        body.append(Text(f"last news {duration(max(time.time() - progress.at, 0))} ago"))
        body.append(view(_as_seen(progress, holder is not None)))
    if not holder:
        body.append(Text("nobody works on it; this resumes it:"))
    indented: list[RenderableType] = [Padding(part, (0, 0, 0, 2), expand=False) for part in body]
    resume = [] if holder else [_Command(visible(resume_command(run)))]
    return [head, *indented, *resume], holder is not None


def _progress(run: Run) -> State | None:
    """The latest news, of the pool or of a Spark stage."""
    found: list[State] = []
    if exists(run.layout.progress):
        found.append(read_control(run.layout.progress, PoolProgress))
    if exists(run.layout.spark_progress):
        found.append(read_control(run.layout.spark_progress, SparkProgress))
    return max(found, key=lambda state: state.at, default=None)


def _as_seen(state: State, at_work: bool) -> State:
    """Of a run that nobody works on, what it was doing is over: no time is left and no replica is there."""
    if at_work or not isinstance(state, PoolProgress):
        return state
    return state.model_copy(update={"eta_s": None, "replicas": {}})


def _summary(report: Report) -> str:
    annotations, done = report.annotations, report.completions
    rows = f"{annotations.rows:,} annotations, {annotations.failed:,} without an answer" if annotations else ""
    if annotations and annotations.outcomes.get("skipped"):
        rows += f", {annotations.outcomes['skipped']:,} skipped by triage"
    spent = cost(done.gpu_hours, 1 if report.gpus is None else report.gpus, paid(report))
    parts = [rows, f"{done.prompts:,} prompts asked", *(words.removeprefix("cost so far: ") for words in spent)]
    return " · ".join([report.written_at, *(part for part in parts if part)])
