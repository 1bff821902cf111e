"""What all settings share: read once, never changed, and whether a field changes the result."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

_SAME: dict[str, Any] = {"same_result": True}


class Settings(BaseModel):
    """A section of the settings: read once, never changed, no unknown names."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


def same_result(default: Any, **bounds: Any) -> Any:
    """A field that does not change the result of a run."""
    return Field(default=default, json_schema_extra=_SAME, **bounds)
