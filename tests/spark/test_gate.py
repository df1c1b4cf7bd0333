"""The quality gate with real Spark: its own run, both judgements, the pinned sample; only the engine is left out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from tests.spark.conftest import write_corpus
from tests.support.evaluation_data import write_strings
from tests.support.scripted import Answer, capitalised, complete
from uniner_dist.annotations.publication import publish
from uniner_dist.annotations.stage import write_annotations
from uniner_dist.config.schema import Config
from uniner_dist.errors import ConfigError, QualityGateError, StageError
from uniner_dist.gate.before_bulk import pass_gate
from uniner_dist.gate.before_publish import check_staged, close_gate
from uniner_dist.gate.sample import read_sample
from uniner_dist.gate.verdict import has_passed
from uniner_dist.pipeline.preflight import open_run
from uniner_dist.prompts.stage import write_prompts
from uniner_dist.run.run import Run
from uniner_dist.storage.control_files import Verdict

pytestmark = pytest.mark.spark

DOCUMENTS = [{"doc_id": i, "text": f"Ada wrote note {i} to Bob and Eve."} for i in range(30)]


class Model:
    """Whole runs with a model that gives these answers; keeps count of what it was asked."""

    def __init__(self, spark: SparkSession, answer: Answer = capitalised) -> None:
        self.spark, self.answer, self.runs = spark, answer, 0
        self.said: list[str] = []

    def annotate(self, config: Config) -> str:
        run = open_run(config)
        self.runs += 1
        self.stage(run)
        publish(self.spark, run)
        return run.id

    def stage(self, run: Run) -> None:
        write_prompts(self.spark, run)
        complete(run, self.answer)
        write_annotations(self.spark, run)

    def gate(self, run: Run) -> Verdict:
        write_prompts(self.spark, run)
        return pass_gate(self.spark, run, self.annotate, self.said.append)

    def publish(self, run: Run) -> Verdict | None:
        """Everything behind the gate."""
        self.stage(run)
        figures = check_staged(self.spark, run, self.said.append)
        publish(self.spark, run)
        close_gate(run)
        return figures


def nothing(text: str, ask: str) -> str:
    return "[]"


def test_a_good_model_passes_and_is_looked_at_again_before_publishing(
    spark: SparkSession, tmp_path: Path, make_run: Callable[..., Run]
) -> None:
    gold = write_strings(tmp_path / "gold", [(i, "person", ["Ada", "Bob", "Eve"]) for i in (3, 4, 99)])
    options = {"gate.gold": gold, "gate.min_f1": 0.8, "gate.sample": 5}
    run = make_run(write_corpus(tmp_path / "corpus", [*DOCUMENTS, DOCUMENTS[3]]), **options)
    model = Model(spark)
    figures = model.gate(run)
    assert (figures.gold.documents, figures.gold.without_text, figures.gold.f1) == (
        2,
        1,
        pytest.approx(1),
    )
    assert (figures.sample, figures.drift) == (5, None)
    assert has_passed(run)
    assert model.gate(run) == figures
    assert model.runs == 1, "a passed gate is remembered"
    assert not has_passed(make_run(run.config.corpus.path, **{**options, "gate.min_f1": 1.0})), "thresholds count anew"

    published = model.publish(run)
    assert published is not None
    assert published.published.bulk.agreement == 1
    assert published.published.bulk.documents == 7
    assert published.published.gold.f1 == pytest.approx(1)
    sample = read_sample(run.config.output.path)
    assert sample is not None
    assert len(sample.texts) == 5
    assert set(sample.cells) == {(doc_id, label) for doc_id in sample.texts for label in ("person", "PLACE")}
    left = [path for path in Path(run.layout.root, "gate").rglob("*.parquet") if b"wrote note" in path.read_bytes()]
    assert not left, "no text of the gate stays behind"


def test_a_bad_model_is_stopped_before_the_bulk_unless_the_gold_agrees(
    spark: SparkSession, tmp_path: Path, make_run: Callable[..., Run]
) -> None:
    path = tmp_path / "gold.conll"
    path.write_text("Ada\tB-person\nmet\tO\nBob\tB-person\n")
    options = {"gate.gold": str(path), "gate.min_f1": 0.5}
    run = make_run(write_corpus(tmp_path / "corpus", DOCUMENTS), **options)
    model = Model(spark, nothing)
    with pytest.raises(
        QualityGateError, match=r"F1 on 1 gold documents is 0\.000 .* below gate\.min_f1=0\.5"
    ) as caught:
        model.gate(run)
    assert "none of the run's 60 prompts was asked and nothing was published" in str(caught.value)
    assert caught.value.figures["gold"]["texts"] == "gate.gold"
    assert not has_passed(run)
    with pytest.raises(StageError, match="its quality gate was not passed yet"):
        check_staged(spark, run, model.said.append)
    path.write_text("Ada\tO\nmet\tB-person\n")
    model.answer = lambda text, ask: json.dumps(["met"]) if ask == "person" else "[]"
    model.gate(run)
    model.answer = capitalised
    figures = model.publish(run)
    assert figures is not None
    assert figures.published.bulk is None, "no document of the gold is in the corpus"


def test_another_model_must_agree_with_the_last_one_that_passed(
    spark: SparkSession, tmp_path: Path, make_run: Callable[..., Run]
) -> None:
    corpus = write_corpus(tmp_path / "corpus", DOCUMENTS)
    first = make_run(corpus, **{"gate.sample": 6})
    model = Model(spark)
    model.gate(first)
    model.publish(first)
    pinned = read_sample(first.config.output.path)
    assert pinned is not None

    # The same model on another corpus: the sample has its answers already.
    again = make_run(write_corpus(tmp_path / "more", DOCUMENTS[:9]), **{"gate.sample": 6})
    model.gate(again)
    assert model.runs == 1
    assert "the sample has this model's answers already" in model.said[-1]

    other = {"gate.sample": 3, "model.max_tokens": 65}
    worse = make_run(corpus, **other)
    assert worse.fingerprint != first.fingerprint
    with pytest.raises(QualityGateError, match=r"last passing run's answers on 6 documents is too low: 0\.500 of"):
        Model(spark, nothing).gate(worse)
    assert read_sample(first.config.output.path) == pinned

    # Accepted all the same: from now on its answers are the ones to agree with.
    accepted = make_run(corpus, **other, **{"gate.min_agreement": 0.0})
    bad = Model(spark, nothing)
    figures = bad.gate(accepted)
    assert figures.drift.agreement == 0.5
    assert figures.drift.outcomes == {"found → none": 6}
    bad.publish(accepted)
    renewed = read_sample(first.config.output.path)
    assert renewed is not None
    assert renewed.texts == pinned.texts
    assert renewed.sources["person"].fingerprint == accepted.fingerprint
    assert all(not cell.mentions for cell in renewed.cells.values())


def test_answers_that_differ_from_the_gate_s_are_not_published(
    spark: SparkSession, tmp_path: Path, make_run: Callable[..., Run]
) -> None:
    run = make_run(write_corpus(tmp_path / "corpus", DOCUMENTS), **{"gate.sample": 4})
    model = Model(spark)
    model.gate(run)
    model.answer = nothing
    with pytest.raises(QualityGateError, match="the answers that the gate got on 4 documents is too low"):
        model.publish(run)
    assert not Path(run.config.output.path).exists()
    assert read_sample(run.config.output.path) is None


def test_gold_of_other_documents_is_an_error_with_the_way_out(
    spark: SparkSession, tmp_path: Path, make_run: Callable[..., Run]
) -> None:
    gold = write_strings(tmp_path / "gold", [("x", "person", ["Ada"])])
    run = make_run(write_corpus(tmp_path / "corpus", DOCUMENTS), **{"gate.gold": gold, "gate.min_f1": 0.1})
    with pytest.raises(ConfigError, match=r"the corpus has none of its 1 documents; name the dataset .* gate\.corpus"):
        Model(spark).gate(run)
