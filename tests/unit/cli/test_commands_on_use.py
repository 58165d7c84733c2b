"""Commands are loaded when they are used, and the group's help says of each what its own help says."""

from __future__ import annotations

import click
import pytest

from engine.cli.main import COMMANDS, engine


def load(name: str) -> click.Command:
    command = engine.get_command(click.Context(engine), name)
    assert command is not None
    return command


@pytest.mark.parametrize("name", COMMANDS)
def test_a_summary_is_the_beginning_of_its_commands_help(name: str) -> None:
    command = load(name)
    assert command.name == name
    for width in (30, 45, 200):
        assert click.Command(name, help=COMMANDS[name].summary).get_short_help_str(
            width
        ) == command.get_short_help_str(width)


def test_a_name_that_is_none_is_answered_with_what_resembles_it() -> None:
    assert engine.get_command(click.Context(engine), "rum") is None
    with pytest.raises(click.exceptions.NoSuchCommand) as caught:
        engine.resolve_command(click.Context(engine), ["rum"])
    assert "run" in (caught.value.possibilities or [])
