"""Advisories about what is locked: docs/advisories.md answers each, and the audit passes over no other."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.advisories import ROOT, findings, ignored, is_affected, main, pins

LOCKS = ("requirements-hashes.lock", "conf/kubernetes/requirements-gpu-hashes.lock", "jobs/airflow/requirements.lock")
PAGE = ROOT / "docs/advisories.md"


def answered() -> list[list[str]]:
    """The rows of the page's table of findings: package, locked, advisory, affected, concerns us, what was done."""
    [table] = re.findall(r"^\| package .*\n\|[-|]+\n((?:\|.*\n)+)", PAGE.read_text(), re.MULTILINE)
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table.splitlines()]


def test_what_the_audit_passes_over_is_answered_and_nothing_else() -> None:
    passed = {name: row[0] for row in answered() if "passed over" in row[5] for name in row[2].split(", ")}
    assert ignored() == {name: package for name, package in passed.items() if not name.startswith("CVE-")}


def test_answers_are_about_the_versions_that_are_locked() -> None:
    locked = [pins((ROOT / lock).read_text()) for lock in LOCKS]
    for package, version, *_ in answered():
        assert {one[package] for one in locked if package in one} == {version}, package


def test_no_lowest_version_is_one_that_an_advisory_is_about() -> None:
    """What the page says is corrected from a version on is required from there on."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    required = [
        *project["dependencies"],
        *(one for extra in project["optional-dependencies"].values() for one in extra),
    ]
    lowest = {
        match[1]: match[2] for one in required if (match := re.match(r"([a-z0-9-]+)(?:\[[^]]*\])?[>=]=([0-9.]+)", one))
    }
    for package, _, advisory, affected, *_ in answered():
        for fixed in re.findall(r"before ([0-9.]+)", affected):
            if package in lowest:
                event = {"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": fixed}]}
                assert not is_affected({"ranges": [event]}, lowest[package]), f"{advisory}: {package}"


@pytest.mark.parametrize("lock", LOCKS[:2])
def test_a_lock_and_its_hashes_have_the_same_versions(lock: str) -> None:
    assert pins((ROOT / lock).read_text()) == pins((ROOT / lock.replace("-hashes", "")).read_text())


RANGES: dict[str, tuple[list[dict[str, str]], dict[str, bool]]] = {
    "fixed": ([{"introduced": "0"}, {"fixed": "2.0"}], {"0.1a1": True, "1.9": True, "2.0": False, "2.0rc1": True}),
    "last affected": ([{"introduced": "1.0"}, {"last_affected": "1.4.2"}], {"0.9": False, "1.4.2": True, "1.5": False}),
    "no end": ([{"introduced": "0"}], {"1.0": True, "9999!1": True}),
    "twice": (
        [{"introduced": "3.0"}, {"fixed": "1.2"}, {"introduced": "0"}, {"fixed": "3.1"}],
        {"1.1": True, "2.0": False, "3.0": True, "3.1": False},
    ),
    "nothing": ([{"introduced": "2.0"}, {"fixed": "2.0"}], {"2.0": False}),
}


@pytest.mark.parametrize("name", RANGES)
def test_a_version_is_compared_with_the_ranges_of_an_advisory(name: str) -> None:
    events, expected = RANGES[name]
    affected = {"versions": ["7.7"], "ranges": [{"type": "ECOSYSTEM", "events": events}, {"type": "GIT", "events": []}]}
    assert {version: is_affected(affected, version) for version in expected} == expected
    assert is_affected(affected, "7.7"), "it is listed"


def test_a_folder_of_advisories_is_compared_with_a_lock(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def write(file: str, name: str, **more: Any) -> None:
        ranges = [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2.0"}]}]
        package = {"ecosystem": more.pop("ecosystem", "PyPI"), "name": name}
        advisory: dict[str, Any] = {"id": f"PYSEC-{file[0]}", "aliases": [f"CVE-{file[0]}"], **more}
        advisory["affected"] = [{"package": package, "ranges": ranges}]
        (tmp_path / file).write_text(json.dumps(advisory) if file.endswith("json") else yaml.safe_dump(advisory))

    write("1.yaml", "Some.Package")
    write("2.json", "vllm")
    write("3.yaml", "withdrawn", withdrawn="2026-01-01T00:00:00Z")
    write("4.yaml", "corrected")
    write("5.yaml", "some-package", ecosystem="npm")
    lock = tmp_path / "some.lock"
    lock.write_text(
        "some_package==1.0 \\\n    --hash=sha256:0\nvllm-cpu==1.9+cpu\nwithdrawn==1.0\ncorrected==2.0 ; x\n"
    )
    found = {(name, version, names[0]) for name, version, names in findings(tmp_path, pins(lock.read_text()))}
    assert found == {("some-package", "1.0", "PYSEC-1"), ("vllm", "1.9", "PYSEC-2")}
    assert main(str(tmp_path), str(lock)) == 1
    assert "some-package 1.0: PYSEC-1, CVE-1" in capsys.readouterr().out
    lock.write_text("corrected==2.0\n")
    assert main(str(tmp_path), str(lock)) == 0
