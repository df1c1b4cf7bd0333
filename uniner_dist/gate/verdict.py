"""Figures of the gate, the judgement on them, and where they are stored.

Figures of a passed gate are stored with the run and judged again at each start: a threshold that was raised meanwhile
counts. Needs neither Spark nor Ray.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from uniner_dist.config.schema import GateConfig
from uniner_dist.core.characters import visible
from uniner_dist.core.hashing import digest
from uniner_dist.run.run import Run
from uniner_dist.storage.control_files import (
    Agreement,
    GateFigures,
    GoldFigures,
    PublishedFigures,
    ReportedGate,
    Verdict,
    read_control,
)
from uniner_dist.storage.filesystem import exists, join
from uniner_dist.storage.layout import GateLayout

if TYPE_CHECKING:
    from uniner_dist.evaluation.gold_slice import GoldSlice

#: Types named in a message.
_WORST = 3


def is_gated(run: Run) -> bool:
    """Return whether the run has a gate at all: gold, or a sample.

    Args:
        run: its configuration decides.
    """
    return run.config.gate.gold is not None or run.config.gate.sample > 0


def gate_place(run: Run, gold: GoldSlice | None) -> GateLayout:
    """Return where this gate's files are stored; the folder's name is a hash of what is asked.

    Args:
        run: its folder holds the gates, and its configuration has the size of the sample.
        gold: from `read_gold_slice`; None for a gate with a sample only. Other answers or texts make another gate.
    """
    asked = {
        "gold": {} if gold is None else gold.answers,
        "texts": {} if gold is None else gold.texts,
        "sample": run.config.gate.sample,
    }
    return GateLayout(join(run.layout.gates, digest(asked, 12)))


def read_verdict(place: GateLayout) -> Verdict | None:
    """Return the figures of a gate that was passed before; None when it was not.

    Args:
        place: from `gate_place`.

    Raises:
        ControlFileError: the file is damaged.
    """
    return read_control(place.verdict, Verdict) if exists(place.verdict) else None


def has_passed(run: Run) -> bool:
    """Return whether the bulk may start: there is no gate, or one that was passed with the present thresholds.

    Args:
        run: at any stage; only its configuration and the gate's stored figures are read.

    Raises:
        ConfigError: the gold cannot be read any more.
    """
    if not is_gated(run):
        return True
    from uniner_dist.evaluation.gold_slice import read_gold_slice

    figures = read_verdict(gate_place(run, read_gold_slice(run.config)))
    return figures is not None and not judge(run.config.gate, figures.gold, drift=figures.drift)


def judge(
    gate: GateConfig, gold: GoldFigures | None, *, drift: Agreement | None = None, bulk: Agreement | None = None
) -> list[str]:
    """Return a message for each figure that misses its threshold; empty when all pass. What was not measured is None.

    Args:
        gate: whose thresholds count (`min_f1`, `min_agreement`).
        gold: scores on gold answers.
        drift: agreement with the last passing run.
        bulk: agreement of the run's own answers with those that the gate got.
    """
    problems = []
    if gold and gate.min_f1 is not None and gold.f1 < gate.min_f1:
        low, high = gold.interval
        worst = sorted(gold.by_type.items(), key=lambda item: item[1])[:_WORST]
        shown = ", ".join(f"{visible(label)} {f1:.3f}" for label, f1 in worst)
        problems.append(
            f"F1 on {gold.documents:,} gold documents is {gold.f1:.3f} (95 %: {low:.3f}–{high:.3f}), below "
            f"gate.min_f1={gate.min_f1:g}; lowest: {shown}"
        )
    against = ((drift, "the last passing run's answers"), (bulk, "the answers that the gate got"))
    for compared, other in against:
        rate = None if compared is None else lowest_rate(compared)
        if compared and rate is not None and rate < gate.min_agreement:
            same = "–" if compared.agreement is None else f"{compared.agreement:.3f}"
            rates = f"{same} of the answers are the same"
            rates += "" if compared.f1 is None else f", F1 of their mentions is {compared.f1:.3f}"
            problems.append(
                f"agreement with {other} on {compared.documents:,} documents is too low: {rates}; both must reach "
                f"gate.min_agreement={gate.min_agreement:g}"
            )
    return problems


def lowest_rate(compared: Agreement) -> float | None:
    """Return the agreement as the gate judges it: the lower of the share of same answers and the F1 of mentions.

    Most answers are empty, so a model that finds nothing any more still agrees in most of them, and only F1 tells; an
    answer that fails where nothing was to be found changes no mention, and only the share tells.

    Args:
        compared: figures of a comparison.

    Returns:
        A rate from 0 to 1; None where nothing was compared.
    """
    rates = [rate for rate in (compared.agreement, compared.f1) if rate is not None]
    return min(rates) if rates else None


def format_gate_sample(figures: GateFigures | ReportedGate) -> list[str]:
    """Return the figures measured before the bulk, one line each; at least one line.

    Args:
        figures: what `pass_gate` measured, or as the report has it.
    """
    gold, drift, lines = figures.gold, figures.drift, []
    if gold:
        lines.append(f"F1 {gold.f1:.3f} on {gold.documents:,} gold documents")
    if drift and (rate := lowest_rate(drift)) is not None:
        lines.append(f"agreement {rate:.3f} with the last passing run on a sample of {drift.documents:,} documents")
    elif figures.sample:
        lines.append(f"no other model's answers to compare the sample's {figures.sample:,} documents with yet")
    return lines or ["nothing to measure: the sample has this model's answers already"]


def format_published(published: PublishedFigures) -> str:
    """Return the figures measured before publishing, as one line.

    Args:
        published: what `check_staged` measured.
    """
    bulk, gold = published.bulk, published.gold
    rate = None if bulk is None else lowest_rate(bulk)
    if bulk is None or rate is None:
        return "none of its documents is in the corpus; nothing to check before publishing"
    words = f"agreement {rate:.3f} of the run with it on {bulk.documents:,} documents of the corpus"
    return words + (f", F1 {gold.f1:.3f} on the gold ones" if gold else "")
