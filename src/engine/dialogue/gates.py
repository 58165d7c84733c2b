"""Gates: small named looks at a simulator's reply before it becomes a turn.

A gate is a pure function of one `TurnContext`; true means that the reply should be asked for again. The
dialogue counts attempts and keeps the last one, flagged. A gate fires only on what validation would drop
the conversation for, and by the same code: it saves conversations, it does not shape them. To add one, write
the function, name it in `schema/gate.py`, and raise `GATES_VERSION`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from engine.dialogue.languages import foreign_language, is_learnt
from engine.dialogue.phrases import AI_SELF, ASSISTANT_VOICE, first
from engine.dialogue.speech import (
    MIN_REPEAT_UNITS,
    MIN_USER_TURNS,
    before_note,
    fold,
    says_stretch,
    units_of,
)
from engine.schema.gate import GateName


@dataclass(frozen=True, slots=True)
class TurnContext:
    """What a gate sees: the reply, and the conversation up to it.

    `folded` is the reply's text as `speech.fold` makes it. `number` is the user turn that it would become,
    from 1; `own_turns` are those before it, `heard` is what the assistant said last. `is_echo` tells a reply
    that holds nothing but the end prompt.
    """

    folded: str
    finish_reason: str
    number: int
    is_goodbye: bool
    is_echo: bool
    language: str
    end_prompt: str
    own_turns: Sequence[str]
    heard: str


Gate = Callable[[TurnContext], bool]


def _role(turn: TurnContext) -> bool:
    own = before_note(turn.folded)
    return first(own, ASSISTANT_VOICE) is not None or first(own, AI_SELF) is not None


def _system_note(turn: TurnContext) -> bool:
    return len(before_note(turn.folded)) < len(turn.folded)


def _parrot(turn: TurnContext) -> bool:
    return turn.is_echo or (not turn.is_goodbye and says_stretch(turn.folded, turn.end_prompt))


def _repeat(turn: TurnContext) -> bool:
    text = turn.folded.strip()
    said = (other for other in (*turn.own_turns, turn.heard) if len(other) >= len(text))
    return any(text == fold(other).strip() for other in said) and len(units_of(text)) >= MIN_REPEAT_UNITS


def _language(turn: TurnContext) -> bool:
    language = foreign_language(turn.folded, turn.language)
    if language is None:
        return False
    return not is_learnt(language, map(fold, (*turn.own_turns, turn.heard)), turn.language)


def _cut_off(turn: TurnContext) -> bool:
    return turn.finish_reason == "length"


def _early_goodbye(turn: TurnContext) -> bool:
    return turn.is_goodbye and turn.number <= MIN_USER_TURNS


GATES: Mapping[GateName, Gate] = {
    "role": _role,
    "system_note": _system_note,
    "parrot": _parrot,
    "repeat": _repeat,
    "language": _language,
    "cut_off": _cut_off,
    "early_goodbye": _early_goodbye,
}


def fired(names: Sequence[GateName], turn: TurnContext) -> tuple[str, ...]:
    """The names of the gates that fire, in the order given."""
    return tuple(name for name in names if GATES[name](turn))
