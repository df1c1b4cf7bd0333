"""The stages of the main job, one by one, each on a cluster of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from uniner_dist.cli.command import LIMITS
from uniner_dist.cli.options import MaxGpuHours, MaxPrompts, opens_a_run, option, works_on_a_run
from uniner_dist.cli.root import app, say
from uniner_dist.config.caller import ENGINE, OWNED, RAY, REMOTE_CODE, SPARK, STORE
from uniner_dist.config.schema import Config

if TYPE_CHECKING:
    from uniner_dist.run.run import Run


Skipped = Annotated[bool, option(LIMITS, None, "Ask what triage has left out instead.", "--skipped")]


@app.command("prompts")
@opens_a_run
def write_prompts(config: Config) -> None:
    """Stage 1 alone (Spark): read the corpus, write prompts shards. Prints the run's id for the other stages."""
    from uniner_dist.pipeline.exclusive import working_on
    from uniner_dist.pipeline.preflight import open_run
    from uniner_dist.pipeline.renewal import renew
    from uniner_dist.pipeline.stages import run_prompts

    run = open_run(config)
    with working_on(run) as (held, lease, _):
        renew(held, say, lease.check)
        run_prompts(held, say, lease)
    print(run.id)


@app.command("gate")
@works_on_a_run(*OWNED)
def pass_gate(run: Run) -> None:
    """The quality gate of a run alone (Spark, Ray and vLLM): annotate its gold and sample, and judge the answers."""
    from uniner_dist.pipeline.exclusive import working_on
    from uniner_dist.pipeline.stages import run_gate

    with working_on(run) as (held, _, _):
        run_gate(held, say)


@app.command("completions")
@works_on_a_run(RAY, REMOTE_CODE, ENGINE, STORE)
def complete_prompts(run: Run, max_prompts: MaxPrompts = None, max_gpu_hours: MaxGpuHours = None) -> None:
    """Stage 2 alone (Ray and vLLM, no Spark, no Java): answer the prompts of a run."""
    from uniner_dist.pipeline.stages import run_completions
    from uniner_dist.run.run import with_limits

    run_completions(with_limits(run, max_prompts, max_gpu_hours), say)


@app.command("annotations")
@works_on_a_run(SPARK)
def publish_annotations(run: Run) -> None:
    """Stage 3 alone (Spark): parse and locate the answers of a run, audit, publish."""
    from uniner_dist.pipeline.exclusive import working_on
    from uniner_dist.pipeline.stages import run_annotations
    from uniner_dist.reporting.terminal import print_report

    with working_on(run) as (held, lease, _):
        print_report(run_annotations(held, lease, say))


@app.command()
@works_on_a_run(*OWNED)
def retry(run: Run, skipped: Skipped = False) -> None:
    """Ask again what is in a run's quarantine without an answer (refused prompts, killers), and publish it again."""
    from uniner_dist.pipeline.stages import retry_quarantine
    from uniner_dist.reporting.terminal import print_report

    report = retry_quarantine(run, say, skipped)
    if report:
        print_report(report)
