"""Everything that can be found wrong before Spark, Ray or a GPU is started, reported at once.

Enters: a valid `Config`. Leaves: the corpus's `Snapshot`, or one `ConfigError` with all problems. Reads listings, one
Parquet footer and small markers; never rows.
"""

from __future__ import annotations

import contextlib
import difflib
import os
import re
from collections.abc import Callable
from functools import partial

import pyarrow as pa

from uniner_dist.config.schema import Config
from uniner_dist.core.template import get_template
from uniner_dist.core.tokens import PromptTokenizer
from uniner_dist.errors import ConfigError
from uniner_dist.model import identity as model
from uniner_dist.prompts.budget import passage_budget
from uniner_dist.run.run import Run, pin_run
from uniner_dist.storage.filesystem import StorageError, absolute, is_local, list_names, open_fs
from uniner_dist.storage.hive import folder_name, is_folder_name
from uniner_dist.storage.layout import MARKER
from uniner_dist.storage.marker import read_marker
from uniner_dist.storage.snapshot import Snapshot, take_snapshot

#: A type whose question leaves less room than this for text is refused.
_MIN_PASSAGE_TOKENS = 64
#: Options whose value is a secret, such as spark.hadoop.fs.s3a.secret.key or hf_token.
_SECRET = re.compile(r"secret|passw|access[._]?key|account\.key|api_?key|(^|[._])token$", re.IGNORECASE)


def open_run(config: Config) -> Run:
    """Where a command begins: check the inputs, name the run, and pin its configuration.

    Raises:
        ConfigError: every problem that can be seen without starting anything.
    """
    return pin_run(config, check(config))


def check(config: Config) -> Snapshot:
    """Look at corpus, columns, output, workdir, types and model.

    Raises:
        ConfigError: naming every problem found.
    """
    problems: list[str] = []
    looks: list[Callable[[], None]] = [
        partial(_check_secrets, config),
        partial(_check_places, config),
        partial(_check_model, config),
        partial(_check_gate, config),
    ]
    snapshot = None
    try:
        snapshot = take_snapshot(config.corpus.path)
        problems += _check_columns(config, snapshot)
        looks += [partial(_check_output, config, snapshot), partial(_check_labels, config, snapshot)]
    except ConfigError as error:
        problems += error.problems
    for look in looks:
        try:
            look()
        except ConfigError as error:
            problems += error.problems
        except StorageError as error:
            problems.append(str(error))
    if problems or snapshot is None:
        raise ConfigError(problems)
    return snapshot


def _check_columns(config: Config, snapshot: Snapshot) -> list[str]:
    corpus = config.corpus
    known = {field.name: field.type for field in snapshot.schema}
    known |= {name: pa.string() for name in snapshot.partitions}
    problems = [f"corpus {corpus.path}: {text}" for text in _ambiguous(list(known))]
    wanted = {"--id-column": corpus.id_column, "--text-column": corpus.text_column}
    partition_by = [name for name in config.output.partition_by or () if name != "entity_type"]
    for option, names in {
        **{k: [v] for k, v in wanted.items()},
        "corpus.keep_columns": corpus.keep_columns,
        "--partition-by": partition_by,
    }.items():
        for name in names:
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"it has: {', '.join(known)}"
                problems.append(f"{option} {name}: the corpus has no such column; {hint}")
    if corpus.text_column in known and not _is_text(known[corpus.text_column]):
        problems.append(f"--text-column {corpus.text_column}: holds {known[corpus.text_column]}, not strings")
    id_type = known.get(corpus.id_column)
    if id_type is not None and not (_is_text(id_type) or pa.types.is_integer(id_type)):
        problems.append(f"--id-column {corpus.id_column}: holds {id_type}; ids must be strings or integers")
    reasons = {corpus.text_column: "the text cannot be a folder", corpus.id_column: "a folder per document is too many"}
    for name in partition_by:
        if name in reasons:
            problems.append(f"--partition-by {name}: {reasons[name]}")
        elif name in known and not _names_folders(known[name]):
            problems.append(f"--partition-by {name}: holds {known[name]}, which cannot be a folder's name")
    return problems


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _names_folders(kind: pa.DataType) -> bool:
    return _is_text(kind) or pa.types.is_primitive(kind) or pa.types.is_decimal(kind)


def _ambiguous(names: list[str]) -> list[str]:
    folded = [name.lower() for name in names]
    twice = sorted({name for name in names if folded.count(name.lower()) > 1})
    return [f"columns {', '.join(twice)} differ only in case, which Spark cannot tell apart"] if twice else []


def _check_secrets(config: Config) -> None:
    """The configuration is written into the run's folder, so no secret may stand in it; the value is not shown."""
    places = {"spark.conf": config.spark.conf, "engine.extra": config.engine.extra}
    problems = [
        f"{place}.{key}: looks like a secret, which would be written into the run's folder; give it by an environment "
        "variable or the cluster's own configuration"
        for place, values in places.items()
        for key in values
        if _SECRET.search(key)
    ]
    if problems:
        raise ConfigError(problems)


def _check_places(config: Config) -> None:
    """Corpus, output, workdir and store must not contain one another, and the local ones must be writable.

    Only the store may lie in the workdir, where it is by default.
    """
    problems = []
    places = {
        "--corpus": config.corpus.path,
        "--output": config.output.path,
        "--workdir": config.workdir_path,
        "--store": config.store_path,
    }
    resolved = {option: _resolved(path) for option, path in places.items()}
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
        if resolved[inner].startswith(resolved[outer]):
            problems.append(f"{inner} {places[inner]}: lies inside {outer} {places[outer]}; choose a place outside")
    for option in ("--output", "--workdir", "--store"):
        try:
            fs, stripped = open_fs(places[option])
        except ConfigError as error:
            problems += [f"{option} {problem}" for problem in error.problems]
            continue
        if is_local(fs) and not _writable(stripped):
            problems.append(f"{option} {places[option]}: may not be written")
    if problems:
        raise ConfigError(problems)


def _resolved(path: str) -> str:
    """An absolute path that ends in a slash; one of an unknown kind as it is."""
    with contextlib.suppress(ConfigError):
        path = absolute(path)
    return path.rstrip("/") + "/"


def _writable(path: str) -> bool:
    """Whether the nearest folder that exists may be written."""
    while not os.path.exists(path):
        path = os.path.dirname(path) or "/"
    return os.path.isdir(path) and os.access(path, os.W_OK | os.X_OK)


def _check_output(config: Config, snapshot: Snapshot) -> None:
    """An output folder is new, empty, or a dataset of ours with the same columns and folders."""
    path = config.output.path
    names = [name for name in list_names(path) if name != MARKER]
    marker = read_marker(path)
    if names and marker is None:
        raise ConfigError(f"--output {path}: already holds something else ({names[0]}, …); choose a new folder")
    if marker is None:
        return
    wanted = {
        "id_column": ("id column", [config.corpus.id_column]),
        "partition_by": ("folder columns", list(config.folders(snapshot.partitions))),
        "carried": ("further columns", list(config.carried(snapshot.partitions))),
    }
    problems = []
    for key, (words, ours) in wanted.items():
        theirs = marker[key] if isinstance(marker[key], list) else [marker[key]]
        if ours != theirs:
            shown = [", ".join(names) or "none" for names in (theirs, ours)]
            problems.append(f"--output {path}: its {words} are {shown[0]}, not {shown[1]}; choose another folder")
    if problems:
        raise ConfigError(problems)


def _check_labels(config: Config, snapshot: Snapshot) -> None:
    """A label that becomes a folder's name must be fit for one."""
    if "entity_type" not in config.folders(snapshot.partitions):
        return
    labels = [entity_type.label for entity_type in config.types]
    unfit = [label for label in labels if not is_folder_name(folder_name("entity_type", label))]
    if unfit:
        raise ConfigError(
            [
                f"types: label {label[:40]!r}… is too long for a folder's name (or has a NUL); "
                "give it a short one: LABEL=phrase"
                for label in unfit
            ]
        )


def _check_gate(config: Config) -> None:
    """The gold of the quality gate can be read and is about labels of this run."""
    from uniner_dist.evaluation.gold_slice import read_gold_slice

    read_gold_slice(config)


def _check_model(config: Config) -> None:
    """The model is there, its tokenizer loads, and every type's question leaves room for text."""
    tokenizer = PromptTokenizer.from_json(model.load_tokenizer_json(config.model), get_template(config.model.template))
    budget = passage_budget(config, tokenizer)
    if budget.whole < _MIN_PASSAGE_TOKENS:
        raise ConfigError(
            f"types: the longest question leaves {budget.whole} tokens for text in a context of "
            f"{model.context_length(config.model)}; shorten it or lower model.max_tokens"
        )
    if budget.overlap > budget.passage // 4:
        raise ConfigError(
            f"prompts.overlap_tokens: must be at most a quarter of a passage, {budget.passage // 4} tokens here"
        )
