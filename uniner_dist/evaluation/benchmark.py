"""The authors' benchmark table: every dataset of a folder annotated and scored, one row each.

Reads a folder of gold (the authors' JSON files, CoNLL files, or `corpus/` and `gold/` as Parquet). Each dataset is a
run with its own entity types, annotations and scores. Running it again resumes: finished runs are kept.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from rich.console import Console
from rich.markup import escape
from rich.text import Text

from uniner_dist.config.loading import Files, load_config
from uniner_dist.config.schema import Config
from uniner_dist.core.characters import visible
from uniner_dist.errors import ConfigError
from uniner_dist.evaluation.figures import BenchmarkTable, Scores
from uniner_dist.evaluation.gold import read_gold
from uniner_dist.evaluation.importing import write_gold
from uniner_dist.evaluation.measure import score
from uniner_dist.evaluation.show import interval, new_table
from uniner_dist.formats.kinds import format_of_name, is_file
from uniner_dist.formats.sources import read_source, source_format
from uniner_dist.storage.control_files import write_record
from uniner_dist.storage.filesystem import absolute, exists, join, list_names

#: F1 in per cent of UniNER-7B-type and UniNER-7B-type-sup on the test sets that neither was trained on: table of the
#: out-of-domain evaluation in Zhou et al., arXiv:2308.03279. It has no figures for UniNER-7B-all.
PUBLISHED: Final[Mapping[str, tuple[float, float]]] = {
    "movie": (42.4, 61.2),
    "restaurant": (31.7, 35.2),
    "ai": (53.5, 62.9),
    "literature": (59.4, 64.9),
    "music": (65.0, 70.6),
    "politics": (60.8, 66.9),
    "science": (61.1, 70.8),
}
PUBLISHED_MODELS: Final = ("UniNER-7B-type", "UniNER-7B-type-sup")

#: Failed answers count as empty, as in the authors' script, so they never stop a benchmark.
_OWN_OVERRIDES: Final = ("run.max_failed_fraction=1.0",)

Annotate = Callable[[Config, Callable[[str], None]], object]


@dataclass(frozen=True)
class Dataset:
    """One row of the table: a corpus, its gold, and the types that the gold answers."""

    name: str
    corpus: str
    gold: str
    types: tuple[str, ...]


def run_benchmark(
    data: str,
    output: str,
    *,
    model: str | None = None,
    config: Files = None,
    overrides: Sequence[str] = (),
    annotate: Annotate,
    say: Callable[[str], None] = print,
) -> BenchmarkTable:
    """Annotate and score every dataset of a folder.

    Args:
        data: folder with JSON or CoNLL files, one per dataset; or with `corpus/` and `gold/`, Parquet, both in
            folders such as `domain=ai` (one dataset each) or in none.
        output: folder for `<dataset>/annotations`, `<dataset>/scores.json` and `scores.json` with the whole table.
        model: value of `model.name`; None for the one that `config`, `overrides` or the defaults name.
        config: paths or URLs of YAML files, of which later ones win; None for the defaults.
        overrides: `key=value`, as for `annotate`; they win over `config`.
        annotate: annotates the corpus of a configuration and passes its news to `say`, such as
            `uniner_dist.pipeline.stages.annotate`.
        say: takes one line of news.

    Returns:
        The scores of every dataset, in the order of `find_datasets`, and the mean of their official F1. It is also in
        `scores.json` of `output`.

    Raises:
        UninerError: nothing to score in `data`, or what annotating raises.
    """
    datasets = find_datasets(data, output)
    configs = {one.name: _config(one, output, model, config, overrides) for one in datasets}
    scores: dict[str, Scores] = {}
    for dataset in datasets:
        say(f"benchmark: {dataset.name}, {len(dataset.types)} types ({len(scores) + 1} of {len(datasets)})")
        annotate(configs[dataset.name], say)
        scores[dataset.name] = score(configs[dataset.name].output.path, dataset.gold)
        write_record(join(output, dataset.name, "scores.json"), scores[dataset.name])
    f1s = [one.official.f1 for one in scores.values()]
    table = BenchmarkTable(model=configs[datasets[0].name].model.name, mean_f1=sum(f1s) / len(f1s), datasets=scores)
    write_record(join(output, "scores.json"), table)
    return table


def find_datasets(data: str, output: str) -> list[Dataset]:
    """Return the datasets of a folder, sorted by name; JSON and CoNLL files are imported below `output` first.

    Args:
        data: path or URL of a folder, as for `run_benchmark`.
        output: folder below which `<dataset>/corpus` and `<dataset>/gold` are written; unused if `data` holds Parquet.

    Raises:
        ConfigError: nothing of a known form there, unreadable gold, or a folder of gold without its part of the corpus.
    """
    if exists(join(data, "corpus")) and exists(join(data, "gold")):
        return _parquet_datasets(data)
    kind = source_format(data)
    if kind is None:
        raise ConfigError(
            f"--data {data}: expected .json or CoNLL files, or folders `corpus` and `gold` with Parquet files"
        )
    paths = [join(data, name) for name in list_names(data)]
    return [
        _imported(path, kind, output)
        for path in paths
        if format_of_name(path) == kind or (not is_file(path) and source_format(path))
    ]


def published_f1(name: str) -> tuple[float, float] | None:
    """Return the authors' F1 in per cent on a dataset: of UniNER-7B-type and of UniNER-7B-type-sup (see `PUBLISHED`).

    Args:
        name: name of a dataset, such as `CrossNER_AI`, `mit-movie` or `science`; case and the prefixes `CrossNER` and
            `MIT` do not matter.

    Returns:
        The two figures; None where the authors published none for that name.
    """
    bare = re.sub(r"^(crossner|mit)[-_ ]*", "", name.lower())
    return PUBLISHED.get(bare)


def print_benchmark(table: BenchmarkTable, console: Console | None = None) -> None:
    """Print one row per dataset and their mean, the authors' figures next to ours.

    Args:
        table: result of `run_benchmark`.
        console: where to print; default: standard output.
    """
    console = console or Console()
    title = f"Benchmark of {escape(visible(table.model))}: official scores"
    shown = new_table(title, "dataset", "prec.", "recall", "F1", "F1, 95 %", "failed", "type¹", "+sup¹")
    for name, scores in table.datasets.items():
        official = scores.official
        published = published_f1(name)
        theirs = [f"{value / 100:.3f}" for value in published] if published else ["", ""]
        figures = [f"{value:.3f}" for value in (official.precision, official.recall, official.f1)]
        shown.add_row(Text(visible(name)), *figures, interval(official), f"{scores.pairs.failed:,}", *theirs)
    shown.add_row("mean", "", "", f"{table.mean_f1:.3f}", "", "", *_mean_published(list(table.datasets)))
    console.print(shown)
    if any(published_f1(name) for name in table.datasets):
        console.print(f"¹ F1 of {' and '.join(PUBLISHED_MODELS)} on the dataset of that name, arXiv:2308.03279")


def _mean_published(names: Sequence[str]) -> list[str]:
    """Means of the authors' figures, if there is one for each dataset: means over others cannot be compared."""
    published = [published_f1(name) for name in names]
    known = [figures for figures in published if figures is not None]
    if not known or len(known) < len(published):
        return ["", ""]
    return [f"{sum(column) / len(column) / 100:.3f}" for column in zip(*known, strict=True)]


def _parquet_datasets(data: str) -> list[Dataset]:
    folders = [name for name in list_names(join(data, "gold")) if "=" in name]
    if not folders:
        return [_parquet_dataset(absolute(data).rsplit("/", 1)[-1], join(data, "corpus"), join(data, "gold"))]
    missing = [name for name in folders if not exists(join(data, "corpus", name))]
    if missing:
        raise ConfigError(f"--data {data}: gold has {', '.join(missing)}, the corpus has not")
    return [
        _parquet_dataset(name.split("=", 1)[1], join(data, "corpus", name), join(data, "gold", name))
        for name in folders
    ]


def _parquet_dataset(name: str, corpus: str, gold: str) -> Dataset:
    return Dataset(name, corpus, gold, tuple(read_gold(gold).types_there()))


def _imported(source: str, kind: str, output: str) -> Dataset:
    name = source.rsplit("/", 1)[-1].rsplit(".", 1)[0]
    corpus, gold = join(output, name, "corpus"), join(output, name, "gold")
    write_gold(read_source(source, kind), corpus, gold)
    return _parquet_dataset(name, corpus, gold)


def _config(dataset: Dataset, output: str, model: str | None, config: Files, overrides: Sequence[str]) -> Config:
    options = {
        "corpus.path": dataset.corpus,
        "corpus.id_column": "doc_id",
        "corpus.text_column": "text",
        "output.path": join(output, dataset.name, "annotations"),
        "types": [{"label": name, "ask": name} for name in dataset.types],
        "model.name": model,
    }
    return load_config(config, [*_OWN_OVERRIDES, *overrides], options)
