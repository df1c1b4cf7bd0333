"""Looking at runs, and keeping workdirs small and lawful."""

from __future__ import annotations

from typing import Annotated

from uniner_dist.cli.command import CONFIGURATION, INPUT, LIMITS, OUTPUT
from uniner_dist.cli.options import DryRun, Json, RunName, WorkdirArgument, option
from uniner_dist.cli.root import app, say
from uniner_dist.errors import ConfigError


@app.command()
def status(
    workdir: WorkdirArgument,
    run: RunName = None,
    watch: Annotated[
        bool, option(OUTPUT, None, "Look again every few seconds, as long as anybody works.", "--watch")
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
    workdir: Annotated[
        str | None, option(INPUT, "PATH", "Workdir whose own store is meant. [this or --store]", "--workdir")
    ] = None,
    store: Annotated[str | None, option(INPUT, "PATH", "Store of answers. [this or --workdir]", "--store")] = None,
    grace_hours: Annotated[float, option(LIMITS, "HOURS", "How long replaced files stay for readers.")] = 24,
    master: Annotated[
        str | None, option(CONFIGURATION, "URL", "Spark master, without spark-submit. [default: local[*]]")
    ] = None,
    dry_run: DryRun = False,
) -> None:
    """Merge the many small files of a store of answers into few, while runs read and write it."""
    from uniner_dist.cli.maintenance import run_compact

    run_compact(workdir, store, grace_hours, master, say, dry_run)


@app.command()
def prune(
    workdir: WorkdirArgument,
    older_than_days: Annotated[float, option(LIMITS, "DAYS", "Age of a run's last sign of life.")] = 30,
    dry_run: DryRun = False,
) -> None:
    """Remove texts and answers of old runs; reports stay, and the store keeps answers from being asked again."""
    from uniner_dist.cli.maintenance import run_prune

    run_prune(workdir, older_than_days, say, dry_run)


@app.command()
def forget(
    workdir: WorkdirArgument,
    ids: Annotated[
        list[str] | None, option(INPUT, "ID", "Id of a document; repeatable. [this or --ids]", "--id")
    ] = None,
    file: Annotated[str | None, option(INPUT, "PATH", "File with one id a line. [this or --id]", "--ids")] = None,
    restore: Annotated[
        bool, option(LIMITS, None, "Let documents that were forgotten come back with the next run.", "--restore")
    ] = False,
    dry_run: DryRun = False,
) -> None:
    """Erase documents from stores, runs and published annotations (the right to erasure); they stay away."""
    from uniner_dist.cli.maintenance import preview_erasure, run_erasure, run_restore

    if dry_run and restore:
        raise ConfigError("--restore changes nothing but what comes back; it has no --dry-run")
    command = preview_erasure if dry_run else run_restore if restore else run_erasure
    command(workdir, ids or (), file, say)
