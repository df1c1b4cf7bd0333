"""The gate from end to end: its documents annotated by a small run of their own, judged, and compared again at the end.

Enters: a run whose prompts stage is done. Leaves: figures, or a `QualityGateError` before anything of the bulk was
asked (`pass_gate`) or anything was published (`check_staged`); after publication the answers to the sample are pinned
and the gate's texts removed (`close_gate`). The small run is the same `annotate` with the same model, questions and
store; its documents are named `gold/<id>` and `sample/<id>`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from uniner_dist.annotations.stage import read_staged
from uniner_dist.comparison.tally import Tally
from uniner_dist.config.loading import validate_tree
from uniner_dist.config.schema import Config
from uniner_dist.core.differences import Cell
from uniner_dist.errors import ConfigError, QualityGateError, StageError
from uniner_dist.evaluation.answer import Row
from uniner_dist.evaluation.document import GoldDocument
from uniner_dist.evaluation.gold import read_gold
from uniner_dist.evaluation.gold_slice import GoldSlice, read_gold_slice
from uniner_dist.evaluation.importing import write_gold
from uniner_dist.evaluation.measure import evaluate
from uniner_dist.evaluation.rows import list_dataset
from uniner_dist.evaluation.tally import Tally as Scores
from uniner_dist.gate.documents import corpus_texts, sample_ids, unchanged
from uniner_dist.gate.sample import Cells, Sample, Source, read_sample, write_sample
from uniner_dist.gate.verdict import (
    GatePlace,
    before_words,
    gate_place,
    is_gated,
    judge,
    published_words,
    read_verdict,
)
from uniner_dist.run.run import Run
from uniner_dist.spark.datasets import read_table
from uniner_dist.spark.session import column, describe, stage
from uniner_dist.storage.filesystem import exists, read_json, remove, write_json

Annotate = Callable[[Config], Mapping[str, Any]]
Say = Callable[[str], None]

#: Before the ids of the gate's own documents.
GOLD, SAMPLE = "gold/", "sample/"


def pass_gate(spark: SparkSession, run: Run, annotate: Annotate, say: Say) -> dict[str, Any]:
    """Measure (or remember) and judge.

    Args:
        annotate: does a whole run of its own, and leaves the Spark session alone.

    Returns:
        The figures: `gold`, `drift`, `documents`, `sample`; see docs/growing.md.

    Raises:
        QualityGateError: the figures are not good enough; they stand in its `figures`.
        ConfigError: the corpus has none of the gold documents.
    """
    gold = read_gold_slice(run.config)
    place = gate_place(run, gold)
    figures = read_verdict(place) or _measure(spark, run, gold, place, annotate, say)
    for line in before_words(figures):
        say(f"gate: {line}")
    problems = judge(run.config.gate, figures)
    if problems:
        prompts = read_json(run.layout.prompts_summary)["prompts"]
        where = f"none of the run's {prompts:,} prompts was asked and nothing was published; see {place.root}"
        raise QualityGateError(problems, where, figures)
    write_json(place.verdict, figures)
    return figures


def check_staged(spark: SparkSession, run: Run, say: Say) -> dict[str, Any] | None:
    """Judge the run's own answers for the gate's documents, as they are about to be published.

    Looked at are documents that stand in the corpus with the gate's text: F1 where all gold documents do, and agreement
    with the answers that the gate got, which only chance in the order of batches may change.

    Returns:
        The figures of `pass_gate`, with `published`: the same kind of figures of the run's own answers. None without a
        gate.

    Raises:
        QualityGateError: not good enough; nothing was published.
        StageError: the gate was not passed yet.
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
            figures["published"] = _measure_staged(spark, run, place, figures)
        problems = judge(run.config.gate, figures["published"])
        if problems:
            where = f"the run's own answers to the gate's documents; nothing was published; see {run.layout.staging}"
            raise QualityGateError(problems, where, figures)
        write_json(place.verdict, figures)
        say(f"gate: {published_words(figures['published'])}")
    return figures


def close_gate(run: Run) -> None:
    """After publication: pin the sample's answers, and remove the gate's texts. May be done again."""
    if not is_gated(run):
        return
    place = gate_place(run, read_gold_slice(run.config))
    figures = read_verdict(place)
    if figures is None or not exists(place.corpus):
        return
    if figures["sample"]:
        texts = {_bare(name): text for name, text in _read_corpus(place).items() if name.startswith(SAMPLE)}
        answers = read_cells(place.annotations, "doc_id")
        cells = {(_bare(name), label): cell for (name, label), cell in answers.items() if name.startswith(SAMPLE)}
        # Another run may have pinned its sample meanwhile, and a document may have been taken out of it: it stands.
        sample = read_sample(run.config.output.path) or Sample(texts, {}, {})
        cells = {key: cell for key, cell in cells.items() if key[0] in sample.texts}
        if cells:
            write_sample(run.config.output.path, sample.updated(_sources(run), cells))
    for path in (place.work, place.corpus):
        remove(path)


def read_cells(path: str, id_column: str) -> dict[tuple[str, str], Cell]:
    """All answers of a small annotations dataset, by (document id as a string, label)."""
    cells = {}
    for file in list_dataset("annotations", path):
        for batch in file.batches([id_column, "entity_type", "outcome", "entities"]):
            for row in batch.to_pylist():
                cells[str(row[id_column]), row["entity_type"]] = Cell.of(row["outcome"], row["entities"])
    return cells


# -- before the bulk -------------------------------------------------------------------------------------------------


def _measure(
    spark: SparkSession, run: Run, gold: GoldSlice | None, place: GatePlace, annotate: Annotate, say: Say
) -> dict[str, Any]:
    """Annotate the gate's documents and take all figures."""
    with stage(spark, "gate"):
        gold_texts = _gold_texts(spark, run, gold)
        pinned = read_sample(run.config.output.path)
        sample_texts = _sample_texts(spark, run, pinned)
        known = [GOLD + one for one in _in_corpus(spark, run, gold_texts, gold is not None and not gold.texts)]
        known += [SAMPLE + one for one in _in_corpus(spark, run, sample_texts, pinned is None)]
    figures: dict[str, Any] = {
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "run_id": None,
        "gold": None,
        "drift": None,
        "sample": len(sample_texts),
        "in_corpus": known,  # gold first
    }
    if not gold_texts and not sample_texts:
        return figures
    labels = set(gold.labels) if gold and not sample_texts else {entity_type.label for entity_type in run.config.types}
    _write_documents(place, gold, gold_texts, sample_texts)
    say(f"gate: annotating {len(gold_texts):,} gold documents and {len(sample_texts):,} of the sample first")
    figures["run_id"] = annotate(own_config(run, place, labels))["run_id"]
    if gold:
        figures["gold"] = _score(run, gold, place)
    if pinned and sample_texts:
        figures["drift"] = _drift(run, pinned, place)
    return figures


def _gold_texts(spark: SparkSession, run: Run, gold: GoldSlice | None) -> Mapping[str, str]:
    if gold is None or gold.texts:
        return gold.texts if gold else {}
    texts = corpus_texts(spark, run, gold.answers)
    if not texts:
        raise ConfigError(
            f"gate.gold {run.config.gate.gold}: the corpus has none of its {len(gold.answers):,} documents; name the "
            "dataset with their texts by gate.corpus"
        )
    return texts


def _sample_texts(spark: SparkSession, run: Run, pinned: Sample | None) -> Mapping[str, str]:
    """The sample to annotate; nothing if all its answers are from this very model and question."""
    count = run.config.gate.sample
    if not count:
        return {}
    if pinned is None:
        return corpus_texts(spark, run, sample_ids(spark, run, count))
    news = [label for label, source in _sources(run).items() if not _same_answers(pinned.sources.get(label), source)]
    return pinned.texts if news else {}


def _in_corpus(spark: SparkSession, run: Run, texts: Mapping[str, str], taken_from_it: bool) -> Iterable[str]:
    return texts if taken_from_it else unchanged(spark, run, texts)


def _sources(run: Run) -> dict[str, Source]:
    types = run.config.types
    return {one.label: Source(one.ask, run.fingerprint, run.model_name, run.id) for one in types}


def _same_answers(one: Source | None, other: Source) -> bool:
    return one is not None and (one.ask, one.fingerprint) == (other.ask, other.fingerprint)


def _write_documents(
    place: GatePlace, gold: GoldSlice | None, gold_texts: Mapping[str, str], sample_texts: Mapping[str, str]
) -> None:
    answers = gold.answers if gold else {}
    slice_ = [
        GoldDocument(GOLD + doc_id, text, {name: list(mentions) for name, mentions in answers[doc_id].items()})
        for doc_id, text in sorted(gold_texts.items())
    ]
    sample = [GoldDocument(SAMPLE + doc_id, text) for doc_id, text in sorted(sample_texts.items())]
    write_gold([*slice_, *sample], place.corpus, place.gold)


def own_config(run: Run, place: GatePlace, labels: Iterable[str]) -> Config:
    """The configuration of the gate's own run: the same model, engine and store, another corpus and output."""
    tree = run.config.model_dump()
    tree["corpus"] = {"path": place.corpus, "id_column": "doc_id", "text_column": "text"}
    tree["output"] = {"path": place.annotations, "partition_by": ["entity_type"]}
    tree["workdir"] = place.work
    wanted = set(labels)
    tree["types"] = [entity_type for entity_type in tree["types"] if entity_type["label"] in wanted]
    # Failures are part of what the gate judges: they must not end its run.
    tree["run"] |= {"max_failed_fraction": 1.0, "allow_rejects_fraction": 1.0}
    tree["run"] |= {"max_prompts": None, "max_gpu_hours": None}
    tree["gate"] = {}
    return validate_tree(tree)


def _score(run: Run, gold: GoldSlice, place: GatePlace) -> dict[str, Any]:
    scores = evaluate(place.annotations, place.gold)
    write_json(place.scores, scores)
    missing = len(gold.answers) - scores["documents"]
    about = {"path": run.config.gate.gold, "texts": gold.source, "without_text": missing}
    return about | _gold_figures(scores)


def _gold_figures(scores: Mapping[str, Any]) -> dict[str, Any]:
    official = scores["official"]
    return {
        "documents": scores["documents"],
        "pairs": scores["pairs"]["gold"],
        "failed": scores["pairs"]["failed"],
        **{name: official[name] for name in ("precision", "recall", "f1")},
        "interval": official["intervals"]["f1"],
        "by_type": {label: of_type["official"]["f1"] for label, of_type in scores["by_type"].items()},
    }


def _drift(run: Run, pinned: Sample, place: GatePlace) -> dict[str, Any] | None:
    """The sample's answers against the pinned ones, for labels asked alike then and now by different models."""
    sources = _sources(run)
    labels = [
        label
        for label, source in sources.items()
        if label in pinned.sources
        and pinned.sources[label].ask == source.ask
        and pinned.sources[label].fingerprint != source.fingerprint
    ]
    if not labels:
        return None
    answers = read_cells(place.annotations, "doc_id")
    keys = [(doc_id, label) for doc_id in pinned.texts for label in labels]
    before = {key: pinned.cells.get(key) for key in keys}
    summary = _compare(before, {key: answers.get((SAMPLE + key[0], key[1])) for key in keys})
    earlier = [{"label": label, "model": s.model, "run_id": s.run_id} for label, s in pinned.sources.items()]
    write_json(place.drift, {"before": [one for one in earlier if one["label"] in labels], **summary})
    return _rates(summary, keys) | {"labels": labels}


def _compare(before: Mapping[Any, Cell | None], after: Mapping[Any, Cell | None]) -> dict[str, Any]:
    tally = Tally()
    for (doc_id, label), cell in before.items():
        tally.add(doc_id, label, cell, after[doc_id, label])
    return tally.summary()


def _rates(summary: Mapping[str, Any], keys: Sequence[tuple[str, str]]) -> dict[str, Any]:
    figures = {name: summary[name] for name in ("cells", "same", "agreement", "f1", "intervals", "outcomes")}
    return {"documents": len({doc_id for doc_id, _ in keys}), **figures}


# -- before publishing -----------------------------------------------------------------------------------------------


def _measure_staged(spark: SparkSession, run: Run, place: GatePlace, figures: Mapping[str, Any]) -> dict[str, Any]:
    names: dict[str, str] = {}
    for name in figures["in_corpus"]:  # a document that is gold and in the sample counts as gold
        names.setdefault(_bare(name), name)
    result: dict[str, Any] = {"gold": None, "bulk": None}
    if not names:
        return result
    rows = [_row(names[row["id"]], row) for row in _staged_rows(spark, run, names)]
    gate_answers: Cells = read_cells(place.annotations, "doc_id")
    own = {(row.doc_id, row.entity_type): Cell.of(row.outcome, row.entities) for row in rows}
    keys = [key for key in own if key in gate_answers]
    result["bulk"] = _rates(_compare({key: gate_answers[key] for key in keys}, own), keys)
    gold = figures["gold"]
    if gold and gold["documents"] == sum(name.startswith(GOLD) for name in figures["in_corpus"]):
        scores = Scores(read_gold(place.gold))
        for row in rows:
            if row.doc_id.startswith(GOLD):
                scores.add(row)
        result["gold"] = _gold_figures(scores.scores())
    return result


def _staged_rows(spark: SparkSession, run: Run, doc_ids: Iterable[str]) -> list[Mapping[str, Any]]:
    """The staged annotations of a handful of documents."""
    describe(spark, "answers to the gate's documents")
    places = read_table(spark, run.layout.occurrences)
    staged: DataFrame = read_staged(spark, run, places)
    wanted = spark.createDataFrame([(one,) for one in doc_ids], "id string")
    doc_id = column(run.config.corpus.id_column).cast("string").alias("id")
    rows = staged.select(doc_id, "entity_type", "entities", "outcome", "raw_output")
    return [row.asDict(recursive=True) for row in rows.join(F.broadcast(wanted), "id", "left_semi").collect()]


def _row(name: str, row: Mapping[str, Any]) -> Row:
    return Row(name, row["entity_type"], row["entities"], row["outcome"], row["raw_output"])


def _read_corpus(place: GatePlace) -> dict[str, str]:
    texts: dict[str, str] = {}
    for file in list_dataset("corpus", place.corpus):
        for batch in file.batches(["doc_id", "text"]):
            texts |= dict(zip(*(values.to_pylist() for values in batch.columns), strict=True))
    return texts


def _bare(name: str) -> str:
    """The document's own id."""
    return name.split("/", 1)[1]
