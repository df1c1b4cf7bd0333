"""Label Studio's JSON export: a list of tasks with the annotations that people made.

The content of such a file enters, documents with the corrected mentions leave. Predictions are no gold: a task that
nobody has annotated is left out. Of several annotations of one task the last that was not cancelled counts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from uniner_dist.errors import ConfigError
from uniner_dist.formats.gold_document import GoldDocument

#: Keys of a task's data that may name the document.
_IDS: Final = ("doc_id", "id")


def is_labelstudio(tasks: Any) -> bool:
    """Whether a parsed JSON file is such an export."""
    return isinstance(tasks, list) and bool(tasks) and isinstance(tasks[0], dict) and "data" in tasks[0]


def read_labelstudio(content: str, stem: str, path: str = "") -> list[GoldDocument]:
    """Documents of one file.

    Ids are `doc_id` or `id` of the task's data, as an export of ours has them, else `STEM-` and the task's own id. A
    document has an answer for every type that an export of ours says was asked, and for those that were marked.

    Raises:
        ConfigError: no such export, no task was annotated, or offsets that do not fit the text.
    """
    documents: list[GoldDocument] = []
    for number, task in enumerate(json.loads(content)):
        try:
            document = _document(task, f"{stem}-{task.get('id', number)}")
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ConfigError(f"gold {path}: task {number} is not of Label Studio's form: {error}") from error
        if document is not None:
            documents.append(document)
    if not documents:
        raise ConfigError(
            f"gold {path}: no task of this Label Studio file was annotated; export the project as JSON after correcting"
        )
    return documents


def _document(task: Mapping[str, Any], default_id: str) -> GoldDocument | None:
    valid = [annotation for annotation in task.get("annotations") or () if not annotation.get("was_cancelled")]
    if not valid:
        return None
    data = task["data"]
    doc_id = next((str(data[key]) for key in _IDS if key in data), default_id)
    regions = [region for region in valid[-1]["result"] if region.get("type") in ("labels", "hypertextlabels")]
    text = data.get("text") if isinstance(data.get("text"), str) else _only_text(data)
    document = GoldDocument(doc_id, text, {name: [] for name in data.get("entity_types", ())}, "entity_types" in data)
    for region in regions:
        entity = _entity(text, region["value"])
        for label in region["value"].get("labels") or region["value"]["hypertextlabels"]:
            document.answers.setdefault(label, []).append(entity)
    return document


def _only_text(data: Mapping[str, Any]) -> str:
    texts = [value for value in data.values() if isinstance(value, str)]
    if len(texts) != 1:
        raise ValueError(f"its data has no string under `text`, but {', '.join(data)}")
    return texts[0]


def _entity(text: str, value: Mapping[str, Any]) -> dict[str, Any]:
    """A region as an entity; offsets are code points, in files of versions before 1.4 UTF-16 units."""
    start, end, said = int(value["start"]), int(value["end"]), value.get("text")
    if said is not None and text[start:end] != said:
        start, end = (_from_utf16(text, offset) for offset in (start, end))
        if _folded(text[start:end]) != _folded(said):
            raise ValueError(f"offsets {value['start']} to {value['end']} are {text[start:end]!r}, not {said!r}")
    return {"text": text[start:end], "start": start, "end": end}


def _folded(text: str) -> Sequence[str]:
    """Browsers show white space as they like."""
    return text.split()


def _from_utf16(text: str, offset: int) -> int:
    """The code point at which a UTF-16 offset falls."""
    return len(text.encode("utf-16-le")[: 2 * offset].decode("utf-16-le", errors="ignore"))
