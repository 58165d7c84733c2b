"""A module that is loaded when something of it is first used: what some runs need costs the others nothing.

The import itself stands beside it under `TYPE_CHECKING`, so that types and floors are checked as ever:

    if TYPE_CHECKING:
        from engine.rehearsal import server
    else:
        server = ModuleOnUse("engine.rehearsal.server")
"""

from __future__ import annotations

from importlib import import_module


class ModuleOnUse:
    """Stands for the module called `name`."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> object:
        return getattr(import_module(self._name), attribute)

    def __repr__(self) -> str:
        return f"ModuleOnUse({self._name})"
