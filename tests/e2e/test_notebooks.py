"""Notebooks as files, and one of them in a kernel; the others run by `make test-notebooks`."""

from __future__ import annotations

import ast
import re
import socket
import tempfile
from pathlib import Path

import psutil
import pytest

import uniner_dist as ud
from tests.support.running_notebooks import FOLDER, html_of, read_notebook, run_notebook

NAMES = sorted(path.stem for path in FOLDER.glob("*.ipynb"))


#: Where this machine would show itself.
_PLACES = (str(FOLDER.parent), str(Path.home()), tempfile.gettempdir(), socket.gethostname(), "/home/", "/Users/")
_HERE = re.compile("|".join(map(re.escape, _PLACES)) + r"|site-packages|127\.0\.0\.1|\b\d{4}-\d\d-\d\dT(?!00:00:00Z)")
#: The modules of the package that a notebook may import, and from.
_PUBLIC = {"uniner_dist", "uniner_dist.demo"}


@pytest.mark.parametrize("name", NAMES)
def test_the_notebook_uses_what_is_public_and_the_readme_names_it(name: str) -> None:
    code = [cell for cell in read_notebook(name).cells if cell.cell_type == "code"]
    assert code
    for cell in code:
        lines = [line for line in cell.source.splitlines() if not line.startswith(("!", "%"))]
        for node in ast.walk(ast.parse("\n".join(lines))):
            if isinstance(node, ast.Import):
                assert {alias.name for alias in node.names if alias.name.startswith("uniner_dist")} <= _PUBLIC
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("uniner_dist"):
                assert node.module == "uniner_dist.demo" or (
                    node.module == "uniner_dist" and {alias.name for alias in node.names} <= {"demo", *ud.__all__}
                )
    assert f"(notebooks/{name}.ipynb)" in (FOLDER.parent / "README.md").read_text()


@pytest.mark.parametrize("name", NAMES)
def test_the_notebook_shows_outputs_that_tell_nothing_of_a_machine(name: str) -> None:
    outputs = [output for cell in read_notebook(name).cells for output in cell.get("outputs", [])]
    assert len(outputs) >= 2
    shown = "".join(str(output.get("text") or output.get("data") or output) for output in outputs)
    assert not _HERE.search(shown), _HERE.search(shown)
    assert not [output for output in outputs if output.output_type == "error"]


@pytest.mark.slow
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
