"""`make demo`: the main job on the shipped corpus with the shipped model, and a look at what came out.

It is the same `annotate` that runs on a cluster; only the showing is extra.
"""

from __future__ import annotations

from collections.abc import Sequence

from uniner_dist import demo
from uniner_dist.config.loading import load_config
from uniner_dist.evaluation import evaluate, print_scores
from uniner_dist.pipeline.stages import Say, annotate
from uniner_dist.reporting.console import SafeConsole
from uniner_dist.reporting.terminal import print_report, print_samples
from uniner_dist.run.run import load_run

_OWN_CORPUS = """
Your own corpus (Parquet with an id column and a text column):

  .venv/bin/uniner-dist annotate --corpus PATH --output PATH --types person,location \\
      --id-column doc_id --text-column text

The demonstration model only shows the plumbing. With a GPU, install the extra `gpu` and add
  --config conf/cluster.yaml --set ray.address=local
for the real one, Universal-NER/UniNER-7B-all (weights: CC BY-NC 4.0).
"""


def run_demo(output: str, overrides: Sequence[str], say: Say) -> None:
    """Annotate the sample corpus into `output`, print report, samples, scores against the gold, and what to do next."""
    options = {
        "corpus.path": demo.corpus_path(),
        "output.path": output,
        "types": demo.entity_types(),
        "corpus.id_column": "doc_id",
        "corpus.text_column": "text",
    }
    config = load_config(None, overrides, options)
    report = annotate(config, say)
    run = load_run(config.workdir_path, report.run_id)
    console = SafeConsole()
    print_samples(run, console=console)
    print_report(report, console)
    print_scores(evaluate(run.config.output.path, demo.gold_path(), id_column="doc_id"), console)
    console.print(_OWN_CORPUS, highlight=False, markup=False, soft_wrap=True)
