"""Body of the command `diff`: options in, tables on stdout, a file where asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from uniner_dist.cli.as_typed import named_as_typed
from uniner_dist.cli.json_output import check_json_path, show
from uniner_dist.comparison.joining import Side, check_sides, compare
from uniner_dist.comparison.show import print_comparison
from uniner_dist.config.loading import load_sections
from uniner_dist.reporting.console import SafeConsole
from uniner_dist.spark.session import QUICK_BYTES, spark_session
from uniner_dist.storage.control_files import record_values
from uniner_dist.storage.listing import list_corpus


def run_diff(
    before: Side,
    after: Side,
    by: str | None,
    id_column: str | None,
    json_path: str | None,
    config: Sequence[str],
    overrides: Sequence[str],
    say: Callable[[str], None],
) -> None:
    """Compare, print, and write the JSON that was asked for."""
    check_json_path(json_path)
    settings = load_sections(config, overrides)
    size = 0
    for option, side in (("--before", before), ("--after", after)):
        with named_as_typed({"corpus": option}):
            size += list_corpus(side.path).total_bytes
    check_sides(before, after, by, id_column)
    with spark_session(settings, quick=size < QUICK_BYTES) as spark:
        comparison = compare(spark, before, after, by, id_column)
    show(
        record_values(comparison),
        lambda: print_comparison(comparison, SafeConsole()),
        json_path,
        lambda: say(f"comparison: {json_path}"),
    )
