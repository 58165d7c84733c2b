"""What a rule is: a named, pure look at one conversation that says which turns are at fault, and why.

A rule reads a `Reading`, the conversation prepared once for all rules, and yields (turn, detail)
pairs. It never edits, never raises on any text, and takes time linear in the text: patterns hold no
unbounded repeat beside another, and each is tried only where one of its anchors occurs.

Effects: `drop` is for turns that are not what they claim to be (another speaker's voice, a leaked
prompt, a broken text): nothing can be measured on them. `flag` is for behaviour that a reader may
want to study or exclude, such as an assistant's disclaimer. A guess only flags.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from engine.dialogue.speech import before_note, fold, units_of
from engine.schema.conversation import EndReason, Role, Turn

Effect = Literal["flag", "drop"]
Side = Literal["simulator", "assistant"]
Fault = tuple[int | None, str]
"""The turn at fault (None: the conversation as a whole) and a short detail that quotes little."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One rule's verdict on one turn, or on the conversation where `turn_index` is None."""

    rule: str
    effect: Effect
    side: Side
    turn_index: int | None
    detail: str


@dataclass(frozen=True, slots=True)
class Utterance:
    """A turn beside its folded text: lower case, straight apostrophes, nothing else changed.

    `own` is the folded text before the first imitated note: what the speaker says as itself.
    """

    index: int
    turn: Turn
    text: str
    own: str

    @property
    def has_note(self) -> bool:
        return len(self.own) < len(self.text)

    def units(self) -> list[str]:
        """Words, and single characters of Chinese: the grain of all comparisons of texts."""
        return units_of(self.text)


@dataclass(frozen=True, slots=True)
class Reading:
    """A conversation prepared for the rules; `language` is `en` or `zh`."""

    users: tuple[Utterance, ...]
    assistants: tuple[Utterance, ...]
    end_reason: EndReason
    language: str
    end_prompt: str

    @property
    def sides(self) -> tuple[tuple[Utterance, ...], tuple[Utterance, ...]]:
        return self.users, self.assistants


@dataclass(frozen=True, slots=True)
class Rule:
    """`side` is who is at fault; `either` means whoever speaks the turn that is found."""

    name: str
    description: str
    side: Side | Literal["either"]
    effect: Effect
    find: Callable[[Reading], Iterable[Fault]]


def read(turns: Sequence[Turn], *, end_reason: EndReason, language: str, end_prompt: str) -> Reading:
    """Fold each turn's text once; everything else is left to the rules."""
    users: list[Utterance] = []
    assistants: list[Utterance] = []
    for index, turn in enumerate(turns):
        text = fold(turn.content)
        if turn.role is Role.USER:
            users.append(Utterance(index, turn, text, before_note(text)))
        else:
            assistants.append(Utterance(index, turn, text, text))
    return Reading(tuple(users), tuple(assistants), end_reason, language, end_prompt)


def each(utterances: Iterable[Utterance], look: Callable[[Utterance], str | None]) -> Iterator[Fault]:
    """Apply `look` to each utterance; what it returns is the fault's detail, None is no fault."""
    for utterance in utterances:
        detail = look(utterance)
        if detail is not None:
            yield utterance.index, detail
