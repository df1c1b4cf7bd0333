"""Base of the sections of the configuration."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict


class Section(BaseModel):
    """Base of every part of the tree: immutable, unknown keys rejected."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def split_names(value: Any) -> Any:
    """Split a comma-separated string into a list of names; other values are returned unchanged."""
    if isinstance(value, str):
        return [name.strip() for name in value.split(",") if name.strip()]
    return value


Names = Annotated[tuple[str, ...], BeforeValidator(split_names)]
