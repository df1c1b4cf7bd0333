"""Builds the configuration from files, environment variables, `key=value` overrides and options.

Later sources override earlier ones. The result is a frozen `Config`, or one `ConfigError` that lists every problem.
Never touches Spark, Ray, a GPU or the data (see `pipeline.preflight`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import ValidationError

from uniner_dist.config.explaining import explain
from uniner_dist.config.schema import Config
from uniner_dist.config.secrets import is_secret_name, is_secret_text
from uniner_dist.config.text_files import read_text_file
from uniner_dist.config.yaml_words import load_yaml, settle
from uniner_dist.errors import ConfigError

#: Placeholder for corpus, output and types where a command needs other sections only.
UNSAID: Final = "unsaid"
#: Variables such as UNINER_DIST_POOL__REPLICAS=4 set pool.replicas, and UNINER_DIST_WORKDIR sets workdir.
_PREFIX: Final = "UNINER_DIST_"
_TOP_LEVEL: Final = ("TYPES", "WORKDIR", "STORE")

Files = str | Path | Sequence[str | Path] | None


def load_config(files: Files, overrides: Sequence[str] = (), options: Mapping[str, Any] | None = None) -> Config:
    """Merge YAML files, environment variables, dotted `key=value` overrides and options, in this order.

    Args:
        files: paths or URLs of YAML files of the tree; of several the later ones win, key by key. None for the defaults
            alone.
        overrides: such as `"pool.replicas=2"`; the value is read as YAML.
        options: dotted key → value, from the command line; None values are left out.

    Returns:
        The complete configuration; later sources override earlier ones.

    Raises:
        ConfigError: with every problem found.
    """
    return _load({}, files, overrides, options)


def load_sections(files: Files, overrides: Sequence[str] = (), options: Mapping[str, object] | None = None) -> Config:
    """Return the configuration for commands that open no run: as `load_config`, but less is required.

    Corpus, output and types may be missing, and are `UNSAID` then.

    Args:
        files: as for `load_config`.
        overrides: as for `load_config`.
        options: as for `load_config`.

    Raises:
        ConfigError: with every problem found.
    """
    beneath: dict[str, object] = {"corpus": {"path": UNSAID}, "output": {"path": UNSAID}, "types": UNSAID}
    return _load(beneath, files, overrides, options)


def _load(tree: dict[str, Any], files: Files, overrides: Sequence[str], options: Mapping[str, Any] | None) -> Config:
    for file in [files] if isinstance(files, str | Path) else files or ():
        tree = _merged(tree, _read_yaml(file))
    problems: list[str] = []
    by_variable: dict[str, str] = {}
    for name, value in sorted(os.environ.items()):
        if key := _key_of(name):
            by_variable[key] = name
            _put_yaml(tree, key, value, name, "=", problems)
    for override in overrides:
        key, sign, value = override.partition("=")
        if sign and key.strip():
            by_variable.pop(key.strip(), None)
            _put_yaml(tree, key.strip(), value, f"--set {key}", sign, problems)
        else:
            given = "…" if is_secret_name(override) or is_secret_text(override) else override
            problems.append(f"--set {given}: write key=value, such as pool.replicas=2")
    for key, value in (options or {}).items():
        if value is not None:
            by_variable.pop(key, None)
            _put(tree, key, value, problems)
    try:
        config = validate_tree(tree)
    except ConfigError as error:
        raise ConfigError([*problems, *(_with_variable(problem, by_variable) for problem in error.problems)]) from None
    if problems:
        raise ConfigError(problems)
    return config


def _with_variable(problem: str, by_variable: Mapping[str, str]) -> str:
    """The problem, with the name of the environment variable that set the value."""
    for key, variable in by_variable.items():
        if problem.startswith(f"{key}: "):
            return variable + problem[len(key) :]
        if problem.startswith(f"{key.partition('.')[0]}: unknown option"):
            return f"{variable}: {problem}"
    return problem


def validate_tree(tree: Mapping[str, Any]) -> Config:
    """Return the `Config` of nested mappings.

    Args:
        tree: section → option → value, as parsed from YAML (`load_yaml`) or dumped from another `Config`.

    Raises:
        ConfigError: with every problem found.
    """
    try:
        return Config.model_validate(settle(tree, Config))
    except ValidationError as error:
        raise ConfigError(explain(error, Config)) from None


def _read_yaml(file: str | Path) -> dict[str, object]:
    try:
        tree = read_text_file("--config ", str(file), load_yaml)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        kind = "list" if isinstance(tree, list) else "text"
        raise ConfigError(f"--config {file}: must be a mapping of options, such as pool: {{replicas: 2}}, not a {kind}")
    return tree


def _merged(below: Mapping[str, object], above: Mapping[str, object]) -> dict[str, object]:
    """Two mappings merged, key by key; `above` wins. `types` is one value, which the later file replaces."""
    merged = dict(below)
    for key, value in above.items():
        before = merged.get(key)
        both = isinstance(before, Mapping) and isinstance(value, Mapping) and key != "types"
        merged[key] = _merged(before, value) if both else value  # type: ignore[arg-type]
    return merged


def _key_of(variable: str) -> str | None:
    """The dotted key that an environment variable sets; None for other variables."""
    if not variable.startswith(_PREFIX):
        return None
    name = variable.removeprefix(_PREFIX)
    return name.lower().replace("__", ".") if "__" in name or name in _TOP_LEVEL else None


def _put_yaml(tree: dict[str, object], key: str, value: str, name: str, sign: str, problems: list[str]) -> None:
    try:
        _put(tree, key, load_yaml(value), problems)
    except yaml.YAMLError as error:
        if is_secret_name(key) or is_secret_text(value):
            problems.append(f"{name}{sign}…: the value is not YAML")
        else:
            problems.append(f"{name}{sign}{value}: the value is not YAML ({' '.join(str(error).split())})")


def _put(tree: dict[str, Any], dotted: str, value: Any, problems: list[str]) -> None:
    """Set `tree["a"]["b"] = value` for `"a.b"`, making the mappings in between."""
    *parents, last = dotted.split(".")
    for parent in parents:
        below = tree.get(parent)
        if below is not None and not isinstance(below, Mapping):
            problems.append(f"{parent}: {str(below)!r} is not a mapping of options; write {dotted} by its whole name")
        tree[parent] = dict(below) if isinstance(below, Mapping) else {}
        tree = tree[parent]
    tree[last] = value
