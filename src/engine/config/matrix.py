"""Which models hold a run's conversations: one of each side, or the cells of a matrix.

A *variant* is one simulator or assistant with its settings; a *cell* is one of each. A run without a matrix
has one cell without a name, so that whoever works on conversations need not ask which kind of run it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from engine.config.model_settings import ModelSettings, StageName, VariantSettings
from engine.config.settings import RunConfig
from engine.errors import ConfigError
from engine.schema.conversation import Role

BETWEEN = "~"
MOST_CELLS = 256
_STAGES: dict[Role, StageName] = {Role.USER: "simulator", Role.ASSISTANT: "assistant"}


@dataclass(frozen=True, slots=True)
class Variant:
    """Who plays a side, and how. `prompt` names a text that an assistant is told in place of the usual one.

    `entry` is the name under `matrix` that it comes from, without its temperature.
    """

    role: Role
    name: str
    settings: ModelSettings
    prompt: str | None = None
    entry: str = ""

    @property
    def stage(self) -> StageName:
        """The stage that it stands for."""
        return _STAGES[self.role]

    @property
    def key(self) -> str:
        """What it is called in the journal: its side, in a matrix with its name (`user@small`)."""
        return f"{self.role.value}@{self.name}" if self.name else self.role.value

    @property
    def title(self) -> str:
        """What it is called before people: its stage, in a matrix with its name."""
        return f"{self.stage} {self.name}" if self.name else self.stage

    @property
    def place(self) -> str:
        """Where its keys stand in the configuration."""
        return f"matrix.{self.stage}s.{self.entry}" if self.entry else f"stages.{self.stage}"


@dataclass(frozen=True, slots=True)
class Cell:
    """Who holds the conversations of one cell; `name` is empty in a run without a matrix."""

    name: str
    simulator: Variant
    assistant: Variant

    @property
    def sides(self) -> dict[Role, Variant]:
        """Both by their side."""
        return {Role.USER: self.simulator, Role.ASSISTANT: self.assistant}


def cells_of(config: RunConfig) -> dict[str, Cell]:
    """The cells by name, in the configuration's order. Raises ConfigError where a side has no model."""
    sides = [_variants(config, role) for role in (Role.USER, Role.ASSISTANT)]
    cells = {}
    for simulator in sides[0]:
        for assistant in sides[1]:
            name = BETWEEN.join(each.name for each in (simulator, assistant) if each.name)
            cells[name] = Cell(name, simulator, assistant)
    if len(cells) > MOST_CELLS:
        raise ConfigError(f"`matrix` has {len(cells)} cells; {MOST_CELLS} are the most: make several runs.")
    return cells


def variants_of(config: RunConfig) -> Iterator[Variant]:
    """Every variant of both sides that has a model, the simulators first."""
    for role, stage in _STAGES.items():
        if stage in config.stages or _entries(config, role):
            yield from _variants(config, role)


def cell_names(config: RunConfig) -> tuple[str, ...]:
    """The names of the cells of a matrix; none of a run without one."""
    return () if config.matrix is None else tuple(cells_of(config))


def config_of_cell(config: RunConfig, cell: Cell) -> RunConfig:
    """The configuration of a run with this cell's models alone; the text of a prompt of its own apart."""
    sides: dict[StageName, ModelSettings] = {each.stage: each.settings for each in cell.sides.values()}
    return config.model_copy(update={"stages": {**config.stages, **sides}, "matrix": None})


def _entries(config: RunConfig, role: Role) -> dict[str, VariantSettings]:
    if config.matrix is None:
        return {}
    return config.matrix.simulators if role is Role.USER else config.matrix.assistants


def _variants(config: RunConfig, role: Role) -> list[Variant]:
    stage = _STAGES[role]
    own = config.stages.get(stage)
    entries = _entries(config, role)
    if not entries:
        if own is None:
            raise ConfigError(
                f"the configuration names no model for the {stage}: set stages.{stage}.model, or give "
                f"--{stage} MODEL."
            )
        return [Variant(role, "", own)]
    found = []
    for name, entry in entries.items():
        try:
            settings = entry.over(own)
        except ValueError:
            raise ConfigError(
                f"`matrix.{stage}s.{name}` names no model, and there is none to take over: set its model, or "
                f"stages.{stage}.model."
            ) from None
        warm = [settings.model_copy(update={"temperature": each}) for each in entry.temperatures]
        found += [
            Variant(role, f"{name}-t{each.temperature:g}", each, entry.prompt, name) for each in warm
        ] or [Variant(role, name, settings, entry.prompt, name)]  # fmt: skip
    if len(names := [each.name for each in found]) > len(set(names)):
        twice = next(name for name in names if names.count(name) > 1)
        raise ConfigError(f"`matrix.{stage}s` has two variants of the name {twice}: rename one of them.")
    return found
