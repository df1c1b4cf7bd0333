"""Body of the command `diff`: options in, tables on stdout, a file where asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.console import Console

from uniner_dist.comparison.joining import Side, compare
from uniner_dist.comparison.show import print_comparison
from uniner_dist.config.loading import load_config
from uniner_dist.spark.session import QUICK_BYTES, spark_session
from uniner_dist.storage.filesystem import write_json
from uniner_dist.storage.snapshot import take_snapshot


def run_diff(
    before: Side,
    after: Side,
    by: str | None,
    id_column: str | None,
    json_path: str | None,
    config: str | None,
    overrides: Sequence[str],
    say: Callable[[str], None],
) -> None:
    """Compare, print, and write the JSON that was asked for."""
    # Only the section `spark` of the configuration is used; the tree wants these three.
    options = {"corpus.path": before.path, "output.path": after.path, "types": "any"}
    settings = load_config(config, overrides, options)
    size = sum(take_snapshot(side.path).total_bytes for side in (before, after))
    with spark_session(settings, quick=size < QUICK_BYTES) as spark:
        comparison = compare(spark, before, after, by, id_column)
    print_comparison(comparison, Console())
    if json_path:
        write_json(json_path, comparison)
        say(f"comparison: {json_path}")
