"""The gate before publishing: the run's own answers to the gate's documents, compared with what the gate got.

A `QualityGateError` is raised before anything was published. After publication the answers to the sample are pinned and
the gate's texts are removed (`close_gate`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from uniner_dist.annotations.stage import read_staged
from uniner_dist.core.differences import Cell
from uniner_dist.errors import QualityGateError, StageError
from uniner_dist.evaluation.gold import read_gold
from uniner_dist.evaluation.gold_slice import read_gold_slice
from uniner_dist.evaluation.rows import list_dataset
from uniner_dist.evaluation.tally import Tally
from uniner_dist.gate.figures import GOLD, SAMPLE, compare, gold_figures, own_id, rates, read_cells, sources_of
from uniner_dist.gate.sample import Cells, Sample, update_sample
from uniner_dist.gate.verdict import format_published, gate_place, is_gated, judge, read_verdict
from uniner_dist.run.run import Run
from uniner_dist.schemas import ANNOTATION_FIELDS
from uniner_dist.spark.datasets import read_table
from uniner_dist.spark.stage import describe, stage
from uniner_dist.spark.types import column
from uniner_dist.storage.control_files import PublishedFigures, Verdict, record_values, write_record
from uniner_dist.storage.filesystem import exists, remove
from uniner_dist.storage.layout import GateLayout
from uniner_dist.storage.stage_files import counting

Say = Callable[[str], None]


def check_staged(spark: SparkSession, run: Run, say: Say) -> Verdict | None:
    """Judge the run's own answers for the gate's documents, as they are about to be published.

    Looked at are documents that are in the corpus with the gate's text: F1 where all gold documents do, and agreement
    with the answers that the gate got, which only chance in the order of batches may change. A publication that has
    begun is not judged any more.

    Args:
        spark: session that reads the staged annotations.
        run: a run whose annotations are staged.
        say: takes one line of news.

    Returns:
        The figures of `pass_gate`, with `published`: the same kind of figures of the run's own answers. None without a
        gate.

    Raises:
        QualityGateError: not good enough; nothing was published.
        StageError: the gate was not passed yet.
        ConfigError: the gold cannot be read any more.
    """
    if not is_gated(run):
        return None
    gold = read_gold_slice(run.config)
    place = gate_place(run, gold)
    figures = read_verdict(place)
    if figures is None:
        raise StageError(
            f"run {run.id}: its quality gate was not passed yet; run `uniner-dist gate --workdir {run.layout.workdir} "
            f"--run {run.id}` first"
        )
    # A publication that has begun cannot be undone, and takes the staged files away.
    if exists(run.layout.staging) and not exists(run.layout.publication):
        with stage(spark, "gate"):
            published = _measure_staged(spark, run, place, figures)
        figures = figures.model_copy(update={"published": published})
        problems = judge(run.config.gate, published.gold, bulk=published.bulk)
        if problems:
            where = f"the run's own answers to the gate's documents; nothing was published; see {run.layout.staging}"
            raise QualityGateError(problems, where, record_values(figures))
        write_record(place.verdict, figures)
        say(f"gate: {format_published(published)}")
    return figures


def close_gate(run: Run) -> None:
    """After publication: pin the sample's answers, and remove the gate's texts. May be done again.

    Args:
        run: a published run; nothing is done where it has no gate, or where the gate's texts are removed already.

    Raises:
        ConfigError: the gold cannot be read any more.
        RunHeldError: another process changes the output and does not come to an end.
        StageError: the sample was changed by other processes at every try.
    """
    if not is_gated(run):
        return
    place = gate_place(run, read_gold_slice(run.config))
    figures = read_verdict(place)
    if figures is None or not exists(place.corpus):
        return
    if figures.sample:
        texts = {own_id(name): text for name, text in _read_corpus(place).items() if name.startswith(SAMPLE)}
        answers = read_cells(place.annotations, "doc_id")
        cells = {(own_id(name), label): cell for (name, label), cell in answers.items() if name.startswith(SAMPLE)}

        def updated(sample: Sample | None) -> Sample | None:
            # Another run may have pinned its sample meanwhile, and a document may have been taken out of it.
            sample = sample or Sample(texts, {}, {})
            kept = {key: cell for key, cell in cells.items() if key[0] in sample.texts}
            return sample.updated(sources_of(run), kept) if kept else None

        update_sample(run.config.output.path, updated)
    for path in (place.work, place.corpus):
        remove(path)


def _measure_staged(spark: SparkSession, run: Run, place: GateLayout, figures: Verdict) -> PublishedFigures:
    names: dict[str, str] = {}
    for name in figures.in_corpus:  # a document that is gold and in the sample counts as gold
        names.setdefault(own_id(name), name)
    if not names:
        return PublishedFigures(gold=None, bulk=None)
    rows = [{**row, "doc_id": names[row["id"]]} for row in _staged_rows(spark, run, names)]
    gate_answers: Cells = read_cells(place.annotations, "doc_id")
    own = {(row["doc_id"], row["entity_type"]): Cell.of(row["outcome"], row["entities"]) for row in rows}
    keys = [key for key in own if key in gate_answers]
    bulk, own_gold = rates(compare({key: gate_answers[key] for key in keys}, own), keys), None
    gold = figures.gold
    if gold and gold.documents == sum(name.startswith(GOLD) for name in figures.in_corpus):
        scores = Tally(read_gold(place.gold))
        scores.add_rows([row for row in rows if row["doc_id"].startswith(GOLD)], pa.schema(ANNOTATION_FIELDS))
        own_gold = gold_figures(scores.scores())
    return PublishedFigures(gold=own_gold, bulk=bulk)


def _staged_rows(spark: SparkSession, run: Run, doc_ids: Iterable[str]) -> list[Mapping[str, Any]]:
    """The staged annotations of a handful of documents."""
    describe(spark, "answers to the gate's documents")
    places = read_table(spark, counting(run.layout.occurrences))
    staged: DataFrame = read_staged(spark, run, places)
    wanted = spark.createDataFrame([(one,) for one in doc_ids], "id string")
    doc_id = column(run.config.corpus.id_column).cast("string").alias("id")
    rows = staged.select(doc_id, "entity_type", "entities", "outcome", "raw_output")
    return [row.asDict(recursive=True) for row in rows.join(F.broadcast(wanted), "id", "left_semi").collect()]


def _read_corpus(place: GateLayout) -> dict[str, str]:
    texts: dict[str, str] = {}
    for file in list_dataset("corpus", place.corpus):
        for batch in file.batches(["doc_id", "text"]):
            texts |= dict(zip(*(values.to_pylist() for values in batch.columns), strict=True))
    return texts
