"""The form of the vocabulary: every text is a template whose `{slots}` are filled before it is spoken.

Slots named in `TaskWords.slots` are taken from the scenario or the opening turn, by keyword; the others
(`{pick}`, `{other}`, `{taste}`, `{topic}`, `{n}`, `{count}`) are filled by the speaker at each turn.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple


class Item(NamedTuple):
    """One option an assistant can offer: its name and one specific sentence about it."""

    name: str
    detail: str


@dataclass(frozen=True, slots=True)
class Facet:
    """One side of a task that a round is about.

    `words` recognise it in a user's text (lower case), `topic` names it inside a sentence (and holds
    one of the words), `asks` are the user's questions about it, each of which holds one of the words.
    `in_parts`: the items make one plan together, so that nobody picks one and drops the others.
    """

    words: tuple[str, ...]
    topic: str
    asks: tuple[str, ...]
    items: tuple[Item, ...]
    in_parts: bool = False


class Slot(NamedTuple):
    """A slot's name and its (keyword, phrase) pairs; the last pair's keyword is empty: the default."""

    name: str
    choices: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class TaskWords:
    """One task in one language. `facets[0]` is what every conversation starts with.

    `aspects` are the profile's aspects that matter here, most telling first. `wishes` are the user's
    own remarks; `facts` are an assistant's figures, with `{n}` a number from 2 to 9.
    """

    slots: tuple[Slot, ...]
    aspects: tuple[str, ...]
    openings: tuple[str, ...]
    wishes: tuple[str, ...]
    facts: tuple[str, ...]
    facets: tuple[Facet, ...]


@dataclass(frozen=True, slots=True)
class Language:
    """What is said whatever the task is.

    `tastes` take a sentence ("I love tea"); `notes` take any words on what `about` names, by aspect.
    `reactions` answer a reply that offers no options.
    """

    code: str
    joiner: str
    # the user's side
    greetings: tuple[str, ...]
    introductions: tuple[str, ...]
    picks: tuple[str, ...]
    picks_part: tuple[str, ...]
    reactions: tuple[str, ...]
    tastes: tuple[str, ...]
    notes: tuple[str, ...]
    about: Mapping[str, str]
    remarks: tuple[str, ...]
    asks_again: tuple[str, ...]
    # the assistant's side
    intros: tuple[str, ...]
    intros_picked: tuple[str, ...]
    leads: tuple[str, ...]
    reasons: tuple[str, ...]
    reasons_taste: tuple[str, ...]
    reasons_note: tuple[str, ...]
    outros: tuple[str, ...]
    tips: tuple[str, ...]
    courtesies: tuple[str, ...]
    objections: tuple[str, ...]
    welcome: tuple[str, ...]
    # defects, one pool for each kind that has texts of its own
    flips: tuple[str, ...]
    system_notes: tuple[str, ...]
    thanks: tuple[str, ...]
    as_an_ai: tuple[str, ...]
    plays_user: tuple[str, ...]
    refusals: tuple[str, ...]
    # questions outside the dialogue
    debriefs: tuple[str, ...]
    short_answers: tuple[str, ...]
    end_phrase: str
