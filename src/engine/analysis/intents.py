"""Table 3: the intents of user utterances: totals, by task, by position, and by the part of a split.

Where a turn has several labels each of them counts, so totals of labels may exceed the utterances. Position:
the first user turn, the last, and those between; an only turn is a first one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from engine.schema.annotation import LabelSet, intents_of
from engine.schema.conversation import Role
from engine.schema.dataset import Conversation

POSITIONS = ("first", "middle", "last")
# The letters of a split's file, one for each user turn of a conversation.
PARTS = {"t": "train", "v": "validation", "e": "test"}


class Intents:
    """Counts labels. `split`: conversation id to one letter of `PARTS` for each of its user turns."""

    def __init__(self, author: str | None = None, split: Mapping[str, str] | None = None) -> None:
        self._author = author
        self._split = split or {}
        self.utterances = 0
        self.labelled = 0
        self.several = 0
        self.totals: Counter[str] = Counter()
        self.by_task: dict[str, Counter[str]] = {}
        self.by_position: dict[str, Counter[str]] = {position: Counter() for position in POSITIONS}
        self.by_part: dict[str, Counter[str]] = {}
        self.utterances_by_part: Counter[str] = Counter()
        self.label_sets: dict[str, LabelSet] = {}

    def __repr__(self) -> str:
        return f"Intents({self.labelled} of {self.utterances} user utterances labelled)"

    def add(self, conversation: Conversation) -> None:
        """Count the user utterances of one conversation and their labels."""
        turns = [turn for turn in conversation.turns if turn.role is Role.USER]
        letters = self._split.get(conversation.conversation_id, "")
        self.utterances += len(turns)
        if "intent" in conversation.label_sets:
            label_set = conversation.label_sets["intent"]
            self.label_sets[label_set.name] = label_set
        for index, turn in enumerate(turns):
            labels = intents_of(turn.annotations, self._author)
            self.labelled += bool(labels)
            self.several += len(labels) > 1
            position = "first" if index == 0 else "last" if index == len(turns) - 1 else "middle"
            counters = [
                self.totals,
                self.by_task.setdefault(conversation.task, Counter()),
                self.by_position[position],
            ]
            if part := PARTS.get(letters[index : index + 1]):
                self.utterances_by_part[part] += 1
                counters.append(self.by_part.setdefault(part, Counter()))
            for counter in counters:
                counter.update(labels)

    def ordered(self, counts: Mapping[str, int]) -> dict[str, int]:
        """Counts in the order of the label sets, labels of none behind them."""
        known = [label for label_set in self.label_sets.values() for label in label_set.labels]
        names = dict.fromkeys([*(name for name in known if name in counts), *sorted(counts)])
        return {name: counts[name] for name in names}
