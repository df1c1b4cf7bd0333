"""How the configuration tree is filled.

Enters: a YAML file of `conf/`, `key=value` overrides and command-line options. Leaves: a frozen `Config`, or one
`ConfigError` that lists every problem. Never touches Spark, Ray, a GPU or storage (see `pipeline.preflight`).
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from uniner_dist.config.schema import Config
from uniner_dist.config.yaml_words import load_yaml, settle
from uniner_dist.errors import ConfigError


def load_config(
    file: str | Path | None, overrides: Sequence[str] = (), options: Mapping[str, Any] | None = None
) -> Config:
    """Read a YAML file, lay dotted `key=value` overrides and then options over it, and validate the whole.

    Args:
        file: YAML of the tree, or None for the defaults alone.
        overrides: such as `"pool.replicas=2"`; the value is read as YAML.
        options: dotted key → value, from the command line; None values are left out.

    Raises:
        ConfigError: naming every problem at once.
    """
    tree = _read_yaml(file) if file else {}
    problems: list[str] = []
    for override in overrides:
        key, sign, value = override.partition("=")
        if not sign:
            problems.append(f"--set {override}: write key=value, such as pool.replicas=2")
            continue
        try:
            _put(tree, key.strip(), load_yaml(value))
        except yaml.YAMLError as error:
            problems.append(f"--set {override}: the value is not YAML ({' '.join(str(error).split())})")
    for key, value in (options or {}).items():
        if value is not None:
            _put(tree, key, value)
    try:
        config = validate_tree(tree)
    except ConfigError as error:
        raise ConfigError([*problems, *error.problems]) from None
    if problems:
        raise ConfigError(problems)
    return config


def validate_tree(tree: Mapping[str, Any]) -> Config:
    """A `Config` from nested mappings; raises `ConfigError` with every problem in words."""
    try:
        return Config.model_validate(settle(tree, Config))
    except ValidationError as error:
        raise ConfigError([_explain(item, Config) for item in error.errors()]) from None


def _read_yaml(file: str | Path) -> dict[str, Any]:
    import fsspec

    try:
        with fsspec.open(str(file), "r", encoding="utf-8") as stream:
            tree = load_yaml(stream)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ConfigError(f"--config {file}: cannot be read: {error}") from error
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise ConfigError(f"--config {file}: must be a mapping of options, not a {type(tree).__name__}")
    return tree


def _put(tree: dict[str, Any], dotted: str, value: Any) -> None:
    """Set `tree["a"]["b"] = value` for `"a.b"`, making the mappings in between."""
    *parents, last = dotted.split(".")
    for parent in parents:
        below = tree.get(parent)
        tree[parent] = dict(below) if isinstance(below, Mapping) else {}
        tree = tree[parent]
    tree[last] = value


_HINTS = {
    "corpus": " (--corpus …)",
    "corpus.path": " (--corpus …)",
    "output": " (--output …)",
    "output.path": " (--output …)",
    "types": " (--types person,location)",
}


def _explain(item: Any, root: type[BaseModel]) -> str:
    """One sentence for one pydantic error, with the nearest known key for an unknown one."""
    where = ".".join(str(part) for part in item["loc"])
    if item["type"] == "missing":
        return f"{where}: is required{_HINTS.get(where, '')}"
    if item["type"] == "extra_forbidden":
        known = _known_keys(root, item["loc"][:-1])
        near = difflib.get_close_matches(str(item["loc"][-1]), known, n=1)
        return f"{where}: unknown option; " + (f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}")
    message = item["msg"].removeprefix("Value error, ")
    if not where:
        return str(message)
    return f"{where}: {message}" + ("" if item["type"] == "value_error" else f" (got {item['input']!r})")


def _known_keys(model: type[BaseModel], path: Sequence[Any]) -> list[str]:
    for part in path:
        field = model.model_fields.get(str(part))
        annotation = field.annotation if field else None
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return []
        model = annotation
    return list(model.model_fields)
