"""The main job: the three stages one after the other, in one process, each a possible first line of a rerun.

`annotate` is what `uniner-dist annotate`, `jobs/annotate.py` and the Airflow task call. The stage functions below it
are what the stage commands call; they share nothing but the run's folder.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from uniner_dist.completions.stage import complete_prompts, is_complete, open_pool, read_attempts, reopen
from uniner_dist.config import Config
from uniner_dist.errors import DrainedError, StageError, ThresholdError, UninerError
from uniner_dist.report import build_report, write_report
from uniner_dist.run import Run, open_run
from uniner_dist.stopping import STOPPED, StopRequest, stop_on_signals, uninterrupted
from uniner_dist.storage.filesystem import exists, read_json
from uniner_dist.storage.holder import Holder, hold
from uniner_dist.storage.marker import read_marker

#: Up to this much corpus the replicas load while Spark works; beyond it GPUs would wait for Spark, not Spark for GPUs.
_OVERLAP_BYTES = 256 * 2**20

Say = Callable[[str], None]


def annotate(config: Config, say: Say = print) -> dict[str, Any]:
    """Corpus in, annotations published; returns the report.

    Args:
        say: takes one line of news for the person at the terminal.

    Raises:
        UninerError: see `uniner_dist.errors`; its exit code tells what kind.
    """
    run = open_run(config)
    if is_published(run):
        say(f"run {run.id} is finished: {run.config.output.path} already holds its annotations; nothing to do")
        return dict(read_json(run.layout.report))
    say(f"run {run.id}: everything of it stands in {run.layout.root}")
    with working_on(run) as (holder, stop):
        if is_complete(run):
            run_prompts(run, say)
        else:
            _prompts_and_completions(run, holder, stop, say)
        return run_annotations(run, holder, say)


def _prompts_and_completions(run: Run, holder: Holder, stop: StopRequest, say: Say) -> None:
    with ExitStack() as stack:
        early = run.corpus_bytes <= _OVERLAP_BYTES and not exists(run.layout.shards)
        pool = stack.enter_context(open_pool(run, stop)) if early else None
        run_prompts(run, say)
        pool = pool or stack.enter_context(open_pool(run, stop))
        _complete(run, pool, holder, stop, say)


def run_prompts(run: Run, say: Say = print) -> dict[str, Any]:
    """Stage 1. Returns its summary; a stage that is done already only reports it."""
    if exists(run.layout.shards):
        summary: dict[str, Any] = read_json(run.layout.prompts_summary)
    else:
        from uniner_dist.prompts import write_prompts

        with _spark(run) as spark:
            summary = write_prompts(spark, run)
    rejected = sum(summary["rejects"].values())
    say(
        f"prompts: {summary['documents']:,} documents ({rejected:,} rows rejected), "
        f"{summary['unique_passages']:,} passages, {summary['prompts']:,} prompts in {summary['shards']:,} shards"
    )
    limit = run.config.run.allow_rejects_fraction
    if rejected > limit * max(summary["rows"], 1):
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in summary["rejects"].items())
        raise ThresholdError(
            f"{rejected:,} of {summary['rows']:,} corpus rows were rejected ({reasons}), more than "
            f"run.allow_rejects_fraction={limit:g} allows; they stand in {run.layout.rejects}"
        )
    return summary


def run_completions(run: Run, say: Say = print) -> dict[str, Any]:
    """Stage 2 alone."""
    with working_on(run) as (holder, stop):
        if is_complete(run):
            say("completions: every shard is committed already")
            return {}
        with open_pool(run, stop) as pool:
            return _complete(run, pool, holder, stop, say)


def _complete(run: Run, pool: Any, holder: Holder, stop: StopRequest, say: Say) -> dict[str, Any]:
    stop.listen()
    stop.draining = True
    try:
        attempt = complete_prompts(run, pool, holder)
    finally:
        stop.draining = False
    say(
        f"completions: {attempt['prompts']:,} prompts answered in {attempt['wall_s']:.1f} s, "
        f"{attempt['prompts_reused']:,} kept from earlier starts, {attempt['deaths']} replica deaths"
    )
    return attempt


def retry_quarantine(run: Run, say: Say = print) -> dict[str, Any]:
    """Ask again what has no answer (refused prompts, killers) and publish the run anew. Returns the report."""
    with working_on(run) as (holder, stop):
        reopened = reopen(run)
        if not reopened and is_complete(run):
            say("every prompt of this run has an answer; unparseable and cut-off answers would only come again")
            return dict(read_json(run.layout.report))
        say(f"asking the unanswered prompts of {reopened:,} shards again")
        with open_pool(run, stop) as pool:
            _complete(run, pool, holder, stop, say)
        return run_annotations(run, holder, say, again=True)


def run_annotations(run: Run, holder: Holder | None = None, say: Say = print, again: bool = False) -> dict[str, Any]:
    """Stage 3: parse, locate, audit, publish (a published run only if `again`), report. Returns the report."""
    from uniner_dist.annotations import publish, write_annotations

    with _spark(run) as spark:
        summary = write_annotations(spark, run, again)
        if holder is not None:
            holder.check()
        publication = publish(spark, run, again)
    say(f"annotations: {summary['rows']:,} rows published to {run.config.output.path}")
    report = build_report(run, read_json(run.layout.prompts_summary), read_attempts(run), summary, publication)
    write_report(run, report)
    return report


@contextmanager
def _spark(run: Run) -> Iterator[Any]:
    """A session for one stage. Quiet py4j: it logs a stack trace for every call that a stop interrupts."""
    from uniner_dist.spark import QUICK_BYTES, spark_session

    logging.getLogger("py4j").setLevel(logging.CRITICAL + 1)
    logging.getLogger().addFilter(_is_not_py4j)
    with ExitStack() as stack:
        with uninterrupted():
            quick = run.corpus_bytes < QUICK_BYTES
            session = stack.enter_context(spark_session(run.config, quick=quick))
        yield session


def _is_not_py4j(record: logging.LogRecord) -> bool:
    """False for what py4j says to the root logger instead of its own."""
    return record.msg != "Exception while sending command."


def is_published(run: Run) -> bool:
    """Whether the output's marker says that this run is wholly in, and its report stands."""
    marker = read_marker(run.config.output.path)
    return marker is not None and run.id in marker.get("runs", {}) and exists(run.layout.report)


@contextmanager
def working_on(run: Run) -> Iterator[tuple[Holder, StopRequest]]:
    """Hold the run, turn signals into a graceful stop, and failures of Spark, Ray and storage into one error.

    Raises:
        DrainedError: somebody asked to stop.
        StageError: anything around us failed; the same command resumes.
    """
    with stop_on_signals() as stop:
        try:
            with hold(run.layout) as holder:
                yield holder, stop
        except DrainedError:
            raise
        except (Exception, KeyboardInterrupt) as error:
            # What Spark and Ray throw when a signal interrupts their calls is theirs; why we leave is ours.
            if stop.requested or isinstance(error, KeyboardInterrupt):
                raise DrainedError(STOPPED) from error
            if isinstance(error, UninerError) or not _is_infrastructure(error):
                raise
            raise StageError(f"{_words(error)}; the same command goes on from what is committed") from error


def _is_infrastructure(error: Exception) -> bool:
    return isinstance(error, OSError) or type(error).__module__.split(".")[0] in ("pyspark", "py4j", "ray")


def _words(error: Exception) -> str:
    """One line without a stack trace."""
    if type(error).__module__.split(".")[0] in ("pyspark", "py4j") or isinstance(error, ConnectionError):
        return f"the connection to Spark's JVM broke, or Spark failed: {_first_line(error)}"
    if isinstance(error, OSError):
        return f"{error.filename or 'storage'}: {error.strerror or _first_line(error)}"
    return f"Ray failed: {_first_line(error)}"


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__
