"""Base of the readers of JSON rows: a row with its location, its id, and claims about its text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from uniner_dist.formats import shapes
from uniner_dist.formats.coordinates import Claim, place_claims
from uniner_dist.formats.gold_document import GoldDocument, ReadingNotes

_IDS: Final = ("doc_id", "id")


@dataclass(frozen=True)
class JsonRow:
    """One object.

    Args:
        values: its parsed content.
        where: file and line, for messages.
        default_id: its id if it has none itself.
        tag_names: names of the numbers in `ner_tags`, where a file of the dataset has them; else None.
    """

    values: Mapping[str, Any]
    where: str
    default_id: str
    tag_names: Sequence[str] | None = None

    @property
    def doc_id(self) -> str:
        """The id in the row or in its `meta`, under `doc_id` or `id`; else `default_id`."""
        meta = self.values.get("meta")
        for place in (self.values, meta if isinstance(meta, Mapping) else {}):
            for name in _IDS:
                if place.get(name) is not None:
                    shapes.name(place[name], name)
                    return str(place[name])
        return self.default_id

    def claim(self, start: Any, end: Any, said: Any = None) -> Claim:
        """Return a mention as the row has it, to be checked by `document`.

        Args:
            start: parsed offset of the first unit.
            end: parsed offset one past the last unit.
            said: parsed text of the mention; anything but a string is as no text.

        Raises:
            ValueError: an offset is not a whole number.
        """
        shapes.whole(start, "start")
        shapes.whole(end, "end")
        return Claim(int(start), int(end), said if isinstance(said, str) else None, self.where)

    def document(self, text: str, labelled: Sequence[tuple[str, Claim]], notes: ReadingNotes) -> GoldDocument:
        """Return a document with these mentions, each compared with the text; equal ones are added once.

        Args:
            text: parsed text of the document, to which the offsets refer.
            labelled: (entity type, mention) of each mention.
            notes: receives how offsets were read.

        Raises:
            ConfigError: a mention is not at its offsets.
            ValueError: the text or an entity type is not a string.
        """
        shapes.text(text, "text")
        document = GoldDocument(self.doc_id, text)
        entities = place_claims(text, [claim for _, claim in labelled], notes)
        for (label, _), entity in zip(labelled, entities, strict=True):
            shapes.text(label, "label")
            if entity not in document.answers.setdefault(label, []):
                document.answers[label].append(entity)
        return document
