"""Every notebook runs from top to bottom (`make test-notebooks`); `make test` runs the first two."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.running_notebooks import FOLDER, run_notebook

pytestmark = [pytest.mark.e2e, pytest.mark.vllm]


@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.glob("*.ipynb")))
def test_the_notebook_runs_and_shows_something(name: str, tmp_path: Path) -> None:
    notebook = run_notebook(name, tmp_path)
    shown = [output for cell in notebook.cells for output in cell.get("outputs", []) if output.output_type != "stream"]
    assert shown or name == "7_resume_after_breaking_it"
