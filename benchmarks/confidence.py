"""Does confidence rank right above wrong? Both corpora annotated with scores; a table and two pictures come out.

    .venv/bin/python benchmarks/confidence.py --crossner DIR

`DIR` holds `corpus/` and `gold/`, one folder `domain=…` per dataset. The table replaces the one in `confidence.md`,
the pictures stand beside it. What was annotated before is not annotated again (`--work`).
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from uniner_dist import demo
from uniner_dist.config.loading import load_config
from uniner_dist.evaluation import evaluate, plot_scores
from uniner_dist.evaluation.benchmark import find_datasets, run_benchmark
from uniner_dist.pipeline.stages import annotate

HERE = Path(__file__).parent
KINDS = {"mentions": "mentions", "none": 'answers "none"'}
#: Of so few answers the share that is right says nothing.
LEAST_COVERAGE = 0.01
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00")


def main(arguments: Sequence[str] | None = None) -> None:
    """Annotate, evaluate, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--crossner", required=True, help="folder with corpus/ and gold/")
    parser.add_argument("--work", default="confidence-work", help="folder for the annotations")
    parser.add_argument("--model", default="demo", help="as for annotate")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="as for annotate")
    parser.add_argument("--output", default=str(HERE), help="folder of confidence.md and the pictures")
    given = parser.parse_args(arguments)
    overrides = [*given.set, "run.scores=true", f"model.name={given.model}"]

    sample = score_sample(f"{given.work}/sample", overrides)
    crossner = score_crossner(given.crossner, f"{given.work}/crossner", overrides)
    output = Path(given.output)
    plot_scores(sample, str(output / "confidence-sample.png"))
    draw(crossner).savefig(output / "confidence-crossner.png", dpi=150)
    rows = {"sample corpus": sample}
    rows |= {f"CrossNER {name}, {which} types": one for which, group in crossner.items() for name, one in group.items()}
    put_table(output / "confidence.md", table(rows))


def score_sample(output: str, overrides: Sequence[str]) -> dict[str, Any]:
    """Scores of the sample corpus against its gold."""
    options = {"corpus.path": demo.corpus_path(), "output.path": output, "types": demo.entity_types()}
    annotate(load_config(None, overrides, options), say)
    return evaluate(output, demo.gold_path())


def score_crossner(data: str, output: str, overrides: Sequence[str]) -> dict[str, dict[str, dict[str, Any]]]:
    """Scores per dataset: of all its types, and of those among them that the demonstration model was trained on."""
    run_benchmark(data, output, overrides=overrides, say=say, annotate=annotate)
    scores: dict[str, dict[str, dict[str, Any]]] = {"all": {}, "known": {}}
    for dataset in find_datasets(data, output):
        annotations = f"{output}/{dataset.name}/annotations"
        known = [name for name in dataset.types if name in demo.entity_types()]
        scores["all"][dataset.name] = evaluate(annotations, dataset.gold)
        scores["known"][dataset.name] = evaluate(annotations, dataset.gold, types=known)
    return scores


def table(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """A Markdown table, one line per evaluation."""
    head = ["data", "F1"]
    for kind in KINDS.values():
        head += [kind, "right", "AUC", "AUC within types"]
    lines = [head, ["---"] * len(head)]
    for name, scores in rows.items():
        cells = [name, f"{scores['official']['f1']:.2f}"]
        for kind in KINDS:
            one = scores["confidence"][kind]
            cells += [
                f"{one['n']:,}",
                f"{one['right']:.2f}",
                *(figure(one[auc]) for auc in ("auc", "auc_within_types")),
            ]
        lines.append(cells)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def figure(auc: float | None) -> str:
    """An AUC; there is none where all answers are right or all are wrong."""
    return "–" if auc is None else f"{auc:.3f}"


def put_table(page: Path, text: str) -> None:
    """Replace the table between the page's two comments."""
    old = page.read_text(encoding="utf-8")
    new, count = re.subn(
        r"(<!-- table -->\n).*?(<!-- end -->)", lambda m: f"{m[1]}{text}\n{m[2]}", old, flags=re.DOTALL
    )
    if count != 1:
        raise SystemExit(f"{page}: no <!-- table --> … <!-- end -->")
    page.write_text(new, encoding="utf-8")
    print(text)


def draw(scores: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Figure:
    """Share that is right over share kept, surest first: a row per choice of types, a column per kind of answer."""
    picture = Figure(figsize=(12, 4 * len(scores)), layout="constrained")
    panels = picture.subplots(len(scores), len(KINDS), squeeze=False)
    for row, (which, group) in zip(panels, scores.items(), strict=True):
        for axes, (kind, words) in zip(row, KINDS.items(), strict=True):
            for colour, (name, one) in zip(COLOURS, group.items(), strict=False):
                summary = one["confidence"][kind]
                points = [point for point in summary["curve"] if point["coverage"] >= LEAST_COVERAGE]
                aucs = f"AUC {figure(summary['auc'])}, within types {figure(summary['auc_within_types'])}"
                label = f"{name} ({summary['n']:,}): {aucs}"
                axes.plot([p["coverage"] for p in points], [p["precision"] for p in points], color=colour, label=label)
                axes.axhline(summary["right"], color=colour, linewidth=0.8, linestyle=":")
            axes.set_title(f"CrossNER, {which} types: {words}", loc="left")
            axes.set_xlabel("share kept, surest first")
            axes.set_ylabel("share of the kept that is right")
            axes.set_xlim(0, 1.02)
            axes.grid(alpha=0.3)
            axes.spines[["top", "right"]].set_visible(False)
            axes.legend(loc="best", framealpha=0.8, edgecolor="none", fontsize="small")
    return picture


def say(line: str) -> None:
    """News go to stderr."""
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
