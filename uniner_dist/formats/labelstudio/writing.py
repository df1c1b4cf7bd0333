"""Label Studio: tasks to import, the annotations as predictions to correct, and the labelling interface for them.

Offsets are code points, as Label Studio stores them. Mentions may overlap. What predictions cannot hold (types without
an answer, mentions without offsets) is stored in the task's data. `uniner_dist.formats.labelstudio.reading` reads what
Label Studio exports as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from xml.sax.saxutils import quoteattr

from uniner_dist.formats.annotated_document import Document, Mention
from uniner_dist.formats.settings import ExportSettings

_FROM, _TO = "label", "text"


def files(documents: Sequence[Document], stem: str, settings: ExportSettings) -> Iterator[tuple[str, bytes]]:
    """Write all documents to one JSON list of tasks.

    Args:
        documents: documents of one part of the export.
        stem: name of the file without ending, unique in the export.
        settings: of the export; the predictions name its models.

    Yields:
        One pair of file name and content in UTF-8.
    """
    tasks = [_task(document, settings) for document in documents]
    yield f"{stem}.json", json.dumps(tasks, ensure_ascii=False, indent=1).encode()


def extras(settings: ExportSettings) -> Mapping[str, bytes]:
    """Return the labelling interface to paste into the settings of the project in Label Studio.

    Args:
        settings: of the export; its labels can be chosen in the interface.

    Returns:
        File name → content in UTF-8.
    """
    labels = "\n".join(f"    <Label value={quoteattr(label)}/>" for label in settings.labels)
    config = f'<View>\n  <Labels name="{_FROM}" toName="{_TO}">\n{labels}\n  </Labels>\n'
    return {"labelling_interface.xml": f'{config}  <Text name="{_TO}" value="$text"/>\n</View>\n'.encode()}


def _task(document: Document, settings: ExportSettings) -> dict[str, object]:
    data: dict[str, object] = {
        "doc_id": document.doc_id,
        "text": document.text,
        "entity_types": list(document.answered.types),
        "failures": dict(document.answered.failures),
        "absent": document.absent(),
    }
    result = [_region(number, mention) for number, mention in enumerate(document.mentions(), 1)]
    prediction = {"model_version": ", ".join(settings.models) or "unknown", "result": result}
    return {"data": {name: value for name, value in data.items() if value}, "predictions": [prediction]}


def _region(number: int, mention: Mention) -> dict[str, object]:
    place = {"start": mention.start, "end": mention.end, "text": mention.text, "labels": [mention.label]}
    region: dict[str, object] = {
        "id": f"m{number}",
        "from_name": _FROM,
        "to_name": _TO,
        "type": "labels",
        "value": place,
    }
    if mention.score is not None:
        region["score"] = mention.score
    if mention.match != "exact":
        region["meta"] = {"text": [f"match: {mention.match}"]}
    return region
