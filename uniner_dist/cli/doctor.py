"""Body of the command `doctor`: options in, findings on stdout, an exit code."""

from __future__ import annotations

from collections.abc import Sequence

from uniner_dist.config.loading import UNSAID, load_sections
from uniner_dist.config.schema import Config
from uniner_dist.doctor.examine import Subject, examine
from uniner_dist.doctor.show import as_json, is_healthy, print_findings
from uniner_dist.doctor.storage import Location
from uniner_dist.errors import ConfigError
from uniner_dist.reporting.console import SafeConsole
from uniner_dist.storage.filesystem import json_text


def run_doctor(
    paths: Sequence[str], model: str | None, config: Sequence[str], overrides: Sequence[str], as_machine: bool
) -> int:
    """Examine, print, and return the exit code: 0 when nothing is in the way, else that of wrong inputs."""
    settings = load_sections(config, overrides, {"model.name": model})
    places = [*_locations(settings), *(Location("--path", path, written=True) for path in paths)]
    subject = Subject(places, settings.model, settings.pool.gpus_per_replica, settings.ray.address)
    findings = examine(subject)
    if as_machine:
        print(json_text(as_json(findings)))
    else:
        print_findings(findings, SafeConsole())
    return 0 if is_healthy(findings) else ConfigError.exit_code


def _locations(config: Config) -> list[Location]:
    """What the configuration says that runs read and write."""
    places = [Location("--corpus", config.corpus.path, False)] if config.corpus.path != UNSAID else []
    if config.output.path != UNSAID:
        places.append(Location("--output", config.output.path, True))
        places.append(Location("--workdir", config.workdir_path, True))
    if config.store:
        places.append(Location("--store", config.store, True))
    return places
