"""What every section of the configuration has in common."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict


class Section(BaseModel):
    """Base of every part of the tree: immutable, unknown keys rejected."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def split_names(value: Any) -> Any:
    """A comma-separated string becomes a list of names; everything else stays."""
    if isinstance(value, str):
        return [name.strip() for name in value.split(",") if name.strip()]
    return value


Names = Annotated[tuple[str, ...], BeforeValidator(split_names)]
