"""Runs all checks at the same time, within one time limit: a check that hangs becomes a warning and delays nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

from uniner_dist.config.schema import ModelConfig
from uniner_dist.doctor.connectors import check_connectors, lacks_client
from uniner_dist.doctor.finding import Finding, problem, warning
from uniner_dist.doctor.gpus import check_gpus
from uniner_dist.doctor.models import check_model
from uniner_dist.doctor.ray_address import check_ray_address
from uniner_dist.doctor.secrets import redact
from uniner_dist.doctor.storage import Location, check_location
from uniner_dist.doctor.versions import check_engines, check_libraries, check_python, check_spark

#: Seconds for all checks together.
BUDGET_S: Final = 12.0

#: What the names of threads begin with.
_THREAD: Final = "doctor: "

Check = Callable[[], list[Finding]]


@dataclass(frozen=True)
class Subject:
    """What to examine, besides the machine itself.

    Args:
        places: locations that runs read or write.
        model: configuration of the model and its template.
        gpus_per_replica: GPUs that each replica needs; 0 for none.
        ray_address: `ray.address` of the configuration; only with `local` do replicas need this machine's GPUs.
    """

    places: Sequence[Location] = ()
    model: ModelConfig = field(default_factory=ModelConfig)
    gpus_per_replica: int = 0
    ray_address: str = "local"


def examine(subject: Subject, budget_s: float = BUDGET_S) -> list[Finding]:
    """Return the findings of all checks, in the order of the report, without secrets.

    Args:
        subject: the locations, model, GPUs and cluster to examine.
        budget_s: seconds for all checks together; a check that is not done by then is reported by a warning, and its
            thread goes on until the process ends.
    """
    paths = [place.path for place in subject.places]
    places = [place for place in subject.places if not lacks_client(place.path)]
    here = subject.ray_address == "local"
    checks: list[tuple[str, str, Check]] = [
        ("Python", "Python", check_python),
        ("Python", "libraries", check_libraries),
        ("Spark", "Spark", check_spark),
        ("Engines", "engines", check_engines),
        ("Engines", "ray.address", partial(check_ray_address, subject.ray_address)),
        ("GPUs", "GPUs", partial(check_gpus, subject.gpus_per_replica if here else 0)),
        ("Model", subject.model.name, partial(check_model, subject.model)),
        ("Storage", "connectors", partial(check_connectors, paths)),
        *(("Storage", f"{place.option} {place.path}", partial(check_location, place)) for place in places),
    ]
    return [_redacted(finding) for finding in _run_concurrently(checks, budget_s)]


def has_hanging_checks() -> bool:
    """Return whether a check that exceeded its time is still running; such a process is to be ended by `os._exit`."""
    return any(thread.name.startswith(_THREAD) for thread in threading.enumerate())


def _run_concurrently(checks: Sequence[tuple[str, str, Check]], budget_s: float) -> list[Finding]:
    """Run checks in threads that end with the process; what is not done by the deadline is reported as such."""
    found: dict[int, list[Finding]] = {}

    def run(number: int, area: str, name: str, check: Check) -> None:
        try:
            found[number] = check()
        except Exception as error:  # a report with a hole is worth more than none
            words = f"{type(error).__name__}: {error}"
            found[number] = [problem(area, name, words, "this check failed; please report it as a bug")]

    deadline = time.monotonic() + budget_s
    threads = [
        threading.Thread(target=run, args=(number, *check), daemon=True, name=f"{_THREAD}{check[1]}")
        for number, check in enumerate(checks)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(deadline - time.monotonic(), 0))
    late = "check the network, the endpoint and the credentials"
    return [
        finding
        for number, (area, name, _) in enumerate(checks)
        for finding in found.get(number, [warning(area, name, f"no answer within {budget_s:.0f} s", late)])
    ]


def _redacted(finding: Finding) -> Finding:
    return replace(finding, subject=redact(finding.subject), found=redact(finding.found), advice=redact(finding.advice))
