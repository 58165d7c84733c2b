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
# Where settings of a model stand that may name a preset.
_GROUPS = (("stages",), ("matrix", "simulators"), ("matrix", "assistants"))


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
    presets = presets_of(data)
    resolved: dict[object, object] = {name: value for name, value in data.items() if name != PRESETS}
    all_places = dict(places)
    for group in _GROUPS:
        if isinstance(settings := _at(resolved, group), dict):
            _put(resolved, group, _resolve(settings, group, presets, all_places))
    return resolved, all_places


def _resolve(
    group: Mapping[object, object],
    where: tuple[str, ...],
    presets: Mapping[str, Mapping[object, object]],
    places: dict[Location, PlaceT],
) -> dict[object, object]:
    """The stages (or variants) of one group with all of their keys; adds the places of these."""
    resolved = dict(group)
    for stage, settings in group.items():
        if not isinstance(settings, dict) or PRESET not in settings:
            continue
        name = settings[PRESET]
        if not isinstance(name, str) or name not in presets:
            raise PresetError((*where, str(stage), PRESET), _unknown((*where, str(stage)), name, presets))
        resolved[stage] = {
            **presets[name],
            **{key: value for key, value in settings.items() if key != PRESET},
        }
        for at, place in list(places.items()):
            if at[:2] == (PRESETS, name) and len(at) > 2:
                places.setdefault((*where, str(stage), *at[2:]), place)
    return resolved


def _at(data: Mapping[object, object], group: tuple[str, ...]) -> object:
    found: object = data
    for key in group:
        found = found.get(key) if isinstance(found, dict) else None
    return found


def _put(data: dict[object, object], group: tuple[str, ...], value: object) -> None:
    """Replace what lies at `group`, without changing the mappings that others hold."""
    for key in group[:-1]:
        inner = data[key]
        assert isinstance(inner, dict)
        data[key] = data = dict(inner)
    data[group[-1]] = value


def _unknown(where: tuple[str, ...], name: object, presets: Mapping[str, object]) -> str:
    hint = suggest(name, presets) or f" There are: {', '.join(presets) or 'none'}."
    kind = "stage" if where[0] == "stages" else where[1].removesuffix("s")
    return (
        f"`{'.'.join(where)}.{PRESET}`: {kind} {where[-1]} names preset {str(name)!r:.80}, which is not "
        f"under `presets`.{hint}"
    )
