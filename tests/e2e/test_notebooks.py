"""Notebooks as files, and one of them in a kernel; the others run by `make test-notebooks`."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from tests.support.running_notebooks import FOLDER, html_of, read_notebook, run_notebook

NAMES = sorted(path.stem for path in FOLDER.glob("*.ipynb"))


@pytest.mark.parametrize("name", NAMES)
def test_outputs_are_stripped_and_the_readme_names_the_notebook(name: str) -> None:
    code = [cell for cell in read_notebook(name).cells if cell.cell_type == "code"]
    assert code
    assert not any(cell.outputs or cell.execution_count for cell in code)
    assert f"(notebooks/{name}.ipynb)" in (FOLDER.parent / "README.md").read_text()


@pytest.mark.e2e
@pytest.mark.vllm
def test_the_notebook_for_an_own_corpus_runs_and_leaves_nothing_behind(tmp_path: Path) -> None:
    before = {process.pid for process in psutil.process_iter()}
    notebook = run_notebook("2_own_corpus", tmp_path)
    html = html_of(notebook)
    assert html.count("<mark") > 4
    assert "did you mean text_column='body'?" in str(notebook.cells)
    left = [p for p in psutil.process_iter() if p.pid not in before and _is_ours(p, tmp_path)]
    _, alive = psutil.wait_procs(left, timeout=1200)
    assert [process.name() for process in alive] == []


def _is_ours(process: psutil.Process, folder: Path) -> bool:
    """Whether it was started by the notebook's kernel, whose working folder its family inherits."""
    try:
        return process.environ().get("PWD") == str(folder) or Path(process.cwd()) == folder
    except psutil.Error:
        return False
