"""The main job with the real engine, once through each entry point: the demo command and spark-submit."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow.parquet as pq
import pytest

from tests.e2e.conftest import BIN, ROOT, read_rows, run, uniner_dist
from uniner_dist import demo
from uniner_dist.evaluation import evaluate

pytestmark = [pytest.mark.e2e, pytest.mark.vllm]


@pytest.fixture(scope="module")
def demo_output(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The demo's output folder and what it printed."""
    output = tmp_path_factory.mktemp("demo") / "out"
    return output, run(uniner_dist("demo", "--output", str(output)))


def test_the_demo_annotates_every_usable_document_with_every_type(demo_output: tuple[Path, str]) -> None:
    output, printed = demo_output
    rows = read_rows(output)
    corpus = pq.read_table(demo.corpus_path()).to_pylist()
    texts: dict[str, list[str]] = {}
    for row in corpus:
        if row["doc_id"] and row["text"] and row["text"].strip():
            texts.setdefault(row["doc_id"], []).append(row["text"])  # one id stands three times
    assert set(rows) == {(doc_id, kind) for doc_id in texts for kind in demo.entity_types()}
    for (doc_id, _), row in rows.items():
        for entity in row["entities"]:
            if entity["match"] != "absent":
                pieces = [text[entity["start"] : entity["end"]] for text in texts[doc_id]]
                assert entity["text"] in pieces
    for words in ("Annotations by type and outcome", "prompts/s", str(output), "--corpus PATH"):
        assert words in printed


def test_the_demo_finds_about_what_the_readme_says(demo_output: tuple[Path, str]) -> None:
    """Loose on purpose: README and model card state the figures, this guards against a broken path."""
    scores = evaluate(str(demo_output[0]), demo.gold_path())
    assert scores["strict"]["precision"] > 0.6
    assert scores["strict"]["recall"] > 0.3


def test_the_output_reads_in_pandas_and_duckdb(demo_output: tuple[Path, str]) -> None:
    output, _ = demo_output
    expected = Counter(row["outcome"] for row in read_rows(output).values())
    assert Counter(pd.read_parquet(output)["outcome"]) == expected
    query = f"select outcome, count(*) from read_parquet('{output}/**/*.parquet', hive_partitioning=true) group by 1"
    assert dict(duckdb.sql(query).fetchall()) == expected


#: Finds a finished run, and says which of the large libraries that took.
_AGAIN = """
import sys
from uniner_dist.pipeline.stages import annotate
from uniner_dist.run.run import load_run
annotate(load_run(sys.argv[1], "latest").config)
large = ("pandas", "pyspark", "ray", "torch", "vllm", "deltalake", "pyiceberg", "sklearn")
print([name for name in large if name in sys.modules])
"""


def test_a_finished_run_is_known_without_any_large_library(demo_output: tuple[Path, str]) -> None:
    printed = run([sys.executable, "-c", _AGAIN, f"{demo_output[0]}.work"])
    assert "nothing to do" in printed
    assert printed.splitlines()[-1] == "[]"


@pytest.mark.slow
def test_the_notebook_runs_from_top_to_bottom(demo_output: tuple[Path, str], tmp_path: Path) -> None:
    """Its cells, in order, over the demo's output, which is the same run and therefore finished."""
    notebook = json.loads((ROOT / "notebooks/1_first_annotation.ipynb").read_text())
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    script = tmp_path / "notebook.py"
    script.write_text("\n".join(cells).replace("demo-output", str(demo_output[0])))
    printed = run([sys.executable, str(script)])
    assert "is finished" in printed
    assert "Some annotated documents" in printed


def test_rejects_are_accounted_for(demo_output: tuple[Path, str]) -> None:
    [path] = Path(f"{demo_output[0]}.work/runs").glob("*/report.json")
    prompts = json.loads(path.read_text())["prompts"]
    rejects = pq.read_table(path.parent / "rejects").to_pylist()
    assert Counter(row["reason"] for row in rejects) == prompts["rejects"]
    assert prompts["documents"] + len(rejects) == prompts["rows"] == pq.read_table(demo.corpus_path()).num_rows


def test_spark_submit_gives_the_same_rows(demo_output: tuple[Path, str], tmp_path: Path) -> None:
    command = [
        str(BIN / "spark-submit"),
        "--master",
        "local[2]",
        "--driver-java-options",
        "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",  # half the time on few texts
        "--conf",
        f"spark.pyspark.python={sys.executable}",
        str(ROOT / "jobs/annotate.py"),
        "--corpus",
        demo.corpus_path() + "/domain=health",
        "--output",
        str(tmp_path / "out"),
        "--types",
        "person,disease",
        "--set",
        "pool.replicas=1",
    ]
    run(command)
    submitted = read_rows(tmp_path / "out")
    expected = {key: row for key, row in read_rows(demo_output[0]).items() if key in submitted}
    assert submitted == expected
    assert {row["domain"] for row in submitted.values()} == {"health"}
    assert len(submitted) > 50
