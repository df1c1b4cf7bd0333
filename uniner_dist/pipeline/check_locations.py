"""Checks the locations of a run (corpus, output, workdir and store), and that no secret would be written there."""

from __future__ import annotations

import os
import re
from typing import Final

from uniner_dist.config.schema import Config
from uniner_dist.config.schemes import scheme
from uniner_dist.config.secrets import find_secrets
from uniner_dist.errors import ConfigError
from uniner_dist.storage.containment import is_same_location, lies_in
from uniner_dist.storage.control_files.forms import has_controls
from uniner_dist.storage.filesystem import is_local, list_names, open_fs, url_of
from uniner_dist.storage.place_layout import StoreLayout, WorkdirLayout
from uniner_dist.storage.snapshot import Snapshot
from uniner_dist.storage.table_names import is_table_name

#: How the folder of a fingerprint is called in a store.
_FINGERPRINT: Final = re.compile(r"[0-9a-f]{8,64}")


def check_secrets(config: Config) -> None:
    """Check that no option holds a secret, as the configuration is written into the run's folder.

    Args:
        config: all of its sections are looked through.

    Raises:
        ConfigError: naming every option with a secret, without its value.
    """
    problems = [
        f"{place}: looks like a secret, which would be written into the run's folder; give it by an environment "
        "variable or the cluster's own configuration"
        for place in find_secrets(config.model_dump(mode="json"))
    ]
    if problems:
        raise ConfigError(problems)


def check_locations(config: Config) -> None:
    """Check that corpus, output, workdir and store do not contain one another, and that local ones are writable.

    Only the store may lie in the workdir, where it is by default. A workdir or store must be new, empty, or one of
    ours.

    Args:
        config: relative paths are meant in the current folder.

    Raises:
        ConfigError: naming every such place.
    """
    problems: list[str] = []
    places = {
        "--corpus": config.corpus.path,
        "--output": config.output.path,
        "--workdir": config.workdir_path,
        "--store": config.store_path,
    }
    bases = {"--workdir": "--output", "--store": "--workdir"}
    given = {"--workdir": config.workdir, "--store": config.store}
    derived = {name: bases[name] for name, path in given.items() if path is None}
    wrong: set[tuple[str, str]] = set()
    for inner, outer in (
        ("--output", "--corpus"),
        ("--workdir", "--corpus"),
        ("--workdir", "--output"),
        ("--corpus", "--output"),
        ("--corpus", "--workdir"),
        ("--output", "--workdir"),
        ("--store", "--corpus"),
        ("--store", "--output"),
        ("--corpus", "--store"),
        ("--output", "--store"),
        ("--workdir", "--store"),
    ):
        if (outer, inner) in wrong or not lies_in(places[inner], places[outer]):
            continue
        wrong.add((inner, outer))
        if (derived.get(inner), outer) in wrong or derived.get(inner) == outer:
            continue  # reported for the place that it is in
        if is_same_location(places[inner], places[outer]):
            problems.append(f"{inner} {places[inner]}: is {outer} itself; choose another place")
        else:
            problems.append(f"{inner} {places[inner]}: lies inside {outer} {places[outer]}; choose a place outside")
    problems += [f"{name} {path}: has control characters" for name, path in places.items() if has_controls(path)]
    for option in ("--output", "--workdir", "--store"):
        if is_table_name(places[option]):
            problems += [_a_table(option, places[option])] if option not in derived else []
            continue
        try:
            fs, stripped = open_fs(places[option])
        except ConfigError as error:
            if option not in derived:
                problems += [f"{option} {problem}" for problem in error.problems]
            continue
        if is_local(fs) and os.path.isfile(stripped):
            problems.append(f"{option} {places[option]}: is a file; name a folder")
        elif is_local(fs) and option not in derived and not _writable(stripped):
            problems.append(f"{option} {places[option]}: may not be written")
    problems += root_of_storage(config.output.path)
    if not any(problem.startswith(("--output ", f"--workdir {config.workdir_path}: ")) for problem in problems):
        problems += _foreign_workdir(config.workdir_path)
    if config.store is not None and not any(problem.startswith("--store ") for problem in problems):
        problems += _foreign_store(config.store_path)
    if problems:
        raise ConfigError(problems)


def _a_table(option: str, name: str) -> str:
    """Why the name of a table is no place to write to."""
    instead = (
        f", and output.format=delta or iceberg with output.table={name} to have Spark's catalog keep a table over it"
        if option == "--output"
        else ""
    )
    return f"{option} {name}: names a table of a catalog, into which nothing is written; name a folder{instead}"


def check_corpus_files(config: Config, snapshot: Snapshot) -> None:
    """Check that no file of the corpus lies in what runs write, by way of a pattern or of a link in the corpus.

    Args:
        config: names output, workdir and store.
        snapshot: the corpus's files; a plain folder, without patterns and links, passes unread.

    Raises:
        ConfigError: naming, for each of these places, the first folder or linked file that lies in it.
    """
    if snapshot.listing.plain:
        return
    fs, stripped = open_fs(snapshot.path)
    folders = {file if is_local(fs) and os.path.islink(file) else os.path.dirname(file) for file in snapshot.files}
    urls = folders if is_local(fs) else {url_of(snapshot.path, stripped, folder) for folder in folders}
    places = {"--output": config.output.path, "--workdir": config.workdir_path, "--store": config.store_path}
    problems = [
        f"--corpus {config.corpus.path}: takes in {inside[0]}, which lies inside {option} {path}"
        for option, path in places.items()
        if (inside := sorted(url for url in urls if lies_in(url, path)))
    ]
    if problems:
        raise ConfigError(problems)


def root_of_storage(output: str) -> list[str]:
    """Return why an output must not be the root of a bucket, as a list of at most one problem.

    An output needs a sibling folder, on the same storage, for its lease, its gate's sample and its card.

    Args:
        output: path or URL of the output.
    """
    bucket, sign, _ = output.rstrip("/").partition("://")[2].partition("/")
    if sign or not bucket or "://" not in output or scheme(output) in ("file", "local", "memory"):
        return []
    return [
        f"--output {output}: is the root of a bucket, and has no place next to it for its lease and its card; choose a "
        f"folder in it, such as {output.rstrip('/')}/annotations"
    ]


def _foreign_workdir(path: str) -> list[str]:
    """A workdir is new, empty, or one of ours: what runs write there would be lost among other files."""
    try:
        names = list_names(path)
    except ConfigError:
        return []  # reported already
    layout = WorkdirLayout(path)
    ours = {name.rsplit("/", 1)[-1] for name in (layout.runs, layout.lease_folder, layout.latest)} | {"store", "erased"}
    if not names or ours & set(names):
        return []
    return [f"--workdir {path}: already holds something else ({names[0]}, …); choose a new folder"]


def _foreign_store(path: str) -> list[str]:
    """A store is new, empty, or one of ours."""
    try:
        names = list_names(path)
    except ConfigError:
        return []  # reported already
    layout = StoreLayout(path, "")
    own = {folder.rsplit("/", 1)[-1] for folder in (layout.workdirs, layout.erased)}
    foreign = [name for name in names if name not in own and not _FINGERPRINT.fullmatch(name)]
    if not foreign or len(foreign) < len(names):
        return []
    return [f"--store {path}: already holds something else ({foreign[0]}, …); choose a new folder"]


def _writable(path: str) -> bool:
    """Whether the nearest folder that exists may be written."""
    while not os.path.exists(path):
        path = os.path.dirname(path) or "/"
    return os.path.isdir(path) and os.access(path, os.W_OK | os.X_OK)
