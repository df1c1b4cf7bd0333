"""What the readers of foreign gold files return."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class GoldDocument:
    """One document of a foreign gold file.

    Args:
        doc_id: given by the file, or made of its name and the document's number.
        text: what the offsets count into.
        answers: entity type → mentions, as strings, or as mappings with `text`, `start` and `end` where the format
            says where they stand.
        says_types: whether the file says itself which types were asked of this document: then no others are.
    """

    doc_id: str
    text: str
    answers: dict[str, list[Any]] = field(default_factory=dict)
    says_types: bool = False
