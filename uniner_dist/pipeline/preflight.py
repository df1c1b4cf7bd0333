"""Everything that can be found wrong before Spark, Ray or a GPU is started, reported at once.

Takes a valid `Config`; returns the corpus's `Snapshot`, or raises one `ConfigError` with all problems. Reads listings,
Parquet footers, the first texts and small markers.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from functools import partial

from uniner_dist import model
from uniner_dist.config.schema import Config
from uniner_dist.errors import ConfigError
from uniner_dist.model.check import check_model
from uniner_dist.pipeline.check_columns import check_columns
from uniner_dist.pipeline.check_locations import check_corpus_files, check_locations, check_secrets
from uniner_dist.pipeline.check_output import check_labels, check_output
from uniner_dist.pipeline.first_texts import first_texts
from uniner_dist.prompts.budget import MIN_PASSAGE_TOKENS, passage_budget
from uniner_dist.run.corpus_snapshot import look_at_corpus, pin_corpus
from uniner_dist.run.run import Run, name_run, pin_run
from uniner_dist.storage.listing import shown
from uniner_dist.storage.reading import Reading
from uniner_dist.storage.retries import StorageError
from uniner_dist.storage.snapshot import Snapshot

log = logging.getLogger(__name__)


def _no_requirement(run: Run) -> None:
    """No further checks."""


def open_run(config: Config, ready: Callable[[Run], None] = _no_requirement) -> Run:
    """Where a command begins: check the inputs, name the run, and pin its configuration and its corpus's footers.

    Args:
        config: as loaded; relative paths are resolved against the current folder.
        ready: called with the named run before its folder is made, to check what else it needs; raises where that is
            missing. Default: nothing.

    Returns:
        The run, whose folder has its configuration and the corpus's footers now. It is the latest run of its workdir.

    Raises:
        ConfigError: every problem that can be seen without starting anything.
    """
    with contextlib.suppress(ConfigError):  # which `check` reports with everything else
        config = config.model_copy(update={"model": model.pinned(config.model)})
    snapshot = check(config)
    run = name_run(config, snapshot)
    ready(run)
    pin_run(run)
    pin_corpus(run, snapshot)
    return run


def check(config: Config) -> Snapshot:
    """Check corpus, columns, output, workdir, types and model, and log warnings about how the corpus is read.

    Args:
        config: as loaded.

    Returns:
        The corpus's files, schemas and footers as they are now.

    Raises:
        ConfigError: naming every problem found.
    """
    problems: list[str] = []
    looks: list[Callable[[], None]] = [
        partial(check_secrets, config),
        partial(check_locations, config),
        partial(_check_gate, config),
    ]
    snapshot, reading, texts = None, None, list[str]()
    try:
        snapshot = look_at_corpus(config)
        looks.append(partial(check_labels, config, snapshot))
        texts = first_texts(config.corpus, snapshot)
        reading = check_columns(config, snapshot)
    except ConfigError as error:
        problems += error.problems
    if snapshot is not None:
        looks.append(partial(check_corpus_files, config, snapshot))
        looks.append(partial(check_output, config, snapshot, reading))
    looks.append(partial(_check_model, config, texts))
    for look in looks:
        try:
            look()
        except ConfigError as error:
            problems += error.problems
        except StorageError as error:
            problems.append(str(error))
    if problems or snapshot is None or reading is None:
        raise ConfigError(_once(problems))
    _warn(snapshot, reading)
    return snapshot


def _once(problems: list[str]) -> list[str]:
    """Without what another one says as well, under the option that was typed."""
    told = dict.fromkeys(problems)
    return [problem for problem in told if not any(other != problem and other.endswith(problem) for other in told)]


def _warn(snapshot: Snapshot, reading: Reading) -> None:
    """Say what the user may not expect of how the corpus is read."""
    passed_over = snapshot.listing.passed_over
    if passed_over:
        log.warning(
            "corpus %s: %d files are passed over, as they do not end in .parquet, .parq or .pq: %s",
            snapshot.path,
            len(passed_over),
            shown(passed_over),
        )
    for note in reading.notes:
        log.warning("corpus %s: %s", snapshot.path, note)


def _check_gate(config: Config) -> None:
    """The gold of the quality gate can be read and is about labels of this run."""
    if config.gate.gold is not None:
        from uniner_dist.evaluation.gold_slice import read_gold_slice

        read_gold_slice(config)


def _check_model(config: Config, texts: list[str]) -> None:
    """The model can be loaded, its tokenizer is the one it was trained with, and questions leave room for text."""
    gpus, extra = config.pool.gpus_per_replica, config.engine.extra
    tokenizer = check_model(config.model, config.questions.asked, texts, gpus, extra)
    if tokenizer.reason:
        log.warning(tokenizer.reason)
    budget = passage_budget(config, tokenizer)
    if budget.whole < MIN_PASSAGE_TOKENS:
        raise ConfigError(
            f"types: the longest question leaves {budget.whole} tokens for text in a context of "
            f"{model.context_length(config.model)}; shorten it or lower model.max_tokens"
        )
    if budget.overlap > budget.passage // 4:
        raise ConfigError(
            f"prompts.overlap_tokens: must be at most a quarter of a passage, {budget.passage // 4} tokens here"
        )
