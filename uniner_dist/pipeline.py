"""The main job: the three stages one after the other, in one process, each a possible first line of a rerun.

`annotate` is what `uniner-dist annotate`, `jobs/annotate.py` and the Airflow task call. The stage functions below it
are what the stage commands call; they share nothing but the run's folder.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from uniner_dist.completions.cluster import ray_cluster
from uniner_dist.completions.stage import (
    complete_prompts,
    is_complete,
    note_start,
    open_pool,
    read_attempts,
    reopen,
)
from uniner_dist.config import Config
from uniner_dist.errors import (
    DrainedError,
    QualityGateError,
    RunHeldError,
    StageError,
    ThresholdError,
    UninerError,
)
from uniner_dist.gate.verdict import has_passed
from uniner_dist.report import build_report, stopped_report, write_report
from uniner_dist.run import Run, open_run
from uniner_dist.stopping import STOPPED, StopRequest, stop_on_signals, uninterrupted
from uniner_dist.storage.filesystem import exists, read_json, remove
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
        return _finished(run, say)
    say(f"run {run.id}: everything of it stands in {run.layout.root}")
    with working_on(run) as (holder, stop):
        if is_complete(run):
            run_prompts(run, say)
            note_start(run)
            run_gate(run, say)
        else:
            _prompts_and_completions(run, holder, stop, say)
        return run_annotations(run, holder, say)


def _prompts_and_completions(run: Run, holder: Holder, stop: StopRequest, say: Say) -> None:
    with ExitStack() as stack:
        gated = not has_passed(run)  # then the GPUs are the gate's until it is passed
        early = run.corpus_bytes <= _OVERLAP_BYTES and not exists(run.layout.shards) and not gated
        pool = stack.enter_context(open_pool(run, stop)) if early else None
        run_prompts(run, say)
        if gated:
            stack.enter_context(ray_cluster(run.config.ray))  # one cluster for both pools
            run_gate(run, say)
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


def run_gate(run: Run, say: Say = print) -> None:
    """The quality gate: annotate and judge its documents, if the run has a gate that was not passed yet.

    Raises:
        QualityGateError: the run must not go on; its report says why.
    """
    if has_passed(run):
        return
    if not exists(run.layout.shards):
        raise StageError(f"run {run.id}: the prompts stage is not done; run `uniner-dist prompts` first")
    from uniner_dist.gate.stage import pass_gate

    with _spark(run) as spark:
        try:
            pass_gate(spark, run, lambda config: annotate(config, lambda line: say(f"gate: {line}")), say)
        except QualityGateError as error:
            write_report(run, stopped_report(run, read_json(run.layout.prompts_summary), read_attempts(run), error))
            raise


def run_completions(run: Run, say: Say = print) -> dict[str, Any]:
    """Stage 2 alone."""
    if not has_passed(run):
        raise StageError(
            f"run {run.id}: its quality gate was not passed yet; run `uniner-dist gate --workdir {run.layout.workdir} "
            f"--run {run.id}` first, which needs Spark and Ray"
        )
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
        if not exists(run.layout.retry):  # else an earlier retry was cut off, and goes on
            if exists(run.layout.publication):
                run_annotations(run, holder, say)
            reopened = reopen(run)
            if not reopened and is_published(run):
                say("every prompt of this run has an answer; unparseable and cut-off answers would only come again")
                return dict(read_json(run.layout.report))
            say(f"asking the unanswered prompts of {reopened:,} shards again")
        if not is_complete(run):
            with open_pool(run, stop) as pool:
                _complete(run, pool, holder, stop, say)
        report = run_annotations(run, holder, say, again=True)
        remove(run.layout.retry)
        return report


def run_annotations(run: Run, holder: Holder | None = None, say: Say = print, again: bool = False) -> dict[str, Any]:
    """Stage 3: parse, locate, audit, publish (a published run only if `again`), report. Returns the report."""
    if not again and is_published(run):
        return _finished(run, say)
    from uniner_dist.annotations import publish, write_annotations, write_card
    from uniner_dist.gate.stage import check_staged, close_gate

    check = holder.check if holder is not None else lambda: None
    with _spark(run) as spark:
        check()
        summary = write_annotations(spark, run, again)
        try:
            gate = check_staged(spark, run, say)
        except QualityGateError as error:
            write_report(run, stopped_report(run, read_json(run.layout.prompts_summary), read_attempts(run), error))
            raise
        check()
        publication = publish(spark, run, again, check)
        publication["card"] = write_card(spark, run)
        close_gate(run)
    say(f"annotations: {summary['rows']:,} rows published to {run.config.output.path}")
    prompts = read_json(run.layout.prompts_summary)
    report = build_report(run, prompts, read_attempts(run), summary, publication, gate)
    write_report(run, report)
    return report


@contextmanager
def _spark(run: Run) -> Iterator[Any]:
    """A session for one stage. Quiet py4j: it logs a stack trace for every call that a stop interrupts."""
    from uniner_dist.spark import QUICK_BYTES, spark_session

    logging.getLogger("py4j").setLevel(logging.CRITICAL + 1)
    with ExitStack() as stack:
        with uninterrupted():
            quick = run.corpus_bytes < QUICK_BYTES
            session = stack.enter_context(spark_session(run.config, quick=quick))
        yield session


def _finished(run: Run, say: Say) -> dict[str, Any]:
    say(f"run {run.id} is finished: {run.config.output.path} already holds its annotations; nothing to do")
    return dict(read_json(run.layout.report))


def is_published(run: Run) -> bool:
    """Whether the output's marker says that this run is wholly in, and its report stands."""
    marker = read_marker(run.config.output.path)
    listed = marker is not None and run.id in marker.get("runs", {})
    return listed and exists(run.layout.report) and read_json(run.layout.report)["publication"] is not None


@contextmanager
def working_on(run: Run) -> Iterator[tuple[Holder, StopRequest]]:
    """Hold the run, turn signals into a graceful stop, and failures of Spark, Ray and storage into one error.

    Raises:
        RunHeldError: another process holds the run, or has taken it over.
        DrainedError: somebody asked to stop.
        StageError: anything around us failed; the same command resumes.
    """
    with stop_on_signals() as stop:
        holder = None
        try:
            with hold(run.layout, on_lost=stop.interrupt) as holder:
                yield holder, stop
        except (Exception, KeyboardInterrupt) as error:
            if isinstance(error, RunHeldError):
                raise
            if holder is not None and holder.lost:
                raise holder.why_lost() from error
            if isinstance(error, DrainedError):
                raise
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
