"""The main job: the three stages one after the other, in one process; a rerun can begin with any of them.

`annotate` is what `uniner-dist annotate`, `jobs/annotate.py` and the Airflow task call. The stage functions below it
are what the stage commands call; they share nothing but the run's folder.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

from uniner_dist.annotations.journal import is_half_published
from uniner_dist.cluster.connect import ray_cluster
from uniner_dist.completions.pool import Pool
from uniner_dist.completions.retry import begin_retry, end_retry, read_retry, reopen
from uniner_dist.completions.stage import check_limits, complete_prompts, is_complete, note_start, open_pool
from uniner_dist.config.schema import Config
from uniner_dist.errors import QualityGateError, StageError, TriageBrokenError
from uniner_dist.gate.verdict import has_passed
from uniner_dist.pipeline.engines import require_engines
from uniner_dist.pipeline.exclusive import working_on
from uniner_dist.pipeline.planned import tell_planned
from uniner_dist.pipeline.preflight import open_run
from uniner_dist.pipeline.renewal import is_present, is_published, renew, times_published
from uniner_dist.pipeline.spark_for import spark_for
from uniner_dist.pipeline.triage import check_triage, is_sampling, learn_if_due, require_whole_plan
from uniner_dist.reporting.live import LiveView
from uniner_dist.reporting.plan import make_plan
from uniner_dist.reporting.report import build_report, stopped_report, write_report
from uniner_dist.run.earlier import usable_stores
from uniner_dist.run.publication_state import claim_of, is_up_to_date
from uniner_dist.run.run import Run
from uniner_dist.runtime.signals import StopRequest
from uniner_dist.storage.answer_store import is_empty
from uniner_dist.storage.commit import always
from uniner_dist.storage.control_files import (
    Attempt,
    Plan,
    PromptsSummary,
    Publication,
    Report,
    read_control,
    record_values,
)
from uniner_dist.storage.filesystem import exists, remove
from uniner_dist.storage.lease import Lease
from uniner_dist.storage.marker import read_marker

#: Up to this much corpus the replicas load while Spark works; beyond it GPUs would wait for Spark, not Spark for GPUs.
_OVERLAP_BYTES = 256 * 2**20

_NOTHING_UNANSWERED = "every prompt of this run has an answer; unparseable and cut-off answers would only come again"
_NOTHING_SKIPPED = "no prompt of this run was skipped"

Say = Callable[[str], None]


def annotate(config: Config, say: Say = print, pool: Pool | None = None) -> Report:
    """Annotate a corpus and publish the annotations.

    Args:
        config: as loaded; it is checked before anything is started.
        say: called with each line of news for the person at the terminal.
        pool: warm replicas of the same fingerprint to answer with, which stay; None: replicas of this run's own.

    Returns:
        The report; of a run that is published already the one that it has.

    Raises:
        UninerError: see `uniner_dist.errors`; its exit code tells what kind.
    """
    run = open_run(config, partial(_require_engines, pool is None))
    if is_published(run):
        return _finished(run, say)
    of = f" of {run.corpus_version_text}" if run.corpus_version_text else ""
    say(f"run {run.id}{of}: everything of it is in {run.layout.root}")
    with working_on(run) as (run, lease, stop):
        if is_half_published(run.layout):
            report = run_annotations(run, lease, say)
            if is_published(run):
                return report
        renew(run, say, lease.check)
        while True:
            if is_complete(run) and not is_sampling(run):
                run_prompts(run, say, lease)
                note_start(run)
                run_gate(run, say)
            else:
                _prompts_and_completions(run, lease, stop, say, pool)
            try:
                return run_annotations(run, lease, say)
            except TriageBrokenError as broken:
                if run.config.triage.if_broken == "stop":
                    raise
                say(str(broken))


def _require_engines(cold: bool, run: Run) -> None:
    """Check the needs of an unfinished run: Spark, and a pool unless a warm one answers.

    A store that holds answers may hold all of them; then no cluster is joined, and none need be there.
    """
    if is_published(run):
        return
    require_engines(run.config, "spark", *(("pool",) if cold else ()))
    if cold and all(map(is_empty, usable_stores(run))):
        require_engines(run.config, "cluster")


def _prompts_and_completions(run: Run, lease: Lease, stop: StopRequest, say: Say, warm: Pool | None) -> None:
    with ExitStack() as stack:
        gated = not has_passed(run)  # then the GPUs are the gate's until it is passed
        # With answers in the store there may be nothing to ask, and then no replica is to be started.
        limited = run.config.run.max_prompts is not None or run.config.run.max_gpu_hours is not None
        asks = not exists(run.layout.shards) and all(map(is_empty, usable_stores(run)))
        # Ray on Spark's executors leaves Spark no room.
        apart = run.config.ray.address != "spark"
        early = warm is None and run.corpus_bytes <= _OVERLAP_BYTES and asks and not gated and not limited and apart
        pool = stack.enter_context(open_pool(run, stop)) if early else None
        run_prompts(run, say, lease)
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
        _complete(run, pool, lease, stop, say)
        stop.check()
        while is_sampling(run):
            run_prompts(run, say, lease)
            if not is_complete(run):
                check_limits(run)
                pool.begin(run.layout, run.store)
                _complete(run, pool, lease, stop, say)
                stop.check()


def plan(config: Config, say: Say = print) -> Plan:
    """Run stage 1, and estimate what the rest would ask and cost.

    `annotate` with the same configuration continues from here.

    Args:
        config: as loaded; it is checked before anything is started.
        say: called with each line of news for the person at the terminal.

    Returns:
        Counts of documents and prompts, with estimates of tokens, GPU hours and money; of a run that is published
        already the plan that it had.

    Raises:
        UninerError: see `uniner_dist.errors`.
    """
    run = open_run(config)
    if is_published(run):
        say(f"run {run.id} is finished; this is what it was planned to be")
        return read_control(run.layout.plan, Plan) if exists(run.layout.plan) else make_plan(run)
    with working_on(run) as (run, lease, _):
        renew(run, say, lease.check)
        run_prompts(run, say, lease)
        return make_plan(run)


def run_prompts(run: Run, say: Say = print, lease: Lease | None = None) -> PromptsSummary:
    """Run stage 1, unless it is done already: read the corpus, write the shards of prompts and the plan.

    With triage it is run several times, with what the answers to the sample have taught in between.

    Args:
        run: an open run that is not published, under its lease.
        say: called with each line of news.
        lease: of the run, so that work ends when another process takes it over; None: that is not checked.

    Returns:
        The counts of stage 1.

    Raises:
        ThresholdError: too many rows were rejected.
        ConfigError: Spark or Java is missing.
    """
    check = lease.check if lease is not None else always
    learn_if_due(run, say, check)
    if exists(run.layout.shards):
        summary = read_control(run.layout.prompts_summary, PromptsSummary)
    else:
        require_engines(run.config, "spark")
        from uniner_dist.prompts.stage import write_prompts

        with spark_for(run, "prompts") as spark:
            summary = write_prompts(spark, run, check)
        if is_sampling(run) and is_complete(run):  # the store has it all, or nothing was drawn
            return run_prompts(run, say, lease)
    if not exists(run.layout.plan):  # also where an earlier start ended before it was written
        make_plan(run)
    tell_planned(run, summary, say)
    return summary


def run_gate(run: Run, say: Say = print) -> None:
    """Run the quality gate: annotate and judge its documents, if the run has a gate that was not passed yet.

    Args:
        run: a run whose prompts stage is done.
        say: called with each line of news.

    Raises:
        QualityGateError: the run must not continue; its report says why.
        StageError: the prompts stage is not done.
    """
    if has_passed(run):
        return
    if not exists(run.layout.shards):
        raise StageError(f"run {run.id}: the prompts stage is not done; run `uniner-dist prompts` first")
    from uniner_dist.gate.before_bulk import pass_gate

    with spark_for(run, "gate") as spark:
        try:
            pass_gate(spark, run, lambda config: annotate(config, lambda line: say(f"gate: {line}")).run_id, say)
        except QualityGateError as error:
            write_report(run, stopped_report(run, error))
            raise


def run_completions(run: Run, say: Say = print) -> Attempt | None:
    """Run stage 2 alone: answer the prompts.

    Args:
        run: a run whose prompts stage is done.
        say: called with each line of news.

    Returns:
        Counters of this start; None where nothing was left to do.

    Raises:
        StageError: the run's quality gate was not passed yet, or the prompts stage is not done.
        LimitError: the limits on prompts or GPU hours allow no further shard; committed work is kept.
        PoolError: no replica could start, or a shard used up its retries.
    """
    if not has_passed(run):
        raise StageError(
            f"run {run.id}: its quality gate was not passed yet; run `uniner-dist gate --workdir {run.layout.workdir} "
            f"--run {run.id}` first, which needs Spark and Ray"
        )
    with working_on(run) as (run, lease, stop):
        if is_complete(run):
            say("completions: every shard is committed already")
            return None
        check_limits(run)
        require_engines(run.config, "pool", "cluster")
        with open_pool(run, stop) as pool:
            return _complete(run, pool, lease, stop, say)


def _complete(run: Run, pool: Pool, lease: Lease, stop: StopRequest, say: Say) -> Attempt:
    stop.listen()
    stop.draining = True
    try:
        with LiveView(run.layout.progress) as view:
            attempt = complete_prompts(run, pool, lease, view)
    finally:
        stop.draining = False
    say(
        f"completions: {attempt.prompts:,} prompts answered in {attempt.wall_s:.1f} s with loading, "
        f"{attempt.prompts_reused:,} kept from earlier starts, {attempt.deaths} replica deaths"
    )
    return attempt


def retry_quarantine(run: Run, say: Say = print, skipped: bool = False) -> Report | None:
    """Ask again what has no answer (refused prompts, killers) and publish the run again.

    A run that is outdated, or whose rows a later one has replaced, only feeds the store: the next start of `annotate`
    finds the answers there.

    Args:
        run: a run with a complete plan.
        say: called with each line of news.
        skipped: ask what triage has left out instead.

    Returns:
        The report; None for a run that may not publish any more.

    Raises:
        StageError: only the sample for its triage is planned.
    """
    require_whole_plan(run)
    with working_on(run) as (run, lease, stop):
        present = is_present(run)
        if present and read_retry(run) is None and is_half_published(run.layout):
            run_annotations(run, lease, say)
        retry = read_retry(run) or begin_retry(run, times_published(run), skipped)
        if present and times_published(run) > retry.published:  # an earlier start came to its end but for these lines
            end_retry(run)
            return run_annotations(run, lease, say)
        if not retry.reopened:
            reopened = reopen(run, retry, lease.check)
            if not reopened and is_complete(run) and (is_published(run) or not present):
                end_retry(run)
                say(_NOTHING_SKIPPED if retry.skipped else _NOTHING_UNANSWERED)
                return read_control(run.layout.report, Report) if present else None
            say(f"asking the {'skipped' if retry.skipped else 'unanswered'} prompts of {reopened:,} shards again")
        if not is_complete(run):
            require_engines(run.config, "pool", "cluster")
            with open_pool(run, stop) as pool:
                _complete(run, pool, lease, stop, say)
            stop.check()
        if not present:
            say(
                f"run {run.id} is not what {run.config.output.path} holds now, so nothing was published: its answers "
                "are in the store, where the next start of annotate finds them"
            )
        report = run_annotations(run, lease, say, again=True) if present else None
        end_retry(run)
        return report


def run_annotations(run: Run, lease: Lease | None = None, say: Say = print, again: bool = False) -> Report:
    """Run stage 3: parse, locate, audit, publish, report.

    Args:
        run: a run whose shards are all answered.
        lease: of the run, so that work ends when another process takes it over; None: that is not checked.
        say: called with each line of news.
        again: publish also what is published already and still valid.

    Returns:
        The report; of a run that is published and still valid the one that it has, unless `again`.

    Raises:
        AuditError: shards have no completions, or an invariant of the annotations does not hold; nothing was published.
        ThresholdError: too many annotations failed, or too many rows would be removed; nothing was published.
        QualityGateError: the answers to the pinned sample are not good enough; nothing was published.
        TriageBrokenError: the check of the triage found more missed than promised; nothing was published.
        StageError: Spark or a storage failed, only a sample is planned, or a run that saw the corpus later has
            published.
    """
    if not again and is_published(run):
        return _finished(run, say)
    require_whole_plan(run)
    require_engines(run.config, "spark")
    from uniner_dist.annotations.card import write_card
    from uniner_dist.annotations.publication import check_present, publish
    from uniner_dist.annotations.stage import write_annotations
    from uniner_dist.gate.before_publish import check_staged, close_gate

    marker = read_marker(run.config.output.path)
    check_present(run, marker)
    again = again or exists(run.layout.renewed)
    again = again or (marker is not None and run.id in marker.runs and not is_up_to_date(marker, run.id, claim_of(run)))
    check = lease.check if lease is not None else always
    check()
    if again:
        remove(run.layout.report)
    with spark_for(run, "annotations") as spark:
        check()
        triage = check_triage(spark, run, check, say)
        summary = write_annotations(spark, run, again, check)
        try:
            gate = check_staged(spark, run, say)
        except QualityGateError as error:
            write_report(run, stopped_report(run, error))
            raise
        check()
        published = publish(spark, run, again, check)
        publication = Publication.model_validate(record_values(published) | {"card": write_card(spark, run)})
        close_gate(run)
    check()
    say(f"annotations: {summary.rows:,} published to {run.config.output.path}")
    report = build_report(run, summary, publication, gate, triage)
    write_report(run, report)
    remove(run.layout.renewed)
    return report


def _finished(run: Run, say: Say) -> Report:
    say(f"run {run.id} is finished: {run.config.output.path} already holds its annotations; nothing to do")
    return read_control(run.layout.report, Report)
