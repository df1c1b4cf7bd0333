"""Label Studio's JSON and JSON-MIN exports: tasks with the annotations that people made.

Returns documents with the corrected mentions. Predictions are no gold: a task without annotations is left out. Of
several annotations of one task the last one that was not cancelled counts. Regions of other kinds than labels of a text
(dialogue, pictures, HyperText without plain offsets) cannot be read, and are refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from uniner_dist.errors import ConfigError
from uniner_dist.formats.coordinates import Claim, place_claims
from uniner_dist.formats.gold_document import GoldDocument, ReadingNotes
from uniner_dist.formats.shapes import any_value, as_whole, fields, items, maybe, name, text, whole

#: Keys of a task's data that may name the document.
_IDS: Final = ("doc_id", "id")
_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S+|/data/\S+")
_ANNOTATION: Final = fields(
    {"result": items(fields({"type": text}, {"value": fields({}), "to_name": maybe(name)}))},
    {"was_cancelled": any_value},
)
_ANNOTATIONS: Final = maybe(items(_ANNOTATION))
_TASK: Final = fields(
    {"data": fields({}, {"doc_id": name, "id": name, "entity_types": items(text)})},
    {"id": maybe(name), "annotations": _ANNOTATIONS, "completions": _ANNOTATIONS},
)
_BORDERS: Final = {"start": whole, "end": whole}
_LABELS: Final = {"labels": maybe(items(text)), "hypertextlabels": maybe(items(text)), "text": maybe(text)}
_VALUE: Final = fields(_BORDERS, _LABELS)
#: What JSON-MIN adds to the data of a task; in older exports without `created_at` and `updated_at`.
_MIN_KEYS: Final = frozenset({"annotation_id", "annotator", "lead_time"})
_DATES: Final = frozenset({"created_at", "updated_at"})
#: Types of results that hold no offsets.
_NO_REGIONS: Final = frozenset(
    {"choices", "relation", "textarea", "rating", "number", "taxonomy", "datetime", "ranker"}
)


def is_labelstudio(tasks: Any) -> bool:
    """Return whether a parsed JSON file is an export of Label Studio, full or JSON-MIN.

    Args:
        tasks: the parsed content of the file.
    """
    if not (isinstance(tasks, list) and tasks and isinstance(tasks[0], dict)):
        return False
    return "data" in tasks[0] or any(_is_min(task) for task in tasks if isinstance(task, dict))


def read_labelstudio(
    tasks: Sequence[Any], stem: str, path: str = "", notes: ReadingNotes | None = None
) -> list[GoldDocument]:
    """Return the documents of one file, one per annotated task.

    Ids are `doc_id` or `id` of the task's data, as an export of this project has them, else `STEM-` and the task's own
    id, or its number in the file from 0. A document has an answer for every type in the data's `entity_types`, which
    such an export has too, and for those that were marked.

    Args:
        tasks: the tasks of the parsed file.
        stem: prefix of the ids of documents that have none, the file's name without ending.
        path: path or URL of the file, for error messages.
        notes: receives what was left out, and how offsets were read; None: nothing is noted.

    Raises:
        ConfigError: no such export, no task was annotated, regions of another kind, texts by URL, or offsets that do
            not fit the text.
    """
    notes = notes or ReadingNotes()
    documents: list[GoldDocument] = []
    for number, task in enumerate(tasks):
        given = task.get("id") if isinstance(task, dict) else None
        task_id = number if given is None else given
        where = f"{path}: task {task_id}"
        try:
            task = _from_min(task) if _is_min(task) else task
            _TASK(task, "")
            document = _document(task, f"{stem}-{task_id}", where, notes)
        except ConfigError:
            raise
        except ValueError as error:
            raise ConfigError(f"gold {where}: is not of Label Studio's form: {error}") from error
        if document is not None:
            documents.append(document)
    if not documents:
        raise ConfigError(
            f"gold {path}: no task of this Label Studio file was annotated; export the project as JSON after correcting"
        )
    if all(_URL.fullmatch(document.text.strip()) for document in documents):
        raise ConfigError(f"gold {path}: the tasks have URLs in place of their texts; import the texts themselves")
    return documents


def _is_min(task: Any) -> bool:
    """Whether a task is one of JSON-MIN, which has its data and its regions in one object."""
    if not isinstance(task, dict) or "data" in task:
        return False
    if task.keys() >= _MIN_KEYS:
        return True  # with or without regions
    regions = (one for value in task.values() if isinstance(value, list) for one in value)
    return any(isinstance(one, dict) and "labels" in one and "start" in one for one in regions)


def _from_min(task: Mapping[str, object]) -> dict[str, object]:
    """Convert a task of JSON-MIN to one of the full export."""
    result = [
        {"type": "labels", "value": region}
        for value in task.values()
        if isinstance(value, list)
        for region in value
        if isinstance(region, dict) and "start" in region
    ]
    own = _MIN_KEYS | _DATES
    data = {
        key: value
        for key, value in task.items()
        if key in ("doc_id", "entity_types") or (isinstance(value, str) and key not in own)
    }
    annotated = task.get("annotation_id", 0) is not None
    return {"id": task.get("id"), "data": data, "annotations": [{"result": result}] if annotated else []}


def _document(task: Mapping[str, Any], default_id: str, where: str, notes: ReadingNotes) -> GoldDocument | None:
    annotations = task.get("annotations", task.get("completions")) or ()
    valid = [annotation for annotation in annotations if not annotation.get("was_cancelled")]
    if not valid:
        notes.count("tasks that nobody annotated are left out")
        return None
    if len(valid) > 1:
        notes.count("tasks have several annotations; the last counts")
    data = task["data"]
    doc_id = next((str(data[key]) for key in _IDS if key in data), default_id)
    regions = _regions(valid[-1]["result"], where, notes)
    labelled = [(label, region.claim) for region in regions for label in region.labels]
    text, entities = _placed(data, [claim for _, claim in labelled], where, notes)
    document = GoldDocument(doc_id, text, {name: [] for name in data.get("entity_types", ())}, "entity_types" in data)
    for (label, _), entity in zip(labelled, entities, strict=True):
        document.answers.setdefault(label, []).append(entity)
    return document


@dataclass(frozen=True)
class _Region:
    """A marked piece of the text that `to_name` names; an annotation may have several texts."""

    claim: Claim
    labels: tuple[str, ...]
    to_name: object


def _regions(result: Sequence[Mapping[str, object]], where: str, notes: ReadingNotes) -> list[_Region]:
    """The regions of a text; those of another kind are refused, results that are no regions are counted.

    A HyperText region counts if it has plain offsets: those into an HTML page's elements cannot be read.
    """
    regions = []
    for number, one in enumerate(result):
        kind, value = str(one.get("type")), one.get("value")
        value = value if isinstance(value, Mapping) else {}
        if kind in _NO_REGIONS:
            notes.count(f"results of type {kind} are not mentions and are left out")
        elif kind == "labels" or (kind == "hypertextlabels" and isinstance(value.get("start"), int)):
            _VALUE(value, f"result[{number}].value")
            regions.append(_Region(_claim(value, where), _labels(value), one.get("to_name")))
        else:
            raise ConfigError(f"gold {where}: regions of type {kind} cannot be read, only labels of a text")
    if len({region.to_name for region in regions}) > 1:
        raise ConfigError(f"gold {where}: has regions in several texts; export one text a task")
    return regions


def _labels(value: Mapping[str, object]) -> tuple[str, ...]:
    labels = value.get("labels") or value.get("hypertextlabels")
    if not isinstance(labels, list) or not labels:
        raise ValueError(f"the region at {value['start']} has no label")
    return tuple(map(str, labels))


def _claim(value: Mapping[str, object], where: str) -> Claim:
    said = value.get("text")
    return Claim(as_whole(value["start"]), as_whole(value["end"]), said if isinstance(said, str) else None, where)


def _placed(
    data: Mapping[str, object], claims: Sequence[Claim], where: str, notes: ReadingNotes
) -> tuple[str, list[dict[str, Any]]]:
    """The task's text, and its mentions in it: without `text` the only string, or the only one that fits all claims."""
    own = data.get("text")
    if isinstance(own, str):
        try:
            return own, place_claims(own, claims, notes)
        except ConfigError as error:
            if _URL.fullmatch(own.strip()):
                raise ConfigError(
                    f"gold {where}: has a URL in place of its text; import the texts themselves"
                ) from error
            raise
    texts = [value for key, value in data.items() if isinstance(value, str) and key not in _IDS]
    dialogue = any(isinstance(one, Mapping) for value in data.values() if isinstance(value, list) for one in value)
    if len(texts) == 1 and not dialogue:
        return texts[0], place_claims(texts[0], claims, notes)
    fitting = [text for text in texts if _fits(text, claims)] if claims else []
    if len(fitting) != 1:
        raise ConfigError(f"gold {where}: its data has no string under `text`, but {', '.join(data)}")
    return fitting[0], place_claims(fitting[0], claims, notes)


def _fits(text: str, claims: Sequence[Claim]) -> bool:
    try:
        place_claims(text, claims)
    except ConfigError:
        return False
    return any(claim.said is not None for claim in claims)
