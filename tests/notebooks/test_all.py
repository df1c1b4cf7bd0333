"""Every notebook runs from top to bottom and shows what is stored (`make test-notebooks`).

`make test` runs one of them. With UPDATE_NOTEBOOKS=1 the outputs are stored again, without times and places.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.running_notebooks import FOLDER, read_notebook, run_notebook, settle, shape_of, store_notebook

pytestmark = [pytest.mark.e2e, pytest.mark.vllm, pytest.mark.timeout(1800)]


@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.glob("*.ipynb")))
def test_the_notebook_runs_and_shows_what_is_stored(name: str, tmp_path: Path) -> None:
    notebook = settle(run_notebook(name, tmp_path), tmp_path)
    if os.environ.get("UPDATE_NOTEBOOKS"):
        store_notebook(name, notebook)
    assert shape_of(notebook) == shape_of(read_notebook(name))
