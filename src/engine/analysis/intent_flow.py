"""How intents follow each other: labels by user turn 1, 2, 3, ..., and which label comes after which."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

from engine.schema.annotation import intents_of
from engine.schema.conversation import Role
from engine.schema.dataset import Conversation

# Later turns are counted together: few conversations are longer.
LAST_TURN = 8
END = "(end)"


class IntentFlow:
    """Counts labels; each label of a turn with several counts."""

    def __init__(self, author: str | None = None) -> None:
        self._author = author
        self.by_turn: dict[int, Counter[str]] = {}
        self.transitions: dict[str, Counter[str]] = {}

    def __repr__(self) -> str:
        return f"IntentFlow({sum(each.total() for each in self.by_turn.values())} labels)"

    def add(self, conversation: Conversation) -> None:
        """Count one conversation; turns without labels break the chain."""
        labels = [
            intents_of(turn.annotations, self._author)
            for turn in conversation.turns
            if turn.role is Role.USER
        ]
        for number, found in enumerate(labels, 1):
            if found:
                self.by_turn.setdefault(min(number, LAST_TURN), Counter()).update(found)
        for before, after in pairwise([*labels, (END,)]):
            for label in before:
                self.transitions.setdefault(label, Counter()).update(after)
