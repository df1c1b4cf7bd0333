"""What to look for: entity types, and the forms in which a person may name them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from uniner_dist.config.section import Section, split_names


class EntityType(Section):
    """What to look for: `ask` goes into the prompt, `label` into the annotations."""

    label: str = Field(min_length=1, description="name of the type in the annotations")
    ask: str = Field(min_length=1, description="word, phrase or whole definition the model is asked with")

    @classmethod
    def parse(cls, value: Any) -> Any:
        """`"person"`, `"PER=person"`, `{"PER": "person"}` or `{"label": …, "ask": …}`."""
        if isinstance(value, str):
            label, sign, ask = value.partition("=")
            return {"label": label.strip(), "ask": ask.strip() if sign else label.strip()}
        if isinstance(value, Mapping) and len(value) == 1 and not {"label", "ask"} & set(value):
            [(label, ask)] = value.items()
            return {"label": str(label), "ask": str(ask)}
        return value


def _parse_types(value: Any) -> Any:
    if isinstance(value, Mapping):
        value = [{label: ask} for label, ask in value.items()]
    value = split_names(value)
    return [EntityType.parse(item) for item in value] if isinstance(value, Sequence) else value


Types = Annotated[tuple[EntityType, ...], BeforeValidator(_parse_types)]
