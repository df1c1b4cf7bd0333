"""JSON lines as `uniner-dist export --format jsonl` writes them: one document a line, answers by type.

The content of such a file enters, documents leave. Questions without an answer (`outcome` is a failure) are no gold and
are left out, unless somebody has put mentions there and removed the outcome. Nor are mentions that the model named and
that stand nowhere in the text (`match` is absent).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from uniner_dist.core.outcomes import Outcome
from uniner_dist.errors import ConfigError
from uniner_dist.formats.gold_document import GoldDocument


def read_jsonl(content: str, stem: str, path: str = "") -> list[GoldDocument]:
    """Documents of one file.

    Each line has `doc_id`, `text`, and `annotations`: a list of `entity_type`, `entities` and possibly `outcome`.
    Entities have `text`, `start` and `end`, null where the mention has no place.

    Raises:
        ConfigError: a line is not of this form, or a mention does not stand where it says.
    """
    documents: list[GoldDocument] = []
    for number, line in enumerate(content.split("\n"), 1):
        if line.strip():
            try:
                documents.append(_document(json.loads(line)))
            except (KeyError, TypeError, ValueError, RecursionError) as error:
                raise ConfigError(f"gold {path}, line {number}: is not of our form: {error!r}") from error
    return documents


def _document(row: Mapping[str, Any]) -> GoldDocument:
    document = GoldDocument(str(row["doc_id"]), row["text"], says_types=True)
    for answer in row["annotations"]:
        if not Outcome(answer.get("outcome") or Outcome.NONE).is_failure:
            entities = (entity for entity in answer["entities"] if entity.get("match") != "absent")
            document.answers[answer["entity_type"]] = [_entity(row["text"], entity) for entity in entities]
    return document


def _entity(text: str, entity: Mapping[str, Any]) -> dict[str, Any]:
    start, end = entity.get("start"), entity.get("end")
    if start is not None and text[start:end] != entity["text"]:
        raise ValueError(f"offsets {start} to {end} are {text[start:end]!r}, not {entity['text']!r}")
    return {"text": entity["text"], "start": start, "end": end}
