"""Runs a notebook from top to bottom in a kernel of its own, as a reader would."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[2] / "notebooks"


def read_notebook(name: str) -> Any:
    """A notebook of the project, by its name without ending."""
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


def run_notebook(name: str, folder: Path) -> Any:
    """The notebook with its outputs, run in `folder`; a cell that raises fails the test with its traceback."""
    notebook = read_notebook(name)
    # On a busy machine a kernel takes its time, and an output that comes late must not be given up (the default: 4 s).
    patience: dict[str, Any] = {
        "timeout": 300,
        "startup_timeout": 300,
        "iopub_timeout": 120,
        "raise_on_iopub_timeout": True,
    }
    client = NotebookClient(notebook, kernel_name="python3", resources={"metadata": {"path": str(folder)}}, **patience)
    try:
        client.execute()
    except AssertionError as error:  # of the client itself, and without a word; that of a cell comes in another error
        raise RuntimeError("the notebook's kernel was ended, as when this process gets a signal to stop") from error
    return notebook


def html_of(notebook: Any) -> str:
    """All HTML that the cells have shown."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return "".join(output.get("data", {}).get("text/html", "") for output in outputs)
