"""Base of the sections of the configuration."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict


class Section(BaseModel):
    """Base of every part of the tree: immutable, unknown keys rejected."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def split_names(value: Any) -> Any:
    """Return the names in a comma-separated string, without empty ones; other values unchanged, for pydantic to check.

    Args:
        value: a string such as `"en,de"`, or anything else that a configuration may hold.
    """
    if isinstance(value, str):
        return [name.strip() for name in value.split(",") if name.strip()]
    return value


Names = Annotated[tuple[str, ...], BeforeValidator(split_names)]
