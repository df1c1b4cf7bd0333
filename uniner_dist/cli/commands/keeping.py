"""Looking at runs, and keeping workdirs small and lawful."""

from __future__ import annotations

from typing import Annotated

import typer

from uniner_dist.cli.options import RunName, WorkdirArgument
from uniner_dist.cli.root import app, say
from uniner_dist.errors import ConfigError

Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout, for a machine.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]


@app.command()
def status(
    workdir: WorkdirArgument,
    run: RunName = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Look again every few seconds, as long as anybody works.")
    ] = False,
    json: Json = False,
) -> None:
    """What the runs of a workdir are doing, from any machine, while they work and after a crash."""
    from uniner_dist.cli.status import print_json, print_status

    if json and watch:
        raise ConfigError("--watch draws for people; ask for --json as often as you like")
    if json:
        print_json(workdir, run)
        return
    print_status(workdir, run, watch)


@app.command()
def report(workdir: WorkdirArgument, run: RunName = None, json: Json = False) -> None:
    """Write the page about a finished run, report.html, again, and print where it is."""
    from uniner_dist.cli.report_command import find_report, run_report

    print(find_report(workdir, run) if json else run_report(workdir, run))


@app.command()
def compact(
    workdir: Annotated[str | None, typer.Option(help="Workdir whose own store is meant.")] = None,
    store: Annotated[str | None, typer.Option(help="Store of answers.")] = None,
    grace_hours: Annotated[float, typer.Option(help="Hours that replaced files stay for readers.")] = 24,
    master: Annotated[str | None, typer.Option(help="Spark master, without spark-submit. Default: local[*].")] = None,
    dry_run: DryRun = False,
) -> None:
    """Merge the many small files of a store of answers into few, while runs read and write it."""
    from uniner_dist.cli.maintenance import run_compact

    run_compact(workdir, store, grace_hours, master, say, dry_run)


@app.command()
def prune(
    workdir: WorkdirArgument,
    older_than_days: Annotated[float, typer.Option(help="Age of a run's last sign of life.")] = 30,
    dry_run: DryRun = False,
) -> None:
    """Remove texts and answers of old runs; reports stay, and the store keeps answers from being asked again."""
    from uniner_dist.cli.maintenance import run_prune

    run_prune(workdir, older_than_days, say, dry_run)


@app.command()
def forget(
    workdir: WorkdirArgument,
    ids: Annotated[list[str] | None, typer.Option("--id", help="Id of a document; may be given again.")] = None,
    file: Annotated[str | None, typer.Option("--ids", help="File with one id a line.")] = None,
    restore: Annotated[
        bool, typer.Option("--restore", help="Let documents that were forgotten come back with the next run.")
    ] = False,
    dry_run: DryRun = False,
) -> None:
    """Erase documents from stores, runs and published annotations (the right to erasure); they stay away."""
    from uniner_dist.cli.maintenance import preview_erasure, run_forget, run_restore

    if dry_run and restore:
        raise ConfigError("--restore changes nothing but what comes back; it has no --dry-run")
    command = preview_erasure if dry_run else run_restore if restore else run_forget
    command(workdir, ids or (), file, say)
