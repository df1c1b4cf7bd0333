"""The public interface of Python: its names, what they take, and the data that it writes for the job."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

import uniner_dist as ud
from tests.support.finished_run import finished_run
from uniner_dist.notebook.saved_corpus import save_corpus
from uniner_dist.reporting.plan import make_plan
from uniner_dist.reporting.report import build_report
from uniner_dist.storage.control_files import AnnotationsSummary, Publication

NOTES = pd.DataFrame({"note": ["a", "b"], "body": ["Anna lives in Rome.", "Nothing."], "lang": ["en", "en"]})


def test_every_public_name_is_there_and_documented() -> None:
    pages = Path(__file__).parents[2] / "docs" / "api"
    told = "\n".join(page.read_text() for page in pages.glob("*.md"))
    for name in ud.__all__:
        value = getattr(ud, name)
        if name == "__version__":
            continue
        assert inspect.getdoc(value), name
        where = getattr(value, "__module__", None) or value.__name__.rpartition(".")[0]
        assert f"::: {where}.{name}" in told or f"::: {where}\n" in told, f"{name} is not in docs/api"


def test_annotate_and_plan_take_the_same_arguments() -> None:
    assert list(inspect.signature(ud.annotate).parameters) == list(inspect.signature(ud.plan).parameters)


def test_the_same_data_is_the_same_corpus_and_other_data_replaces_it(tmp_path: Path) -> None:
    path, columns = save_corpus(NOTES, f"{tmp_path}/out.corpus", "note", "body", ("lang",))
    files = [file.name for file in Path(path).iterdir()]
    assert (columns.id_name, columns.text, len(files)) == ("note", "body", 1)
    assert pq.read_table(f"{path}/{files[0]}").to_pydict() == NOTES.to_dict("list")
    assert save_corpus(NOTES, f"{tmp_path}/out.corpus", "note", "body", ("lang",)) == (path, columns)
    assert [file.name for file in Path(path).iterdir()] == files
    save_corpus(NOTES.head(1), f"{tmp_path}/out.corpus", "note", "body", ())
    [other] = Path(path).iterdir()
    assert pq.read_table(other).to_pydict() == {"note": ["a"], "body": ["Anna lives in Rome."]}


def test_strings_become_a_corpus_of_numbered_rows(tmp_path: Path) -> None:
    path, columns = save_corpus(["x", None, "y"], f"{tmp_path}/out.corpus", None, None, ())
    [file] = Path(path).iterdir()
    assert pq.read_table(file).to_pydict() == {"doc_id": [0, 1, 2], "text": ["x", None, "y"]}
    assert (columns.id_name, columns.text) == ("doc_id", "text")


def test_wrong_data_and_a_foreign_folder_are_refused_and_kept(tmp_path: Path) -> None:
    output = f"{tmp_path}/out"
    with pytest.raises(ud.ConfigError, match=r"text_column: .*'bodi'.*'body'"):
        ud.annotate(NOTES, "person", output=output, id_column="note", text_column="bodi")
    with pytest.raises(ud.ConfigError, match="occurs more than once"):
        ud.plan(NOTES, ["person", "person"], output=output, id_column="note", text_column="body")
    with pytest.raises(ud.ConfigError, match="data: has no rows"):
        ud.annotate(NOTES.head(0), "person", output=output, id_column="note", text_column="body")
    assert not any(file.is_file() for file in tmp_path.rglob("*"))
    (tmp_path / "out.corpus").mkdir(exist_ok=True)
    (tmp_path / "out.corpus" / "mine.txt").write_text("mine")
    with pytest.raises(ud.ConfigError, match=re.escape(f"{output}.corpus is where the data would be written")):
        ud.annotate(NOTES, "person", output=output, id_column="note", text_column="body")
    assert [file.name for file in (tmp_path / "out.corpus").iterdir()] == ["mine.txt"]


def test_reports_and_plans_are_typed_and_shown_as_tables(tmp_path: Path) -> None:
    run = finished_run(tmp_path)
    annotations = AnnotationsSummary(rows=4, outcomes={"found": 2, "none": 2})
    report = ud.Report.of(build_report(run, annotations, Publication()))
    assert (report.run_id, report.output, report.page) == (run.id, f"{tmp_path}/out", f"{run.layout.root}/report.html")
    assert report.rows == sum(report.outcomes.values()) == report.documents == 4
    assert '<th scope="row">documents</th><td>4</td>' in report._repr_html_()
    plan = ud.Plan.of(make_plan(run))
    assert plan.prompts == plan.prompts_known + plan.prompts_to_ask == 3
    assert plan.prompt_tokens is not None
    assert plan.prompt_tokens.low <= plan.prompt_tokens.expected <= plan.prompt_tokens.high
    assert (plan.gpu_hours, plan.money) == (None, None)
    assert "<td>not known</td>" in plan._repr_html_()
