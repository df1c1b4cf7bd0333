"""Bodies of the commands `evaluate` and `benchmark`: options in, tables on stdout, files where asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from uniner_dist.cli.as_typed import named_as_typed
from uniner_dist.cli.json_output import check_json_path, show
from uniner_dist.config.questions import parse_labels
from uniner_dist.errors import ConfigError
from uniner_dist.evaluation.benchmark import print_benchmark, run_benchmark
from uniner_dist.evaluation.measure import score
from uniner_dist.evaluation.plot import check_plot_path, plot_scores
from uniner_dist.evaluation.show import print_scores
from uniner_dist.evaluation.templates import compare_templates, print_templates
from uniner_dist.reporting.console import SafeConsole
from uniner_dist.storage.containment import is_same_location
from uniner_dist.storage.control_files import record_values
from uniner_dist.storage.filesystem import exists
from uniner_dist.storage.marker import read_marker


def run_evaluate(
    annotations: str,
    gold: str,
    id_column: str,
    by: str | None,
    types: str | None,
    json_path: str | None,
    plot_path: str | None,
    say: Callable[[str], None],
) -> None:
    """Score, print, and write the JSON and picture that were asked for."""
    if plot_path:
        check_plot_path(plot_path)
    check_json_path(json_path)
    if is_same_location(annotations, gold) and exists(gold):
        raise ConfigError(f"--gold {gold}: is what --annotations names; gold is what people say")
    with named_as_typed({"annotations": "--annotations", "gold": "--gold"}), _hint_when_swapped(annotations, gold):
        scores = score(annotations, gold, id_column, by, names_of(types))
    show(
        record_values(scores),
        lambda: print_scores(scores, SafeConsole()),
        json_path,
        lambda: say(f"scores: {json_path}"),
    )
    if plot_path:
        plot_scores(scores, plot_path)
        say(f"picture: {plot_path}")


@contextmanager
def _hint_when_swapped(annotations: str, gold: str) -> Iterator[None]:
    """Ask about the two options where only the gold is an output of ours and something is wrong."""
    try:
        yield
    except ConfigError as error:
        if exists(annotations) and read_marker(annotations) is None and exists(gold) and read_marker(gold) is not None:
            swapped = f"gold {gold}: is an output of `annotate`; are --annotations and --gold the wrong way round?"
            raise ConfigError(swapped) from error
        raise


def names_of(types: str | None) -> list[str] | None:
    """Labels that the option `--types` names.

    Raises:
        ConfigError: it names none.
    """
    try:
        return parse_labels(types)
    except ValueError as error:
        raise ConfigError(f"--types: {error}") from None


def run_benchmark_command(
    data: str,
    output: str,
    model: str | None,
    config: Sequence[str],
    overrides: Sequence[str],
    templates: Sequence[str],
    say: Callable[[str], None],
) -> None:
    """Annotate and score every dataset of a folder, and print the table; of several templates, one that compares."""
    from uniner_dist.pipeline.stages import annotate

    if templates:
        compared = compare_templates(
            data, output, templates, model=model, config=config, overrides=overrides, annotate=annotate, say=say
        )
        print_templates(compared, SafeConsole())
        say(f"scores: {output}/templates.json")
        return
    table = run_benchmark(data, output, model=model, config=config, overrides=overrides, annotate=annotate, say=say)
    print_benchmark(table, SafeConsole())
    say(f"scores: {output}/scores.json")
