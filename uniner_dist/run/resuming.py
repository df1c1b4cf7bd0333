"""The command line that resumes a run, from its pinned configuration."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from uniner_dist.config.loading import validate_tree
from uniner_dist.config.questions import parse_types
from uniner_dist.config.schema import Config
from uniner_dist.run.run import Run
from uniner_dist.storage.filesystem import join


def resume_command(run: Run) -> str:
    """Return the command line that resumes a run, quoted for a shell, with every setting that is not its default.

    Addresses of clusters, Spark's properties and arguments of the engine belong to the caller and are pinned by no run:
    they are to be given again.

    Args:
        run: the run, with its pinned configuration.
    """
    config = run.config
    types = _types_of(config)
    corpus = {
        "path": config.corpus.path,
        "id_column": config.corpus.id_column,
        "text_column": config.corpus.text_column,
    }
    plain = {
        "corpus": corpus,
        "output": {"path": config.output.path},
        "types": types or config.types,
        "workdir": run.layout.workdir,
        "store": join(run.layout.workdir, "store"),
        "model": {"name": config.model.name},
    }
    options = {
        "--corpus": config.corpus.path, "--id-column": config.corpus.id_column,
        "--text-column": config.corpus.text_column, "--output": config.output.path,
        **({"--types": types} if types else {}), "--workdir": run.layout.workdir, "--model": config.model.name,
    }  # fmt: skip
    defaults = dict(_leaves(validate_tree(plain).model_dump(mode="json")))
    own = _leaves(config.model_dump(mode="json"))
    further = [("--set", f"{key}={json.dumps(value)}") for key, value in own if defaults.get(key) != value]
    if types is None:
        asked = json.dumps([one.model_dump() for one in config.types], ensure_ascii=False)
        further.append(("--set", f"types={asked}"))
    return " ".join(
        ["uniner-dist annotate", *(f"{name} {shlex.quote(value)}" for name, value in (*options.items(), *further))]
    )


def _types_of(config: Config) -> str | None:
    """Value of `--types`; None where a label or a phrase has characters that such a list cannot hold."""
    types = ",".join(one.label if one.label == one.ask else f"{one.label}={one.ask}" for one in config.types)
    try:
        return types if tuple(parse_types(types)) == config.types else None
    except ValueError:
        return None


def _leaves(tree: Mapping[str, object], above: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{above}{key}.")
        elif f"{above}{key}" not in ("types", "workdir"):
            yield f"{above}{key}", value
