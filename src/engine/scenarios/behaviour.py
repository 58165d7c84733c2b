"""How a simulated user behaves, beside who it is: axes with levels, read from `_behaviour/axes.yaml`.

A behaviour is written as the ids of its levels, one of each axis at most, in the order of the axes and parted
by dots: `hurried.guarded.brief`. An axis that is left out says nothing to the simulator.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Self

import orjson
from pydantic import BaseModel, ConfigDict, Field, RootModel, ValidationError, model_validator

from engine.config.document import read_document
from engine.errors import BadInput, ConfigError
from engine.scenarios.task_file import VariableKey, Wording
from engine.scenarios.text_template import read_text
from engine.schema.job import LEVEL_PATTERN

FILE = Path("_behaviour", "axes.yaml")


class _Level(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Annotated[str, Field(pattern=f"^{LEVEL_PATTERN.pattern}$")]
    text: Wording


class _AxesFile(RootModel[dict[VariableKey, Annotated[tuple[_Level, ...], Field(min_length=1)]]]):
    @model_validator(mode="after")
    def _differ(self) -> Self:
        ids = [level.id for levels in self.root.values() for level in levels]
        if len(set(ids)) < len(ids):
            twice = next(level for level in ids if ids.count(level) > 1)
            raise ValueError(f"the level {twice!r} stands twice; a level's id tells its axis, too")
        return self


@dataclass(frozen=True, slots=True, eq=False)
class Behaviour:
    """The axes of a templates folder in one language: axis to the texts of its levels, by id."""

    axes: Mapping[str, Mapping[str, str]]
    source: str

    def levels_of(self, behaviour: str) -> dict[str, str]:
        """Axis to level, for each axis that `behaviour` names. Raises BadInput for what is no behaviour."""
        named = behaviour.split(".")
        found = {axis: level for axis, levels in self.axes.items() for level in levels if level in named}
        if list(found.values()) != named:
            known = "; ".join(f"{axis}: {', '.join(levels)}" for axis, levels in self.axes.items())
            raise BadInput(
                f"{behaviour!r} is no behaviour of {self.source}: name at most one level of each axis, in "
                f"this order and parted by dots: {known}."
            )
        return found

    def texts_of(self, behaviour: str) -> list[str]:
        """What the simulator is told."""
        return [self.axes[axis][level] for axis, level in self.levels_of(behaviour).items()]

    def encode(self) -> str:
        """The axes as they are kept and compared."""
        return orjson.dumps({axis: dict(levels) for axis, levels in self.axes.items()}).decode()


def read_behaviour(path: Path, language: str) -> Behaviour:
    """The axes of a file in one language. Raises BadInput naming file and place."""
    try:
        data = read_document(read_text(path), source=str(path)).data
        axes = _AxesFile.model_validate(data, context={"language": language}).root
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise BadInput(f"{path}: {where}: {first['msg'].removeprefix('Value error, ')}.") from error
    except ConfigError as error:
        raise BadInput(str(error)) from error
    return Behaviour(
        {axis: {each.id: each.text for each in levels} for axis, levels in axes.items()}, str(path)
    )


def decode_behaviour(text: str, source: str) -> Behaviour:
    """The reverse of `Behaviour.encode`; raises ValueError."""
    return Behaviour(orjson.loads(text), source)
