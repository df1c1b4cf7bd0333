"""The gate before the bulk: its documents annotated by a small run of their own, and judged.

The small run is the same `annotate` with the same model, questions and store; its documents are named `gold/<id>` and
`sample/<id>`. Its figures are returned, or a `QualityGateError` is raised before anything of the bulk was asked.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping

from pyspark.sql import SparkSession

from uniner_dist.comparison.figures import TallySummary
from uniner_dist.config.loading import validate_tree
from uniner_dist.config.schema import Config
from uniner_dist.errors import ConfigError, QualityGateError
from uniner_dist.evaluation.gold_slice import GoldSlice, read_gold_slice
from uniner_dist.evaluation.importing import write_gold
from uniner_dist.evaluation.measure import score
from uniner_dist.formats.gold_document import GoldDocument
from uniner_dist.gate.documents import corpus_texts, sample_ids, unchanged
from uniner_dist.gate.figures import GOLD, SAMPLE, compare, gold_figures, rates, read_cells, sources_of
from uniner_dist.gate.sample import Sample, Source, read_sample
from uniner_dist.gate.verdict import format_gate_sample, gate_place, judge, read_verdict
from uniner_dist.run.run import Run
from uniner_dist.spark.stage import stage
from uniner_dist.storage.control_files import (
    Drift,
    PromptsSummary,
    Record,
    SliceFigures,
    Verdict,
    read_control,
    record_values,
    write_record,
)
from uniner_dist.storage.layout import GateLayout

Annotate = Callable[[Config], str]
Say = Callable[[str], None]


def pass_gate(spark: SparkSession, run: Run, annotate: Annotate, say: Say) -> Verdict:
    """Measure the gate's figures, or read those of an earlier start, and judge them.

    Args:
        spark: session that looks up the gold documents in the corpus.
        run: a run whose prompts stage is done; its figures are stored in its folder.
        annotate: does a whole run of its own, whose id it returns, and leaves the Spark session alone.
        say: takes one line of news.

    Returns:
        The figures; see docs/growing.md.

    Raises:
        QualityGateError: the figures are not good enough; the error's `figures` has them.
        ConfigError: the gold cannot be read, or the corpus has none of the gold documents.
    """
    gold = read_gold_slice(run.config)
    place = gate_place(run, gold)
    figures = read_verdict(place) or _measure(spark, run, gold, place, annotate, say)
    for line in format_gate_sample(figures):
        say(f"gate: {line}")
    problems = judge(run.config.gate, figures.gold, drift=figures.drift)
    if problems:
        prompts = read_control(run.layout.prompts_summary, PromptsSummary).prompts
        where = f"none of the run's {prompts:,} prompts was asked and nothing was published; see {place.root}"
        raise QualityGateError(problems, where, record_values(figures))
    write_record(place.verdict, figures)
    return figures


def _measure(
    spark: SparkSession, run: Run, gold: GoldSlice | None, place: GateLayout, annotate: Annotate, say: Say
) -> Verdict:
    """Annotate the gate's documents and take all figures."""
    with stage(spark, "gate"):
        gold_texts = _gold_texts(spark, run, gold)
        pinned = read_sample(run.config.output.path)
        sample_texts = _sample_texts(spark, run, pinned)
        known = [GOLD + one for one in _in_corpus(spark, run, gold_texts, gold is not None and not gold.texts)]
        known += [SAMPLE + one for one in _in_corpus(spark, run, sample_texts, pinned is None)]
    figures = Verdict(
        at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        gold=None,
        drift=None,
        sample=len(sample_texts),
        in_corpus=tuple(known),
    )
    if not gold_texts and not sample_texts:
        return figures
    labels = set(gold.labels) if gold and not sample_texts else {entity_type.label for entity_type in run.config.types}
    _write_documents(place, gold, gold_texts, sample_texts)
    say(f"gate: annotating {len(gold_texts):,} gold documents and {len(sample_texts):,} of the sample first")
    run_id = annotate(own_config(run, place, labels))
    measured = {
        "run_id": run_id,
        "gold": _score(run, gold, place) if gold else None,
        "drift": _drift(run, pinned, place) if pinned and sample_texts else None,
    }
    return figures.model_copy(update=measured)


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
    news = [label for label, source in sources_of(run).items() if not _same_answers(pinned.sources.get(label), source)]
    return pinned.texts if news else {}


def _same_answers(one: Source | None, other: Source) -> bool:
    return one is not None and (one.ask, one.fingerprint) == (other.ask, other.fingerprint)


def _in_corpus(spark: SparkSession, run: Run, texts: Mapping[str, str], taken_from_it: bool) -> Iterable[str]:
    return texts if taken_from_it else unchanged(spark, run, texts)


def _write_documents(
    place: GateLayout, gold: GoldSlice | None, gold_texts: Mapping[str, str], sample_texts: Mapping[str, str]
) -> None:
    answers = gold.answers if gold else {}
    slice_ = [
        GoldDocument(GOLD + doc_id, text, {name: list(mentions) for name, mentions in answers[doc_id].items()})
        for doc_id, text in sorted(gold_texts.items())
    ]
    sample = [GoldDocument(SAMPLE + doc_id, text) for doc_id, text in sorted(sample_texts.items())]
    write_gold([*slice_, *sample], place.corpus, place.gold)


def own_config(run: Run, place: GateLayout, labels: Iterable[str]) -> Config:
    """Return the configuration of the gate's own run: the same model, engine and store, another corpus and output.

    Args:
        run: the run that is gated.
        place: folders of the gate: its corpus, output and workdir.
        labels: labels of the types that are asked; those that the run does not have are ignored.
    """
    tree = run.config.model_dump()
    tree["corpus"] = {"path": place.corpus, "id_column": "doc_id", "text_column": "text"}
    tree["output"] = {"path": place.annotations, "partition_by": ["entity_type"]}
    tree["workdir"] = place.work
    wanted = set(labels)
    tree["types"] = [entity_type for entity_type in tree["types"] if entity_type["label"] in wanted]
    # Failures are part of what the gate judges: they must not end its run.
    tree["run"] |= {"max_failed_fraction": 1.0, "allow_rejects_fraction": 1.0}
    tree["run"] |= {"max_prompts": None, "max_gpu_hours": None}
    tree["gate"], tree["triage"] = {}, {}
    return validate_tree(tree)


class EarlierSource(Record):
    """What the pinned answers for a label came from."""

    label: str
    model: str
    run_id: str


class DriftDetails(TallySummary):
    """The whole comparison of the sample's answers with the pinned ones."""

    before: tuple[EarlierSource, ...]


def _score(run: Run, gold: GoldSlice, place: GateLayout) -> SliceFigures:
    scores = score(place.annotations, place.gold)
    write_record(place.scores, scores)
    return SliceFigures(
        **dict(gold_figures(scores)),
        path=run.config.gate.gold,
        texts=gold.source,
        without_text=len(gold.answers) - scores.documents,
    )


def _drift(run: Run, pinned: Sample, place: GateLayout) -> Drift | None:
    """The sample's answers against the pinned ones, for labels asked alike then and now by different models."""
    asked = sources_of(run)
    labels = [
        label
        for label, source in asked.items()
        if label in pinned.sources
        and pinned.sources[label].ask == source.ask
        and pinned.sources[label].fingerprint != source.fingerprint
    ]
    if not labels:
        return None
    answers = read_cells(place.annotations, "doc_id")
    keys = [(doc_id, label) for doc_id in pinned.texts for label in labels]
    before = {key: pinned.cells.get(key) for key in keys}
    summary = compare(before, {key: answers.get((SAMPLE + key[0], key[1])) for key in keys})
    earlier = {label: pinned.sources[label] for label in pinned.sources if label in labels}
    sources = tuple(EarlierSource(label=label, model=s.model, run_id=s.run_id) for label, s in earlier.items())
    write_record(place.drift, DriftDetails(**dict(summary), before=sources))
    return Drift(**dict(rates(summary, keys)), labels=tuple(labels))
