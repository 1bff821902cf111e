"""What all settings share: read once, never changed, and whether a field changes the result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

_SAME: dict[str, Any] = {"same_result": True}


class Settings(BaseModel):
    """A section of the settings: read once, never changed, no unknown names."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    @model_validator(mode="before")
    @classmethod
    def _keep_defaults(cls, given: Any) -> Any:
        """A section that is given in part keeps its own default for the rest.

        Without this, a word that changes one setting of `train.slow` would give its other settings
        the defaults of any stage.
        """
        if not isinstance(given, Mapping):
            return given
        return {key: cls._over_default(key, value) for key, value in given.items()}

    @classmethod
    def _over_default(cls, key: str, value: Any) -> Any:
        field = cls.model_fields.get(key)
        default = None if field is None else field.default
        if not isinstance(value, Mapping) or not isinstance(default, BaseModel):
            return value
        return _laid_over(default.model_dump(), value)


def same_result(default: Any, **bounds: Any) -> Any:
    """A field that does not change the result of a run."""
    return Field(default=default, json_schema_extra=_SAME, **bounds)


def _laid_over(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Two trees, the second winning; the first names every section."""
    whole = dict(base)
    for key, value in over.items():
        inner = whole.get(key)
        if isinstance(inner, Mapping) and isinstance(value, Mapping):
            whole[key] = _laid_over(inner, value)
        else:
            whole[key] = value
    return whole
