"""What the main job and its plan return to a program: typed, with everything else as it is in the run's folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from typing import Any

from uniner_dist.core.characters import visible
from uniner_dist.core.estimate import Estimate
from uniner_dist.storage import control_files
from uniner_dist.storage.control_files import Interval, record_values


@dataclass(frozen=True)
class Report:
    """What a run has done.

    Args:
        run_id: name of the run, as in the column of that name.
        corpus: path or URL of what was annotated.
        output: path or URL of the folder of the published annotations.
        workdir: path or URL of the folder of everything else of the run.
        page: path or URL of the report for people, in HTML.
        documents: documents of the corpus that were annotated.
        rejects: reason → rows of the corpus that could not be used.
        rows: rows published, one for each document and entity type.
        mentions: label → mentions found, over all documents.
        outcomes: outcome → rows; see `core.outcomes.Outcome`.
        prompts_asked: prompts answered by replicas, over all starts of the run.
        prompts_reused: prompts that the store of answers knew already.
        prompts_kept: prompts answered by an earlier start of this run.
        answering_seconds: seconds from the first replica's readiness on, over all starts.
        gpu_hours: GPU hours over all starts; a CPU replica counts as one GPU.
        everything: content of the run's `report.json`.
    """

    run_id: str
    corpus: str
    output: str
    workdir: str
    page: str
    documents: int
    rejects: Mapping[str, int]
    rows: int
    mentions: Mapping[str, int]
    outcomes: Mapping[str, int]
    prompts_asked: int
    prompts_reused: int
    prompts_kept: int
    answering_seconds: float
    gpu_hours: float
    everything: Mapping[str, Any] = field(repr=False, compare=False)

    @classmethod
    def of(cls, report: control_files.Report) -> Report:
        """Return the typed report of a run that was published.

        Args:
            report: `report.json` of the run.
        """
        prompts, annotations, done = report.prompts, report.annotations, report.completions
        return cls(
            run_id=report.run_id,
            corpus=report.corpus or "",
            output=report.output,
            workdir=report.workdir,
            page=f"{report.workdir}/report.html",
            documents=prompts.documents,
            rejects=prompts.rejects,
            rows=annotations.rows if annotations else 0,
            mentions=annotations.mentions if annotations else {},
            outcomes=annotations.outcomes if annotations else {},
            prompts_asked=done.prompts,
            prompts_reused=prompts.prompts_known,
            prompts_kept=done.prompts_kept_from_earlier_starts,
            answering_seconds=done.answering_seconds,
            gpu_hours=done.gpu_hours,
            everything=record_values(report),
        )

    def _repr_html_(self) -> str:
        return _table(
            {
                "documents": f"{self.documents:,}",
                "rejected rows": _counts(self.rejects),
                "annotations": f"{self.rows:,}",
                "mentions": _counts(self.mentions),
                "outcomes": _counts(self.outcomes),
                "prompts asked": f"{self.prompts_asked:,}",
                "answers from the store": f"{self.prompts_reused:,}",
            }
        )


@dataclass(frozen=True)
class Plan:
    """What a run will ask and cost.

    Args:
        run_id: name of the run.
        documents: documents of the corpus that will be annotated.
        rejects: reason → rows of the corpus that cannot be used.
        prompts: prompts in all, one for each passage and question.
        prompts_known: of them, those that the store answers.
        prompts_to_ask: of them, those that replicas have to answer.
        prompt_tokens: tokens of the prompts to ask; each estimate has `expected`, `low` and `high`.
        gpu_hours: GPU hours to answer them; None where no rate is known (`plan.tokens_per_second`).
        money: their cost in the currency of the price; None where none is known (`plan.price_per_gpu_hour`).
        everything: content of the run's `plan.json`.
    """

    run_id: str
    documents: int
    rejects: Mapping[str, int]
    prompts: int
    prompts_known: int
    prompts_to_ask: int
    prompt_tokens: Estimate | None
    gpu_hours: Estimate | None
    money: Estimate | None
    everything: Mapping[str, Any] = field(repr=False, compare=False)

    @classmethod
    def of(cls, plan: control_files.Plan) -> Plan:
        """Return the typed plan of a run.

        Args:
            plan: `plan.json` of the run.
        """
        return cls(
            run_id=plan.run_id,
            documents=plan.documents,
            rejects=plan.rejects,
            prompts=plan.prompts,
            prompts_known=plan.prompts_known,
            prompts_to_ask=plan.prompts_to_ask,
            prompt_tokens=_estimate(plan.prompt_tokens),
            gpu_hours=_estimate(plan.gpu_hours),
            money=_estimate(plan.money),
            everything=record_values(plan),
        )

    def _repr_html_(self) -> str:
        return _table(
            {
                "documents": f"{self.documents:,}",
                "rejected rows": _counts(self.rejects),
                "prompts": f"{self.prompts:,}",
                "answers in the store": f"{self.prompts_known:,}",
                "prompts to ask": f"{self.prompts_to_ask:,}",
                "prompt tokens": _total(self.prompt_tokens),
                "GPU hours": _total(self.gpu_hours),
                "money": _total(self.money),
            }
        )


def _estimate(value: Interval | None) -> Estimate | None:
    return None if value is None else Estimate(value.expected, value.low, value.high)


def _total(value: Estimate | None) -> str:
    if value is None:
        return "not known"
    expected, low, high = (f"{n:,.0f}" if n >= 100 else f"{n:.3g}" for n in (value.expected, value.low, value.high))
    return expected if low == high else f"{expected} ({low} to {high})"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {visible(name)}" for name, count in counts.items()) or "0"


def _table(rows: Mapping[str, str]) -> str:
    cells = (f'<tr><th scope="row">{escape(name)}</th><td>{escape(value)}</td></tr>' for name, value in rows.items())
    return f"<table><tbody>{''.join(cells)}</tbody></table>"
