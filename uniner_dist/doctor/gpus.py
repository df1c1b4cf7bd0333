"""Checks GPUs, their driver and the C library against the CUDA that the installed torch was built for."""

from __future__ import annotations

import platform
from typing import Final

from uniner_dist.doctor.finding import Finding, problem, warning
from uniner_dist.runtime import nvidia
from uniner_dist.runtime.torch_build import installed_version

#: vLLM's CUDA wheels are manylinux_2_28 (Debian 10, RHEL 8, Ubuntu 18.10 and newer).
LOWEST_GLIBC: Final = (2, 28)


def check_gpus(wanted: int = 0) -> list[Finding]:
    """Return findings about this machine's GPUs, driver, CUDA and C library.

    Args:
        wanted: GPUs that one replica needs here, `pool.gpus_per_replica`; 0 for none.
    """
    count, cuda, driver = nvidia.count_gpus(), nvidia.torch_cuda(), nvidia.driver_version()
    return [*judge_gpus(wanted, count, cuda, driver, nvidia.torch_hip()), *_glibc()]


def judge_gpus(wanted: int, count: int, cuda: str | None, driver: str | None, hip: str | None = None) -> list[Finding]:
    """Return the findings about the GPUs of a machine.

    Args:
        wanted: GPUs that one replica needs; 0 for none, where wrong CUDA is a warning and no problem.
        count: number of GPUs of the machine.
        cuda: version of the CUDA that torch was built for, such as `13.0`; None for a CPU build.
        driver: version of the loaded NVIDIA driver, such as `580.65.06`; None where there is none.
        hip: version of the HIP that torch was built for, for AMD's GPUs, whose driver is not checked; None otherwise.
    """
    if not count:
        found = "none: replicas run on CPU, which is for the demonstration and for tests"
        if wanted:
            advice = "run on CPU (pool.gpus_per_replica: 0), or join a cluster that has GPUs (ray.address)"
            return [problem("GPUs", "GPUs", f"none, and a replica wants {wanted}", advice)]
        return [Finding("GPUs", "GPUs", found)]
    findings = [Finding("GPUs", "GPUs", str(count)), Finding("GPUs", "driver", driver or "not NVIDIA's")]
    if wanted > count:
        findings.append(problem("GPUs", "GPUs", f"{count}, a replica wants {wanted}", "lower pool.gpus_per_replica"))
    if installed_version("torch") is None:
        return findings
    if hip:
        return [*findings, Finding("GPUs", "HIP", f"{hip}, for AMD's GPUs; their driver is not checked")]
    wrong = nvidia.driver_problem(driver, cuda)
    if wrong is None:
        return [*findings, Finding("GPUs", "CUDA", f"{cuda}, which the driver runs")]
    judge = problem if wanted else warning
    return [*findings, judge("GPUs", "CUDA", f"torch is built for {cuda or 'CPU'}", wrong)]


def _glibc() -> list[Finding]:
    library, version = platform.libc_ver()
    if library != "glibc":
        return [warning("GPUs", "C library", library or "unknown", "vLLM's wheels need glibc 2.28 or newer")]
    if tuple(int(part) for part in version.split(".")[:2]) < LOWEST_GLIBC:
        return [
            problem("GPUs", "C library", f"glibc {version}", "vLLM's wheels need 2.28 or newer: use a newer system")
        ]
    return [Finding("GPUs", "C library", f"glibc {version}")]
