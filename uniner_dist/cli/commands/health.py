"""Whether this machine is fit for the work."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from uniner_dist.cli.options import ConfigFiles, ModelOption, Set
from uniner_dist.cli.root import app


@app.command()
def doctor(
    path: Annotated[
        list[str] | None, typer.Option("--path", help="Storage to probe with a small file; may be repeated.")
    ] = None,
    model: ModelOption = None,
    config: ConfigFiles = None,
    overrides: Set = None,
    json: Annotated[bool, typer.Option("--json", help="Print everything as JSON, for an issue or a machine.")] = False,
) -> None:
    """Check this machine, the engines, the storage and the model: each line ok, a warning, or what to do."""
    from uniner_dist.cli.doctor import run_doctor
    from uniner_dist.doctor.examine import still_at_work

    code = run_doctor(path or (), model, config or (), overrides or (), json)
    sys.stdout.flush()
    # A check that hangs, in a client of object storage for instance, would keep an orderly exit waiting.
    os._exit(code) if still_at_work() else sys.exit(code)
