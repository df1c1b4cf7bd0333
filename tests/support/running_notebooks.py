"""Runs a notebook from top to bottom in a kernel of its own, as a reader would, and stores what it shows."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[2] / "notebooks"
#: What is different at every run, or tells of the machine → what is stored instead.
_OF_THE_MOMENT = (
    (re.compile(r"\x1b\[[0-9;?]*[A-Za-z]"), ""),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"), "2026-01-01T00:00:00Z"),
    (re.compile(r"\b(run|runs/)( ?)[0-9a-f]{12}\b"), r"\1\g<2>0123456789ab"),
    (re.compile(r"\b\d[\d,]*\.\d+ s\b"), "… s"),
    (re.compile(r"\b[\d,.]+ prompts/s"), "… prompts/s"),
    (re.compile(r"(GPU hours</th><td>)[^<]*"), r"\1…"),
    (re.compile(r"\A(Report|Plan)\(run_id=.*\)\Z", re.DOTALL), r"\1(…)"),
    (re.compile(r"0x[0-9a-f]{6,}"), "0x…"),
)


def read_notebook(name: str) -> Any:
    """A notebook of the project, by its name without ending."""
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


def run_notebook(name: str, folder: Path) -> Any:
    """The notebook with its outputs, run in `folder`; a cell that raises fails the test with its traceback."""
    notebook = read_notebook(name)
    # On a busy machine a kernel takes its time, and an output that comes late must not be given up (the default: 4 s).
    patience: dict[str, Any] = {
        "timeout": 1200,
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


def settle(notebook: Any, folder: Path) -> Any:
    """The notebook as it is stored: without what is different at every run, what tells of the machine, and noise."""
    places = {str(folder): "…", str(FOLDER.parent): "…", sys.prefix: "…", os.path.expanduser("~"): "~"}
    for number, cell in enumerate(cell for cell in notebook.cells if cell.cell_type == "code"):
        cell.execution_count, cell.metadata = number + 1, {}
        cell.outputs = _joined([output for output in cell.outputs if not _is_noise(output)])
        for output in cell.outputs:
            if "execution_count" in output:
                output.execution_count = number + 1
            if output.output_type == "stream":
                output.text = _settled(output.text, places)
            for kind, value in output.get("data", {}).items():
                output.data[kind] = _settled(value, places) if kind.startswith("text/") else value
    notebook.metadata.pop("widgets", None)
    return notebook


def _joined(outputs: list[Any]) -> list[Any]:
    """Pieces of one stream that follow each other, which depend on the moment, as one output."""
    joined: list[Any] = []
    for output in outputs:
        if joined and output.output_type == joined[-1].output_type == "stream" and output.name == joined[-1].name:
            joined[-1].text += output.text
        else:
            joined.append(output)
    return joined


def _is_noise(output: Any) -> bool:
    """Standard error, and progress that is drawn while a job works and tells of this machine's speed."""
    html = output.get("data", {}).get("text/html")
    return output.get("name") == "stderr" or html == "" or str(html).startswith("<pre style")


def _settled(text: str, places: dict[str, str]) -> str:
    for place, shown in places.items():
        text = text.replace(place, shown)
    for pattern, shown in _OF_THE_MOMENT:
        text = pattern.sub(shown, text)
    return text


def store_notebook(name: str, notebook: Any) -> None:
    """Write a notebook that was run and settled in place of what is stored."""
    (FOLDER / f"{name}.ipynb").write_text(nbformat.writes(notebook, indent=1, ensure_ascii=False).rstrip("\n") + "\n")


def shape_of(notebook: Any) -> list[list[str]]:
    """What each code cell shows: the kinds of its outputs, without pieces of one stream counted apart."""
    shown = []
    for cell in notebook.cells:
        if cell.cell_type == "code":
            kinds = ["/".join(sorted(output.get("data", {}))) or str(output.get("name")) for output in cell.outputs]
            shown.append(list(dict.fromkeys(kinds)))
    return shown


def html_of(notebook: Any) -> str:
    """All HTML that the cells have shown."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return "".join(output.get("data", {}).get("text/html", "") for output in outputs)
