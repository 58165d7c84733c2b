"""A group whose commands are loaded when they are used: one command starts without the modules of the others.

What the group's help shows of a command is kept beside its name, so that help loads none of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, NamedTuple

import click


class Origin(NamedTuple):
    """Where a command lies: its module in this folder and its name there, and the first words of its help."""

    module: str
    attribute: str
    summary: str


class CommandsOnUse(click.Group):
    """Its `commands` are stand-ins, with name and summary, until `get_command` was asked for them."""

    def __init__(self, *given: Any, origins: Mapping[str, Origin], **named: Any) -> None:
        super().__init__(*given, **named)
        self._origins = dict(origins)
        for name, origin in self._origins.items():
            self.add_command(click.Command(name, help=origin.summary))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command itself."""
        origin = self._origins.get(cmd_name)
        if origin is not None:
            module = import_module(f"engine.cli.{origin.module}")
            self.add_command(getattr(module, origin.attribute), cmd_name)
            del self._origins[cmd_name]
        return super().get_command(ctx, cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Each command's name and summary, which the stand-ins have."""
        click.Group(commands=self.commands).format_commands(ctx, formatter)
