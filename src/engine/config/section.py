"""What holds for every section of a configuration, whatever it is about."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError


class Settings(BaseModel):
    """Base of every section: frozen, and an unknown key is an error."""

    # An infinity would not survive the JSON of a run's journal: it has none.
    model_config = ConfigDict(
        frozen=True, extra="forbid", protected_namespaces=(), allow_inf_nan=False, defer_build=True
    )

    @field_validator("*", mode="before")
    @classmethod
    def _is_no_boolean(cls, value: object, info: ValidationInfo) -> object:
        # `seed: yes` would count as 1, and `drop: 1` as true.
        annotation = str(cls.model_fields[info.field_name or ""].annotation)
        if "bool" in annotation and isinstance(value, int) and not isinstance(value, bool):
            raise PydanticCustomError("bool_type", "this is a number, and neither true nor false")
        if isinstance(value, bool) and re.search(r"\b(int|float)\b", annotation):
            raise PydanticCustomError("number_not_boolean", "this is true or false, and no number")
        return value

    @field_validator("*", mode="after")
    @classmethod
    def _fits_into_the_journal(cls, value: object) -> object:
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise ValueError("this number is too large: write a smaller one")
        return value


def _has_no_nul(path: Path) -> Path:
    if "\0" in str(path):
        raise ValueError("a path cannot hold the character NUL")
    return path


FilePath = Annotated[Path, AfterValidator(_has_no_nul)]
