"""Which facts of its profile a user has revealed, turn by turn, told by words.

A fact is a part of an aspect's text between commas. It counts as revealed when half of its content words have
come up in what the user has said so far. Words come up by chance, too: the same count with the facts of
another profile says how often, and only what lies above it was revealed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from engine.analysis.words import content_units
from engine.schema.conversation import Role
from engine.schema.dataset import Conversation, ProfileText

# Told in other ways, or guessed, rather than said.
_LEFT_OUT = ("gender", "age")
_BETWEEN = re.compile(r"[,;，；、。.]|\band\b")
LAST_TURN = 8

Fact = frozenset[str]


@dataclass(frozen=True, slots=True)
class Revealing:
    """Mean share revealed by user turn 1, 2, ..., `LAST_TURN`; beside it, of another profile's facts."""

    shares: tuple[float, ...]
    by_chance: tuple[float, ...]
    conversations: int


# Profiles come again with each of their conversations.
_fact = lru_cache(maxsize=4_096)(content_units)


def facts_of(profile: ProfileText) -> tuple[Fact, ...]:
    """The facts of a profile whose aspects are known; empty of others."""
    parts = (
        part
        for aspect, text in profile.fields.items()
        if aspect not in _LEFT_OUT
        for part in _BETWEEN.split(text)
    )
    return tuple(dict.fromkeys(fact for part in parts if (fact := _fact(part))))


def revealed(conversation: Conversation, profile: ProfileText | None = None) -> list[float]:
    """Share of the facts of the conversation's own profile, or of another, after each user turn.

    Empty where there are no facts or no user turns. Facts and utterances are read as they came, since a
    profile has its conversation's language.
    """
    facts = facts_of(profile or conversation.profile)
    if not facts:
        return []
    said: set[str] = set()
    shares = []
    for turn in conversation.turns:
        if turn.role is Role.USER:
            said |= content_units(turn.content)
            shares.append(sum(2 * len(fact & said) >= len(fact) for fact in facts) / len(facts))
    return shares


def reveal(conversations: Sequence[Conversation]) -> Revealing | None:
    """By turn, over all conversations with facts; a conversation that has ended stays where it was."""
    known = [each for each in conversations if facts_of(each.profile)]
    profiles = list({each.profile.text or str(each.profile.fields): each.profile for each in known}.values())
    if len(profiles) < 2:
        return None
    place = {profile.text or str(profile.fields): i for i, profile in enumerate(profiles)}
    own, other = [], []
    for each in known:
        at = place[each.profile.text or str(each.profile.fields)]
        shares = revealed(each)
        if shares:
            own.append(_held(shares))
            other.append(_held(revealed(each, profiles[(at + 1) % len(profiles)])))
    if not own:
        return None
    return Revealing(_means(own), _means(other), len(own))


def _held(shares: Sequence[float]) -> list[float]:
    return [shares[min(turn, len(shares) - 1)] for turn in range(LAST_TURN)]


def _means(rows: Sequence[Sequence[float]]) -> tuple[float, ...]:
    return tuple(sum(column) / len(rows) for column in zip(*rows, strict=True))
