"""A preset is a set of a stage's keys under a name; it is resolved when a file is read, and then gone.

What a run keeps and compares are the resolved stages: moving a value into a preset changes nothing, and
changing it there is found as if it stood in the stage.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from engine.config.suggestion import suggest

Location = tuple[str | int, ...]
PlaceT = TypeVar("PlaceT")
PRESETS, PRESET = "presets", "preset"


class PresetError(ValueError):
    """A preset that is not there, or is no mapping; `location` is where that stands."""

    def __init__(self, location: Location, message: str) -> None:
        super().__init__(message)
        self.location = location


def presets_of(data: Mapping[object, object]) -> dict[str, Mapping[object, object]]:
    """The presets that a configuration holds, by name; their keys are not checked here."""
    presets = data.get(PRESETS)
    if presets is None:
        return {}
    if not isinstance(presets, dict):
        raise PresetError(
            (PRESETS,), "`presets` (it is no group of keys): write names, each with keys of a stage below it."
        )
    for name, preset in presets.items():
        if not isinstance(name, str) or not isinstance(preset, dict):
            raise PresetError(
                (PRESETS, str(name)),
                f"`{PRESETS}.{name}` (it is {'empty' if preset is None else 'no group of keys'}): write "
                "`key: value` pairs of a stage below it, or leave it out.",
            )
    return presets


def resolve_presets(
    data: Mapping[object, object], places: Mapping[Location, PlaceT]
) -> tuple[Mapping[object, object], Mapping[Location, PlaceT]]:
    """`data` without presets, each stage with all of its keys, and the places where these stand.

    A stage's own keys win. Raises PresetError.
    """
    presets, stages = presets_of(data), data.get("stages")
    resolved: dict[object, object] = {name: value for name, value in data.items() if name != PRESETS}
    if not isinstance(stages, dict):
        return resolved, places
    all_places, all_stages = dict(places), dict(stages)
    for stage, settings in stages.items():
        if not isinstance(settings, dict) or PRESET not in settings:
            continue
        name = settings[PRESET]
        if not isinstance(name, str) or name not in presets:
            raise PresetError(("stages", stage, PRESET), _unknown(stage, name, presets))
        all_stages[stage] = {
            **presets[name],
            **{key: value for key, value in settings.items() if key != PRESET},
        }
        for at, place in places.items():
            if at[:2] == (PRESETS, name) and len(at) > 2:
                all_places.setdefault(("stages", stage, *at[2:]), place)
    return resolved | {"stages": all_stages}, all_places


def _unknown(stage: object, name: object, presets: Mapping[str, object]) -> str:
    hint = suggest(name, presets) or f" There are: {', '.join(presets) or 'none'}."
    return (
        f"`stages.{stage}.{PRESET}`: stage {stage} names preset {str(name)!r:.80}, which is not under "
        f"`presets`.{hint}"
    )
