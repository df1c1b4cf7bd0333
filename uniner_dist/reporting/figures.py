"""The figures of a report in words: verdict, checks, tiles and tables of the page. Pure; values in, words out."""

from __future__ import annotations

import time
from calendar import timegm
from collections.abc import Mapping
from typing import Any

from uniner_dist.reporting.progress import counted, duration, rate

_GOOD = ("found", "none", "skipped")

#: Why rows of a corpus were rejected, for who reads the page.
REJECTED = {
    "null_id": "without an id",
    "text_too_large": "with a value above corpus.max_text_bytes",
    "blank_id": "with a blank id",
    "null_text": "without a text",
    "invalid_utf8": "with bytes that are no UTF-8",
    "blank_text": "with a blank text",
    "unfit_for_folder": "with a value that cannot name a folder",
    "erased": "erased on request",
    "duplicate_id": "with an id that an earlier row has",
}

#: A figure of the page: what it is, the figure, and more about it.
Tile = tuple[str, str, str]


def verdict(report: Mapping[str, Any]) -> tuple[str, str]:
    """(class, words): how the run ended."""
    if report["publication"] is None:
        return "bad", "Stopped by its quality gate; nothing was published"
    failed = report["annotations"].get("failed", 0)
    if failed:
        share = report["annotations"]["failed_fraction"]
        return (
            "fair",
            f"Published; {counted(failed, 'annotation')} ({share:.2%}) without a complete answer",
        )
    skipped = report["annotations"]["outcomes"].get("skipped", 0)
    if skipped:
        kept = ((report.get("triage") or {}).get("verdict") or {}).get("kept", "open")
        return (
            "good" if kept == "held" else "fair",
            f"Published; triage skipped {counted(skipped, 'annotation')}, its check: {kept}",
        )
    return "good", "Published; every annotation is complete"


def checks(report: Mapping[str, Any]) -> list[tuple[bool, str]]:
    """The invariants of the contract between the stages, and the numbers that show them."""
    prompts, annotations, published = report["prompts"], report["annotations"], report["publication"]
    rejected = sum(prompts["rejects"].values())
    found = [
        (
            prompts["documents"] + rejected == prompts["rows"],
            f"{prompts['rows']:,} rows of the corpus = {prompts['documents']:,} documents + {rejected:,} rejected",
        )
    ]
    if annotations is not None:
        cells, types = prompts["documents"] * annotations["types"], annotations["types"]
        counted = sum(annotations["outcomes"].values())
        found += [
            (
                annotations["rows"] == cells,
                f"{annotations['rows']:,} annotations = {prompts['documents']:,} documents × {types:,} types",
            ),
            (counted == annotations["rows"], f"{counted:,} outcomes, one per annotation"),
        ]
    if published is not None and annotations is not None:
        same = published["rows"] == annotations["rows"]
        found.append((same, f"{published['rows']:,} annotations published"))
    return found


def rejected(report: Mapping[str, Any]) -> list[tuple[int, str]]:
    """(rows, why), most frequent first."""
    counts = sorted(report["prompts"]["rejects"].items(), key=lambda pair: -pair[1])
    return [(count, REJECTED.get(reason, reason)) for reason, count in counts]


def quality_tiles(report: Mapping[str, Any]) -> list[Tile]:
    """What came out: the first figures of the page."""
    prompts, annotations, found = report["prompts"], report["annotations"], []
    gold = gold_of(report)
    if gold is not None:
        low, high = gold.get("interval") or (None, None)
        spread = f"{low:.2f} to {high:.2f} on" if low is not None else "on"
        found.append(("F1 on gold", f"{gold['f1']:.2f}", f"{spread} {gold['documents']:,} documents"))
    elif (report.get("gate") or {}).get("f1") is not None:  # as a version before wrote it
        found.append(("F1 on gold", f"{report['gate']['f1']:.2f}", f"on {report['gate']['documents']:,} documents"))
    dropped = counted(sum(prompts["rejects"].values()), "row")
    found.append(("documents", f"{prompts['documents']:,}", f"{dropped} rejected"))
    if annotations is None:
        return found
    mentions, absent = sum(annotations["mentions"].values()), (annotations.get("matches") or {}).get("absent", 0)
    found.append(("mentions", f"{mentions:,}", f"in {annotations['outcomes'].get('found', 0):,} annotations"))
    found.append(("not in their text", _share(absent, mentions), f"{absent:,} mentions without offsets"))
    failed = annotations.get("failed", 0)
    found.append(("no complete answer", _share(failed, annotations["rows"]), counted(failed, "annotation")))
    return found


def gold_of(report: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Scores on gold answers of what was published, else of what the gate annotated first; None without gold."""
    gate = report.get("gate") or {}
    gold: Mapping[str, Any] | None = (gate.get("published") or {}).get("gold") or gate.get("gold")
    return gold if gold and gold.get("f1") is not None else None


def work_tiles(report: Mapping[str, Any]) -> list[Tile]:
    """What it took."""
    prompts, done, found = report["prompts"], report["completions"], []
    seconds = elapsed_s(report)
    if seconds is not None:
        found.append(("elapsed", duration(seconds), "from the first start to the report"))
    asked = f"{prompts['prompts_known']:,} more from the store" if prompts.get("prompts_known") else "none known before"
    found.append(("prompts asked", f"{done['prompts']:,}", asked))
    if done["prompts_per_s"]:
        tokens = (done["prompt_tokens"] + done["completion_tokens"]) / done["answering_seconds"]
        work = ", ".join(counted(done[f"{word}s"], word) for word in ("replica", "start", "death"))
        found.append(("answering", duration(done["answering_seconds"]), work))
        figure, unit = rate(done["prompts_per_s"]).split(" ")
        found.append((unit, figure, f"{tokens:,.0f} tokens/s while answering"))
        found.append(("prefix cache", f"{done['prefix_hit_rate']:.0%}", "of prompt tokens"))
    return [*found, *_cost(report)]


def elapsed_s(report: Mapping[str, Any]) -> float | None:
    """Seconds from the run's first start to its report; None where a version before did not say when it began."""
    begun = (report.get("publication") or {}).get("opened_at") or report.get("opened_at")
    if not begun:
        return None
    return max(0.0, timegm(time.strptime(report["written_at"], "%Y-%m-%dT%H:%M:%SZ")) - float(begun))


def period(report: Mapping[str, Any]) -> str:
    """When the run was at work, such as `2026-11-30 04:10 to 04:11 UTC`."""
    end, seconds = report["written_at"], elapsed_s(report)
    if seconds is None:
        return f"{end[:10]} {end[11:16]} UTC"
    begun = time.strftime("%Y-%m-%d %H:%M", time.gmtime(timegm(time.strptime(end, "%Y-%m-%dT%H:%M:%SZ")) - seconds))
    same_day = begun[:10] == end[:10]
    return f"{begun} to {end[11:16] if same_day else end[:10] + ' ' + end[11:16]} UTC"


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "–"


def _cost(report: Mapping[str, Any]) -> list[Tile]:
    """What was paid: money where a price is known, else GPU hours; nothing where no GPU was used."""
    hours = report["completions"].get("gpu_hours", 0)
    money = ((report.get("plan") or {}).get("money") or {}).get("actual")
    if money is not None and hours:
        return [("cost", f"{money:,.2f}", f"{hours:,.3g} GPU hours at the given price")]
    if hours and report.get("gpus") != 0:
        return [("GPU hours", f"{hours:,.3g}", "no price is given (plan.price_per_gpu_hour)")]
    return []


def outcome_rows(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Per type: mentions, and counts by outcome in the order of the whole run."""
    annotations = report["annotations"]
    if annotations is None:
        return []
    names = sorted(annotations["outcomes"], key=lambda name: (name not in _GOOD, name))
    return [
        {
            "label": label,
            "mentions": annotations["mentions"].get(label, 0),
            "counts": [(name, counts.get(name, 0)) for name in names],
        }
        for label, counts in annotations["by_type"].items()
    ]


def plan_rows(report: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    """(what, planned, actual, actual as a part of the planned); no cost where no GPU was used and no price is given."""
    names = {"prompts": "prompts to ask", "prompt_tokens": "prompt tokens", "gpu_hours": "GPU hours", "money": "money"}
    rows, plan = [], report.get("plan") or {}
    free = report.get("gpus") == 0 and (plan.get("money") or {}).get("actual") is None
    for key, values in plan.items():
        planned, actual = values["planned"], values["actual"]
        if free and key in ("gpu_hours", "money"):
            continue
        expected = planned["expected"] if isinstance(planned, Mapping) else planned
        ratio = f"{actual / expected:.0%}" if expected and actual is not None else "–"
        rows.append((names.get(key, key), _interval(planned), _figure(actual), ratio))
    return rows


def _interval(value: Any) -> str:
    if not isinstance(value, Mapping):
        return _figure(value)
    expected, low, high = (_figure(value[name]) for name in ("expected", "low", "high"))
    return expected if low == high else f"{expected} ({low} to {high})"


def _figure(value: float | None) -> str:
    if value is None:
        return "not known"
    return f"{value:,.0f}" if float(value).is_integer() or abs(value) >= 1000 else f"{value:,.3g}"
