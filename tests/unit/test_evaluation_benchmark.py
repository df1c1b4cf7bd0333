"""The benchmark table, the picture, and the two commands."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from rich.console import Console

from tests.support.evaluation_data import (
    annotation,
    conversation,
    entity,
    write_annotations,
    write_spans,
    write_strings,
)
from uniner_dist.cli.app import main
from uniner_dist.config.schema import Config
from uniner_dist.errors import ConfigError
from uniner_dist.evaluation import evaluate, plot_scores
from uniner_dist.evaluation.benchmark import find_datasets, print_benchmark, published_f1, run_benchmark
from uniner_dist.evaluation.figures import MentionCounts
from uniner_dist.storage.control_files import record_values


def annotate_with(answer: str, seen: list[Config]) -> Callable[[Config, Callable[[str], None]], None]:
    """Stands in for the pipeline: answers every question with one mention."""

    def annotate(config: Config, say: Callable[[str], None]) -> None:
        seen.append(config)
        documents = pq.read_table(config.corpus.path, partitioning=None).to_pylist()
        rows = [annotation(row["doc_id"], one.label, [entity(answer, 0)]) for row in documents for one in config.types]
        write_annotations(Path(config.output.path), rows)

    return annotate


def write_corpus(folder: Path, rows: list[tuple[str, str]]) -> None:
    write_strings(folder, [(doc_id, text, []) for doc_id, text in rows])


def test_each_json_file_is_a_data_set_with_its_own_types(tmp_path: Path) -> None:
    data, output, seen = tmp_path / "data", str(tmp_path / "out"), list[Config]()
    data.mkdir()
    (data / "CrossNER_AI.json").write_text(json.dumps([conversation(0, "Rome", ("a, b=c", '["Rome"]'), ("d", "[]"))]))
    (data / "mit-movie.json").write_text(json.dumps([conversation(0, "Up", ("title", '["Up"]'))]))
    table = run_benchmark(
        str(data), output, model="some/model", annotate=annotate_with("Rome", seen), say=lambda _: None
    )
    assert [[one.label for one in config.types] for config in seen] == [["a, b=c", "d"], ["title"]]
    assert {config.model.name for config in seen} == {"some/model"}
    assert {config.run.max_failed_fraction for config in seen} == {1.0}
    counts = {name: scores.official.counts for name, scores in table.datasets.items()}
    assert counts == {
        "CrossNER_AI": MentionCounts(correct=1, predicted=2, gold=1),
        "mit-movie": MentionCounts(correct=0, predicted=1, gold=1),
    }
    assert table.mean_f1 == pytest.approx(1 / 3)
    corpus = Path(seen[0].corpus.path) / "part-0.parquet"
    age = corpus.stat().st_mtime_ns
    find_datasets(str(data), output)
    assert corpus.stat().st_mtime_ns == age  # the same corpus, so the same run
    assert json.loads((tmp_path / "out" / "scores.json").read_text()) == record_values(table)
    console = Console(width=80, record=True)
    print_benchmark(table, console)
    shown = console.export_text()
    for part in ("some/model", "CrossNER_AI", "0.535", "0.629", "mit-movie", "0.424", "0.612", "2308.03279"):
        assert part in shown


def test_partitioned_gold_is_a_data_set_per_folder(tmp_path: Path) -> None:
    for domain, name in (("ai", "field"), ("law", "court")):
        write_corpus(tmp_path / "corpus" / f"domain={domain}", [(f"{domain}-1", "x")])
        write_strings(tmp_path / "gold" / f"domain={domain}", [(f"{domain}-1", name, ["x"])])
    datasets = find_datasets(str(tmp_path), str(tmp_path / "out"))
    assert [(one.name, one.types) for one in datasets] == [("ai", ("field",)), ("law", ("court",))]
    table = run_benchmark(str(tmp_path), str(tmp_path / "out"), annotate=annotate_with("x", []), say=lambda _: None)
    assert table.mean_f1 == pytest.approx(1.0)


def test_gold_without_partitions_is_one_data_set(tmp_path: Path) -> None:
    write_corpus(tmp_path / "mine" / "corpus", [("1", "x")])
    write_strings(tmp_path / "mine" / "gold", [("1", "city", [])])
    assert [one.name for one in find_datasets(str(tmp_path / "mine"), str(tmp_path / "out"))] == ["mine"]


def test_a_folder_without_data_sets_and_a_gold_without_corpus_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"expected \.json or CoNLL files"):
        find_datasets(str(tmp_path), str(tmp_path / "out"))
    write_corpus(tmp_path / "corpus" / "domain=ai", [("1", "x")])
    write_strings(tmp_path / "gold" / "domain=law", [("1", "city", [])])
    with pytest.raises(ConfigError, match="gold has domain=law, the corpus has not"):
        find_datasets(str(tmp_path), str(tmp_path / "out"))


def test_the_authors_figures_stand_beside_data_sets_of_their_names() -> None:
    assert published_f1("CrossNER_AI") == (53.5, 62.9)
    assert published_f1("science") == (61.1, 70.8)
    assert published_f1("mit-restaurant") == (31.7, 35.2)
    assert published_f1("articles") is None


@pytest.mark.parametrize("scored", [True, False])
def test_the_picture_is_written_in_the_format_of_its_ending(tmp_path: Path, scored: bool) -> None:
    gold = write_strings(tmp_path / "gold", [("1", "city", ["Rome"]), ("2", "a $ price $ and " * 9, [])])
    confidence = 0.5 if scored else None
    rows = [
        annotation("1", "city", [entity("Rome", 0, confidence)]),
        annotation("2", "a $ price $ and " * 9, score=confidence),
    ]
    scores = evaluate(write_annotations(tmp_path / "annotations", rows), gold)
    plot_scores(scores, str(tmp_path / "scores.png"))
    plot_scores(scores, str(tmp_path / "scores.SVG"))
    assert (tmp_path / "scores.png").read_bytes().startswith(b"\x89PNG")
    assert b"<svg" in (tmp_path / "scores.SVG").read_bytes()
    with pytest.raises(ConfigError, match=r"must end in .png, .svg, .pdf"):
        plot_scores(scores, str(tmp_path / "scores.gif"))


def test_the_command_prints_tables_and_writes_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gold = write_spans(tmp_path / "gold", [("1", "city", [("Rome", 0)])])
    annotations = write_annotations(
        tmp_path / "annotations", [annotation("1", "city", [entity("Rome", 0)], domain="x")]
    )
    options = ["--annotations", annotations, "--gold", gold, "--by", "domain"]
    assert main(["evaluate", *options, "--json", f"{tmp_path}/s.json", "--plot", f"{tmp_path}/s.png"]) == 0
    assert "strict spans" in capsys.readouterr().out
    assert json.loads((tmp_path / "s.json").read_text())["by"]["x"]["strict"]["f1"] == pytest.approx(1.0)
    assert (tmp_path / "s.png").exists()
    assert main(["evaluate", *options[:2], "--gold", f"{tmp_path}/nowhere"]) == 2
    assert main(["evaluate", *options, "--plot", f"{tmp_path}/s.gif"]) == 2
    assert main(["benchmark", "--data", f"{tmp_path}/nowhere", "--output", f"{tmp_path}/out"]) == 2
