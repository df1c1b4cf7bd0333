"""Whether this machine is fit for the work."""

from __future__ import annotations

import os
import sys
from typing import Annotated

from uniner_dist.cli.command import INPUT, OUTPUT
from uniner_dist.cli.options import ConfigFiles, ModelOption, Set, option
from uniner_dist.cli.root import app


@app.command()
def doctor(
    path: Annotated[
        list[str] | None, option(INPUT, "PATH", "Storage to probe with a small file; repeatable.", "--path")
    ] = None,
    model: ModelOption = None,
    config: ConfigFiles = None,
    overrides: Set = None,
    json: Annotated[
        bool, option(OUTPUT, None, "Print everything as JSON, for an issue or a machine.", "--json")
    ] = False,
) -> None:
    """Check this machine, the engines, the storage and the model: each line ok, a warning, or what to do."""
    from uniner_dist.cli.doctor import run_doctor
    from uniner_dist.doctor.examine import has_hanging_checks

    code = run_doctor(path or (), model, config or (), overrides or (), json)
    sys.stdout.flush()
    # A check that hangs, in a client of object storage for instance, would keep an orderly exit waiting.
    os._exit(code) if has_hanging_checks() else sys.exit(code)
