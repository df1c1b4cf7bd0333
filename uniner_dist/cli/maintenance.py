"""The maintenance commands: each holds the lease of what it changes, does its work and reports it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from uniner_dist.config.schema import SparkConfig
from uniner_dist.errors import ConfigError, UnreachableError
from uniner_dist.maintenance.erase import Erasure, erase_documents, restore
from uniner_dist.maintenance.preview import preview_documents, preview_prune
from uniner_dist.maintenance.prune import prune
from uniner_dist.pipeline.exclusive import holding
from uniner_dist.run.run import list_runs, no_runs
from uniner_dist.storage.answer_store import list_stores
from uniner_dist.storage.filesystem import absolute, join, read_bytes
from uniner_dist.storage.place_layout import WorkdirLayout
from uniner_dist.storage.retries import format_storage_error

Say = Callable[[str], None]


@dataclass(frozen=True)
class _Settings:
    """A configuration with nothing but Spark in it."""

    spark: SparkConfig = field(default_factory=SparkConfig)


def run_compact(
    workdir: str | None, store: str | None, grace_hours: float, master: str | None, say: Say, dry_run: bool = False
) -> None:
    """Compact a store, or the default one of a workdir; with `dry_run`, only say what would be merged.

    Raises:
        ConfigError: neither is given, or there is no store.
    """
    from uniner_dist.maintenance.compact import compact, small_files
    from uniner_dist.spark.session import spark_session

    if (workdir is None) == (store is None):
        raise ConfigError("--workdir or --store: give one of them")
    if grace_hours < 0:
        raise ConfigError(f"--grace-hours {grace_hours:g}: must be at least 0")
    place = absolute(store or join(str(workdir), "store"))
    parts = list_stores(place)
    if not parts:
        raise ConfigError(f"--store {place}: there are no answers")
    if dry_run:
        for part in parts:
            sizes = small_files(part)
            say(f"{part.fingerprint}: {len(sizes):,} files with {sum(sizes.values()):,} bytes would be merged")
        return
    settings = _Settings(SparkConfig(master=master) if master else SparkConfig())
    for part in parts:
        with holding(part) as (lease, _), spark_session(settings) as spark:
            done = compact(spark, part, lease, grace_hours * 3600)
        say(
            f"{part.fingerprint}: {done.merged:,} files became {done.written:,} with {done.cells:,} answers "
            f"({done.repeats:,} repeats dropped); {done.deleted:,} files replaced earlier were deleted"
        )


def run_prune(workdir: str, older_than_days: float, say: Say, dry_run: bool = False) -> None:
    """Remove texts and answers of older runs; with `dry_run`, only list these runs."""
    if older_than_days < 0:
        raise ConfigError(f"--older-than-days {older_than_days:g}: must be at least 0")
    workdir = _workdir(workdir)
    if dry_run:
        found = preview_prune(workdir, older_than_days * 86400)
        say(f"{len(found):,} runs would be pruned" + (": " + ", ".join(found) if found else ""))
        return
    with holding(WorkdirLayout(workdir)) as (lease, _):
        pruned = prune(workdir, older_than_days * 86400, lease.check)
    say(f"{len(pruned):,} runs pruned" + (": " + ", ".join(pruned) if pruned else ""))


def run_erasure(workdir: str, ids: Sequence[str], file: str | None, say: Say, stores: Sequence[str] = ()) -> Erasure:
    """Erase documents, named by options and by a file with one id a line.

    Raises:
        ConfigError: no id is given, or the file cannot be read.
        UnreachableError: everything within reach was erased, but not everything is within reach.
    """
    workdir, named = _workdir(workdir), _named(ids, file)
    with holding(WorkdirLayout(workdir)) as (lease, _):
        erasure = erase_documents(workdir, named, lease.check)
    if erasure.found_any:
        say(
            f"forgotten: {erasure.annotations:,} annotations, {erasure.cells:,} answers in the store, "
            f"{erasure.prompts:,} prompts, {erasure.places:,} passages of documents, {erasure.other_rows:,} other rows"
        )
    else:
        say("there is no trace of these documents")
    for folder in erasure.exports:
        say(f"export {folder}: had them, and was removed; `uniner-dist export` makes it again without them")
    for other in erasure.others:
        say(f"workdir {other}: documents with some of these ids are of another corpus and have other texts; they stay")
    say(
        "The corpus is yours: a document that is still there stays away from now on, until its text changes or "
        "`uniner-dist forget --restore` lets it come back."
    )
    if erasure.unreachable:
        lines = "\n".join(f"- {line}" for line in erasure.unreachable)
        raise UnreachableError(f"not everything could be visited; start the same command again when it can:\n{lines}")
    return erasure


def preview_erasure(workdir: str, ids: Sequence[str], file: str | None, say: Say) -> None:
    """Say where `run_erasure` would find documents; nothing is changed.

    Raises:
        ConfigError: no id is given, or the file cannot be read.
    """
    found = preview_documents(_workdir(workdir), _named(ids, file))
    for doc_id, runs in found.documents.items():
        say(f"would be erased: {doc_id}, in {len(runs):,} runs: {', '.join(runs)}")
    for doc_id in found.unknown:
        say(f"in no run: {doc_id}; it would only stay away from now on")
    say("outputs to look through: " + (", ".join(found.outputs) or "none"))
    say("stores to look through: " + (", ".join(found.stores) or "none"))
    for other in found.others:
        say(f"workdir {other}: documents with some of these ids are of another corpus and have other texts; would stay")
    for line in found.unreachable:
        say(f"out of reach: {line}")


def run_restore(workdir: str, ids: Sequence[str], file: str | None, say: Say) -> int:
    """Let erased documents come back.

    Raises:
        ConfigError: no id is given, or the file cannot be read.
    """
    workdir, named = _workdir(workdir), _named(ids, file)
    with holding(WorkdirLayout(workdir)):
        back = restore(workdir, named)
    say(f"{back:,} documents come back with the next run over a corpus that has them")
    return back


def _named(ids: Sequence[str], file: str | None) -> list[str]:
    if any(not name.strip() for name in ids):
        raise ConfigError("--id: is blank, and no document has a blank id")
    named = [*ids, *(_read_ids(file) if file else ())]
    if not named and file:
        raise ConfigError(f"--ids {file}: names no document; write one id a line")
    if not named:
        raise ConfigError("--id or --ids: name at least one document")
    return named


def _workdir(path: str) -> str:
    path = absolute(path)
    if not list_runs(path):
        raise ConfigError(no_runs(path))
    return path


def _read_ids(file: str) -> list[str]:
    try:
        text = read_bytes(absolute(file)).decode()
    except FileNotFoundError:
        raise ConfigError(f"--ids {file}: is not there") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"--ids {file}: is not UTF-8 text, one id a line ({error.reason} at {error.start})") from None
    except OSError as error:
        raise ConfigError(f"--ids {file}: cannot be read: {format_storage_error(error)}") from error
    return [line.removesuffix("\r") for line in text.split("\n") if line.strip()]
