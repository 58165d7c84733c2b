"""Gates: small named looks at a simulator's reply before it becomes a turn.

A gate is a pure function of one `TurnContext`; true means that the reply should be asked for again. The
dialogue counts attempts and keeps the last one, flagged. A gate fires only on what validation would drop
the conversation for, and by the same code: it saves conversations, it does not shape them. To add one, write
the function, name it in `schema/gate.py`, and raise `GATES_VERSION`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from engine.dialogue.ending import words
from engine.schema.gate import GateName

MIN_USER_TURNS = 2
"""A goodbye before so many user turns ends a conversation that is too short to be one."""

MIN_REPEAT_WORDS = 8
"""Shorter repeats ("Yes, please.") are how people talk."""


@dataclass(frozen=True, slots=True)
class TurnContext:
    """What a gate sees: the reply, and the conversation up to it.

    `number` is the user turn that it would become, from 1; `own_turns` are those before it, `heard` is what
    the assistant said last. `is_echo` tells a reply that holds nothing but the end prompt.
    """

    text: str
    finish_reason: str
    number: int
    is_goodbye: bool
    is_echo: bool
    language: str
    end_prompt: str
    own_turns: Sequence[str]
    heard: str


Gate = Callable[[TurnContext], bool]


def _parrot(turn: TurnContext) -> bool:
    return turn.is_echo


def _repeat(turn: TurnContext) -> bool:
    text = turn.text.strip().casefold()
    said = (*turn.own_turns, turn.heard)
    return any(text == other.strip().casefold() for other in said) and len(words(text)) >= MIN_REPEAT_WORDS


def _cut_off(turn: TurnContext) -> bool:
    return turn.finish_reason == "length"


def _early_goodbye(turn: TurnContext) -> bool:
    return turn.is_goodbye and turn.number <= MIN_USER_TURNS


GATES: Mapping[GateName, Gate] = {
    "parrot": _parrot,
    "repeat": _repeat,
    "cut_off": _cut_off,
    "early_goodbye": _early_goodbye,
}


def fired(names: Sequence[GateName], turn: TurnContext) -> tuple[str, ...]:
    """The names of the gates that fire, in the order given."""
    return tuple(name for name in names if GATES[name](turn))
