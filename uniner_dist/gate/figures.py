"""Figures of the gate: names of its documents, their answers, comparisons and scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from uniner_dist.comparison.figures import TallySummary
from uniner_dist.comparison.tally import Tally
from uniner_dist.core.differences import Cell
from uniner_dist.evaluation.figures import Tallied
from uniner_dist.evaluation.rows import list_dataset
from uniner_dist.gate.sample import Source
from uniner_dist.run.run import Run
from uniner_dist.storage.control_files import Agreement, GoldFigures

#: Prefixes of the ids of the gate's own documents.
GOLD: Final = "gold/"
SAMPLE: Final = "sample/"


def own_id(name: str) -> str:
    """Return the document's own id.

    Args:
        name: the id in the gate's corpus: `GOLD` or `SAMPLE`, and then the document's id.
    """
    return name.split("/", 1)[1]


def read_cells(path: str, id_column: str) -> dict[tuple[str, str], Cell]:
    """Return all answers of a small annotations dataset, by (document id as a string, label).

    Args:
        path: URL or local path of the dataset.
        id_column: its column of document ids.

    Raises:
        ConfigError: there is no such dataset.
    """
    cells = {}
    for file in list_dataset("annotations", path):
        for batch in file.batches([id_column, "entity_type", "outcome", "entities"]):
            for row in batch.to_pylist():
                cells[str(row[id_column]), row["entity_type"]] = Cell.of(row["outcome"], row["entities"])
    return cells


def sources_of(run: Run) -> dict[str, Source]:
    """Return label → source of this run's answers for it.

    Args:
        run: its questions, fingerprint, model name and id are taken.
    """
    asked = run.config.questions.by_label().items()
    return {label: Source(question, run.fingerprint, run.model_name, run.id) for label, question in asked}


def gold_figures(scores: Tallied) -> GoldFigures:
    """Return those of all scores against gold that are judged and shown.

    Args:
        scores: of all documents and types; F1, precision and recall are the official ones.
    """
    official = scores.official
    return GoldFigures(
        documents=scores.documents,
        pairs=scores.pairs.gold,
        failed=scores.pairs.failed,
        precision=official.precision,
        recall=official.recall,
        f1=official.f1,
        interval=official.intervals.f1,
        by_type={label: of_type.official.f1 for label, of_type in scores.by_type.items()},
    )


def compare(before: Mapping[Any, Cell | None], after: Mapping[Any, Cell | None]) -> TallySummary:
    """Compare two sets of answers, by (document id, label).

    Args:
        before: answers that are compared; None where there was none.
        after: answers to all of these, and maybe others; None where there is none.

    Returns:
        Counts, rates and examples; answers of one side alone are counted apart and in no rate.
    """
    tally = Tally()
    for (doc_id, label), cell in before.items():
        if (cell, after[doc_id, label]) != (None, None):
            tally.add(doc_id, label, cell, after[doc_id, label])
    return tally.summary()


def rates(differences: TallySummary, keys: Sequence[tuple[str, str]]) -> Agreement:
    """Return those figures of a comparison that are judged and shown.

    Args:
        differences: what was found.
        keys: the (document, label) pairs that were compared.
    """
    return Agreement(
        documents=len({doc_id for doc_id, _ in keys}),
        cells=differences.cells,
        same=differences.same,
        agreement=differences.agreement,
        f1=differences.f1,
        intervals=differences.intervals,
        outcomes=differences.outcomes,
    )
