"""The main job: the three stages one after the other, in one process, each a possible first line of a rerun.

`annotate` is what `uniner-dist annotate`, `jobs/annotate.py` and the Airflow task call. The stage functions below it
are what the stage commands call; they share nothing but the run's folder.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from uniner_dist.cluster.connect import ray_cluster
from uniner_dist.completions.attempts import read_attempts
from uniner_dist.completions.pool import Pool
from uniner_dist.completions.stage import check_limits, complete_prompts, is_complete, note_start, open_pool, reopen
from uniner_dist.config.schema import Config
from uniner_dist.errors import QualityGateError, StageError, ThresholdError
from uniner_dist.gate.verdict import has_passed
from uniner_dist.pipeline.exclusive import working_on
from uniner_dist.pipeline.preflight import open_run
from uniner_dist.reporting.live import LiveView, SparkWatch
from uniner_dist.reporting.plan import make_plan
from uniner_dist.reporting.report import build_report, stopped_report, write_report
from uniner_dist.run.run import Run
from uniner_dist.runtime.signals import StopRequest, uninterrupted
from uniner_dist.storage.answer_store import is_empty
from uniner_dist.storage.filesystem import exists, read_json, remove
from uniner_dist.storage.lease import Holder
from uniner_dist.storage.marker import is_current, read_marker

#: Up to this much corpus the replicas load while Spark works; beyond it GPUs would wait for Spark, not Spark for GPUs.
_OVERLAP_BYTES = 256 * 2**20

Say = Callable[[str], None]


def annotate(config: Config, say: Say = print, pool: Pool | None = None) -> dict[str, Any]:
    """Corpus in, annotations published; returns the report.

    Args:
        say: takes one line of news for the person at the terminal.
        pool: warm replicas of the same fingerprint to answer with, which stay; default: replicas of this run's own.

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
            _prompts_and_completions(run, holder, stop, say, pool)
        return run_annotations(run, holder, say)


def _prompts_and_completions(run: Run, holder: Holder, stop: StopRequest, say: Say, warm: Pool | None) -> None:
    with ExitStack() as stack:
        gated = not has_passed(run)  # then the GPUs are the gate's until it is passed
        # With answers in the store there may be nothing to ask, and then no replica is to be started.
        limited = run.config.run.max_prompts is not None or run.config.run.max_gpu_hours is not None
        asks = not exists(run.layout.shards) and is_empty(run.store)
        # Ray on Spark's executors leaves Spark no room.
        apart = run.config.ray.address != "spark"
        early = warm is None and run.corpus_bytes <= _OVERLAP_BYTES and asks and not gated and not limited and apart
        pool = stack.enter_context(open_pool(run, stop)) if early else None
        run_prompts(run, say)
        complete = is_complete(run)
        if not complete:
            check_limits(run)
        if gated:
            if not complete and apart:
                stack.enter_context(ray_cluster(run.config.ray))  # one cluster for both pools
            run_gate(run, say)
        if complete:
            note_start(run)
            say("completions: every answer is there already; no replica is started")
            return
        if warm is not None:
            warm.begin(run.layout, run.store)
        pool = warm or pool or stack.enter_context(open_pool(run, stop))
        _complete(run, pool, holder, stop, say)


def plan(config: Config, say: Say = print) -> dict[str, Any]:
    """Stage 1, and what the rest would ask and cost; `annotate` with the same configuration goes on from here.

    Returns:
        See `uniner_dist.reporting.plan.make_plan`.
    """
    run = open_run(config)
    if is_published(run):
        say(f"run {run.id} is finished; this is what it was planned to be")
        return dict(read_json(run.layout.plan))
    with working_on(run):
        run_prompts(run, say)
        return make_plan(run)


def run_prompts(run: Run, say: Say = print) -> dict[str, Any]:
    """Stage 1. Returns its summary; a stage that is done already only reports it."""
    if exists(run.layout.shards):
        summary: dict[str, Any] = read_json(run.layout.prompts_summary)
    else:
        from uniner_dist.prompts import write_prompts

        with _spark(run, "prompts") as spark:
            summary = write_prompts(spark, run)
        make_plan(run)
    rejected = sum(summary["rejects"].values())
    say(
        f"prompts: {summary['documents']:,} documents ({rejected:,} rows rejected), "
        f"{summary['unique_passages']:,} passages, {summary['prompts']:,} prompts in {summary['shards']:,} shards, "
        f"{summary['prompts_known']:,} of them answered in the store"
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
    from uniner_dist.gate.before_bulk import pass_gate

    with _spark(run, "gate") as spark:
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
        check_limits(run)
        with open_pool(run, stop) as pool:
            return _complete(run, pool, holder, stop, say)


def _complete(run: Run, pool: Any, holder: Holder, stop: StopRequest, say: Say) -> dict[str, Any]:
    stop.listen()
    stop.draining = True
    try:
        with LiveView(run.layout.progress) as view:
            attempt = complete_prompts(run, pool, holder, view)
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
    """Stage 3: parse, locate, audit, publish, report. Returns the report.

    Args:
        again: publish also what is published already and still stands.
    """
    if not again and is_published(run):
        return _finished(run, say)
    from uniner_dist.annotations import publish, write_annotations, write_card
    from uniner_dist.gate.before_publish import check_staged, close_gate

    marker = read_marker(run.config.output.path) or {"runs": {}}
    again = again or (run.id in marker["runs"] and not is_current(marker, run.id))
    if again:
        remove(run.layout.report)
    check = holder.check if holder is not None else lambda: None
    with _spark(run, "annotations") as spark:
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
def _spark(run: Run, stage: str) -> Iterator[Any]:
    """A session for one stage."""
    from uniner_dist.spark.session import QUICK_BYTES, spark_session

    silence_py4j()
    with ExitStack() as stack:
        with uninterrupted():
            quick = run.corpus_bytes < QUICK_BYTES
            session = stack.enter_context(spark_session(run.config, quick=quick))
        stack.enter_context(SparkWatch(session, stage, run.layout.spark_progress))
        yield session


def silence_py4j() -> None:
    """Py4j logs a stack trace for every call that a stop interrupts."""
    logging.getLogger("py4j").setLevel(logging.CRITICAL + 1)
    logging.getLogger().addFilter(_is_not_py4j)


def _is_not_py4j(record: logging.LogRecord) -> bool:
    """False for what py4j says to the root logger instead of its own."""
    return record.msg != "Exception while sending command."


def _finished(run: Run, say: Say) -> dict[str, Any]:
    say(f"run {run.id} is finished: {run.config.output.path} already holds its annotations; nothing to do")
    return dict(read_json(run.layout.report))


def is_published(run: Run) -> bool:
    """Whether the output has this run's rows wholly and as the corpus is now, and its report stands."""
    if not is_current(read_marker(run.config.output.path), run.id) or not exists(run.layout.report):
        return False
    return read_json(run.layout.report)["publication"] is not None
