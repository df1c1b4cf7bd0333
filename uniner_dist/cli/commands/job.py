"""The main job: the demonstration, the whole job, and what it would cost."""

from __future__ import annotations

from typing import Annotated

from uniner_dist.cli.command import OUTPUT
from uniner_dist.cli.json_output import HELP, check_json_path, show
from uniner_dist.cli.options import Set, asked_types, opens_a_run, option
from uniner_dist.cli.root import app, say
from uniner_dist.config.schema import Config


@app.command()
def demo(
    output: Annotated[str, option(OUTPUT, "PATH", "Folder for the annotations.")] = "demo-output",
    overrides: Set = None,
) -> None:
    """Annotate the shipped sample corpus with the shipped demonstration model, and show what came out."""
    from uniner_dist.cli.demo import run_demo

    run_demo(output, overrides or [], say)


@app.command()
@opens_a_run
def annotate(config: Config) -> None:
    """Annotate a corpus: documents in, one row per document and entity type out. The same command again resumes."""
    from uniner_dist.pipeline.stages import annotate as run_all
    from uniner_dist.reporting.terminal import print_report

    say(asked_types(config))
    print_report(run_all(config, say))


@app.command()
@opens_a_run
def plan(config: Config, json: Annotated[str | None, option(OUTPUT, "PATH", f"Print the plan {HELP}")] = None) -> None:
    """What `annotate` with the same options would ask and cost: stage 1 is done for it, and no replica is started."""
    from uniner_dist.pipeline.stages import plan as make_plan
    from uniner_dist.reporting.terminal import print_plan
    from uniner_dist.storage.control_files import record_values

    check_json_path(json)
    say(asked_types(config))
    made = make_plan(config, say)
    show(record_values(made), lambda: print_plan(made), json)
