"""Opens a run for the command of one stage. Needs no pyspark, as the completions stage runs without it."""

from __future__ import annotations

from collections.abc import Collection

from uniner_dist import model
from uniner_dist.config.caller import ENGINE, Caller, Owned
from uniner_dist.errors import ConfigError
from uniner_dist.pipeline.check_locations import check_locations, check_secrets
from uniner_dist.run import identity as keys
from uniner_dist.run.run import Run, load_run


def reopen_run(workdir: str, run_id: str | None, caller: Caller, uses: Collection[Owned]) -> Run:
    """Load and check a run from its folder, with the options that only the caller may decide.

    Args:
        workdir: path or URL of the workdir.
        run_id: id of the run, or `latest` for the one that was opened last; None if the workdir has one run only.
        caller: who starts the command, with the options that a run's folder may not decide.
        uses: which of the caller's options the stage acts on (`config.caller`).

    Returns:
        The run with its pinned configuration, not under a lease yet.

    Raises:
        ConfigError: no such run, its folder sets options that only the caller may, or its model has changed.
    """
    run = load_run(workdir, run_id, caller, uses)
    check_secrets(run.config)
    check_locations(run.config)
    if ENGINE in uses and keys.fingerprint(run.config, model.identify(run.config.model)) != run.fingerprint:
        raise ConfigError(f"run {run.id}: the model at {run.config.model.name} is not the one that it was begun with")
    return run
