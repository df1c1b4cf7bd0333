"""Body of the command `report`."""

from __future__ import annotations

from jinja2 import UndefinedError

from uniner_dist.errors import ConfigError
from uniner_dist.reporting.html import write_page
from uniner_dist.run.run import Run, load_run
from uniner_dist.storage.control_files import ControlFileError, Report, read_control, record_values
from uniner_dist.storage.filesystem import exists, json_text


def find_report(workdir: str, run_id: str | None) -> str:
    """The report of a run as JSON; nothing is written.

    Raises:
        ConfigError: no such run, or it has no report yet.
    """
    return json_text(record_values(_open(workdir, run_id)[1]))


def _open(workdir: str, run_id: str | None) -> tuple[Run, Report]:
    run = load_run(workdir, run_id)
    if not exists(run.layout.report):
        raise ConfigError(f"--run {run.id}: is not finished, so it has no report yet; `uniner-dist status` shows it")
    return run, read_control(run.layout.report, Report)


def run_report(workdir: str, run_id: str | None) -> str:
    """Write the page of a run from its report.json and what is in its folder; returns its path.

    Raises:
        ConfigError: no such run, or it has no report yet.
    """
    run, report = _open(workdir, run_id)
    try:
        return write_page(run, report)
    except (KeyError, TypeError, ValueError, AttributeError, UndefinedError) as error:
        raise ControlFileError(f"{run.layout.report}: is damaged or of an earlier release ({error!r})") from error
