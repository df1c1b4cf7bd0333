"""One annotation as evaluation sees it, and what the authors' evaluator would have read in its place. Pure; no I/O."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from uniner_dist.core.outcomes import Outcome
from uniner_dist.core.scoring import normalize_mention, official_answer, official_mentions


@dataclass(frozen=True, slots=True)
class Row:
    """The columns of one annotation that matter here; see `schemas.ANNOTATION_FIELDS`.

    Args:
        group: value of the `by` column where the annotations have it and the gold has not.
    """

    doc_id: str
    entity_type: str
    entities: Sequence[Mapping[str, Any]] = ()
    outcome: str = Outcome.NONE.value
    raw_output: str | None = None
    score: float | None = None
    group: str | None = None

    @property
    def failed(self) -> bool:
        """Whether there is no whole answer."""
        return self.outcome not in (Outcome.FOUND.value, Outcome.NONE.value)

    @property
    def counted(self) -> Sequence[Mapping[str, Any]]:
        """The entities that count: none of a failed answer, because what it lists is known not to be the whole."""
        return () if self.failed else self.entities

    def official(self) -> list[str]:
        """The answer as the authors' evaluator reads the model's raw output: normalised, each mention once.

        The raw output is kept whenever it is not simply the list of the entities' texts. A document of several
        passages has no single output: the mentions located in it are its answer, and none if a passage failed.
        """
        if self.raw_output is not None and not is_passage_outputs(self.raw_output):
            return official_mentions(official_answer(self.raw_output))
        return list(dict.fromkeys(normalize_mention(entity["text"]) for entity in self.counted))


def is_passage_outputs(raw_output: str) -> bool:
    """Whether a raw output is the list of outputs of a document of several passages.

    A model that wrote this very form would have no official answer either, so nothing is lost by the ambiguity.
    """
    if not raw_output.startswith('[{"start": '):
        return False
    try:
        parts = json.loads(raw_output)
    except (ValueError, RecursionError):
        return False
    return all(isinstance(part, dict) and part.keys() == {"start", "output"} for part in parts)
