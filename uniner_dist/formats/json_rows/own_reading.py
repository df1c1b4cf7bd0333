"""JSON lines as `uniner-dist export --format jsonl` writes them: one document a line, answers by type.

Questions without an answer (`outcome` is a failure or `skipped`) are not gold and are left out, unless somebody has put
mentions there and removed the outcome. Mentions that the model named and that are nowhere in the text (`match` is
absent) are left out too.
"""

from __future__ import annotations

from uniner_dist.core.outcomes import Outcome
from uniner_dist.formats.coordinates import place_claims
from uniner_dist.formats.gold_document import GoldDocument, ReadingNotes
from uniner_dist.formats.json_rows.row import JsonRow
from uniner_dist.formats.shapes import fields, items, maybe, name, text, whole

_PLACE = {"start": maybe(whole), "end": maybe(whole), "match": maybe(text)}
#: The answer to one question.
ANSWER_SHAPE = fields(
    {"entity_type": text, "entities": items(fields({"text": text}, _PLACE))}, {"outcome": maybe(text)}
)
OWN_SHAPE = fields({"doc_id": name, "text": text, "annotations": items(ANSWER_SHAPE)})


def read_own(row: JsonRow, notes: ReadingNotes) -> GoldDocument:
    """Return the document of a row with `doc_id`, `text` and `annotations`.

    `annotations` is a list of `entity_type`, `entities` and possibly `outcome`. Entities have `text`, `start` and
    `end`, null where the mention has no offsets.

    Args:
        row: a row that fits `OWN_SHAPE`.
        notes: receives how many annotations were left out, and how offsets were read.

    Raises:
        ConfigError: a mention is not at its offsets.
        ValueError: an entity type occurs twice, or an outcome is unknown.
    """
    content = row.values["text"]
    document = GoldDocument(str(row.values["doc_id"]), content, says_types=True)
    places: list[tuple[str, int]] = []
    claims = []
    for answer in row.values["annotations"]:
        label = answer["entity_type"]
        if not Outcome(answer.get("outcome") or Outcome.NONE).is_answer:
            notes.count("annotations without an answer are not gold and are left out")
            continue
        if label in document.answers:
            raise ValueError(f"the entity type {label!r} occurs twice")
        found = document.answers[label] = []
        for entity in answer["entities"]:
            if entity.get("match") == "absent":
                continue
            if entity.get("start") is not None:
                claims.append(row.claim(entity["start"], entity.get("end"), entity["text"]))
                places.append((label, len(found)))
            found.append({"text": entity["text"], "start": None, "end": None})
    for (label, number), entity in zip(places, place_claims(content, claims, notes), strict=True):
        document.answers[label][number] = entity
    return document
