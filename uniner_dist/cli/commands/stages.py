"""The stages of the main job, one by one, each on a cluster of its own."""

from __future__ import annotations

from uniner_dist.cli.options import MaxGpuHours, MaxPrompts, RunName, WorkdirArgument, opens_a_run
from uniner_dist.cli.root import app, say
from uniner_dist.config.schema import Config


@app.command("prompts")
@opens_a_run
def write_prompts(config: Config) -> None:
    """Stage 1 alone (Spark): read the corpus, write prompts shards. Prints the run's id for the other stages."""
    from uniner_dist.pipeline.exclusive import working_on
    from uniner_dist.pipeline.preflight import open_run
    from uniner_dist.pipeline.stages import run_prompts

    run = open_run(config)
    with working_on(run):
        run_prompts(run, say)
    print(run.id)


@app.command("gate")
def pass_gate(workdir: WorkdirArgument, run: RunName = None) -> None:
    """The quality gate of a run alone (Spark, Ray and vLLM): annotate its gold and sample, and judge the answers."""
    from uniner_dist.pipeline.exclusive import working_on
    from uniner_dist.pipeline.stages import run_gate
    from uniner_dist.run.run import load_run

    opened = load_run(workdir, run)
    with working_on(opened):
        run_gate(opened, say)


@app.command("completions")
def complete_prompts(
    workdir: WorkdirArgument,
    run: RunName = None,
    max_prompts: MaxPrompts = None,
    max_gpu_hours: MaxGpuHours = None,
) -> None:
    """Stage 2 alone (Ray and vLLM, no Spark, no Java): answer the prompts of a run."""
    from uniner_dist.pipeline.stages import run_completions
    from uniner_dist.run.run import load_run, with_limits

    run_completions(with_limits(load_run(workdir, run), max_prompts, max_gpu_hours), say)


@app.command("annotations")
def publish_annotations(workdir: WorkdirArgument, run: RunName = None) -> None:
    """Stage 3 alone (Spark): parse and locate the answers of a run, audit, publish."""
    from uniner_dist.pipeline.exclusive import working_on
    from uniner_dist.pipeline.stages import run_annotations
    from uniner_dist.reporting.terminal import print_report
    from uniner_dist.run.run import load_run

    opened = load_run(workdir, run)
    with working_on(opened) as (holder, _):
        print_report(run_annotations(opened, holder, say))


@app.command()
def retry(workdir: WorkdirArgument, run: RunName = None) -> None:
    """Ask again what stands in a run's quarantine without an answer (refused prompts, killers), and publish it anew."""
    from uniner_dist.pipeline.stages import retry_quarantine
    from uniner_dist.reporting.terminal import print_report
    from uniner_dist.run.run import load_run

    print_report(retry_quarantine(load_run(workdir, run), say))
