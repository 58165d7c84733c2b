"""What a run's annotations come to: profiles revealed, contradictions by turn, requirements met.

Counts are over conversations that one author judged; nothing is drawn, so the same annotations give the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from engine.schema.annotation import Kind, find
from engine.schema.conversation import Role
from engine.schema.dataset import Conversation


@dataclass(slots=True)
class Measures:
    """Filled conversation by conversation with `add`; `author` alone counts, or the first there is."""

    author: str | None = None
    hits: Counter[str] = field(default_factory=Counter)
    mapped: Counter[str] = field(default_factory=Counter)
    recovered: Counter[str] = field(default_factory=Counter)
    judged_at: Counter[int] = field(default_factory=Counter)
    contradicted_at: Counter[int] = field(default_factory=Counter)
    contradicts: Counter[str] = field(default_factory=Counter)
    requirements: Counter[str] = field(default_factory=Counter)
    met: Counter[str] = field(default_factory=Counter)
    met_after_rounds: Counter[int] = field(default_factory=Counter)

    def add(self, conversation: Conversation) -> None:
        """Count one conversation."""
        self._add_profile(conversation)
        self._add_consistency(conversation)
        self._add_goal(conversation)

    def recovery(self, aspect: str) -> tuple[float, float, float]:
        """(precision, recall, F1) of an aspect's labels over all conversations; 0 where there are none."""
        precision = _share(self.hits[aspect], self.recovered[aspect])
        recall = _share(self.hits[aspect], self.mapped[aspect])
        return precision, recall, _share(2 * precision * recall, precision + recall)

    @property
    def drift(self) -> dict[int, float]:
        """The user's how-manieth turn (from 1) to the share of such turns that contradict something."""
        return {turn: _share(self.contradicted_at[turn], n) for turn, n in sorted(self.judged_at.items())}

    def as_dict(self) -> dict[str, object]:
        """For JSON; only what was judged."""
        found: dict[str, object] = {}
        if self.mapped:
            aspects = sorted(self.mapped.keys() | self.recovered.keys())
            names = ("precision", "recall", "f1")
            found["recovery"] = {
                aspect: {
                    name: round(value, 4) for name, value in zip(names, self.recovery(aspect), strict=True)
                }
                for aspect in aspects
            }
        if self.judged_at:
            found["contradicts"] = dict(self.contradicts.most_common())
            found["drift"] = {str(turn): round(share, 4) for turn, share in self.drift.items()}
        if self.requirements:
            found["goal"] = {
                requirement: {"conversations": n, "met": self.met[requirement]}
                for requirement, n in sorted(self.requirements.items())
            }
            found["met_after_rounds"] = {str(n): c for n, c in sorted(self.met_after_rounds.items())}
        return found

    def _add_profile(self, conversation: Conversation) -> None:
        mapped = find(conversation.annotations, Kind.PROFILE_MAPPED, self.author)
        recovered = find(conversation.annotations, Kind.PROFILE_RECOVERED, self.author)
        if mapped is not None and recovered is not None:
            then, now = _labels(mapped.value), _labels(recovered.value)
            self.hits.update(aspect for aspect, _ in then & now)
            self.mapped.update(aspect for aspect, _ in then)
            self.recovered.update(aspect for aspect, _ in now)

    def _add_consistency(self, conversation: Conversation) -> None:
        mine = [turn for turn in conversation.turns if turn.role is Role.USER]
        for number, turn in enumerate(mine, 1):
            found = find(turn.annotations, Kind.CONSISTENCY, self.author)
            if found is not None and isinstance(found.value, Mapping):
                what = str(found.value.get("contradicts"))
                self.judged_at[number] += 1
                self.contradicted_at[number] += what != "nothing"
                self.contradicts[what] += 1

    def _add_goal(self, conversation: Conversation) -> None:
        found = find(conversation.annotations, Kind.GOAL, self.author)
        if found is None or not isinstance(found.value, list):
            return
        for each in found.value:
            if isinstance(each, Mapping):
                requirement, turn = str(each.get("requirement")), each.get("turn")
                self.requirements[requirement] += 1
                if isinstance(turn, int):
                    self.met[requirement] += 1
                    before = conversation.turns[: turn + 1]
                    self.met_after_rounds[sum(t.role is Role.ASSISTANT for t in before)] += 1


def _labels(value: object) -> set[tuple[str, str]]:
    """(aspect, English label) of all labels."""
    if not isinstance(value, Mapping):
        return set()
    return {
        (str(aspect), str(label["en"]))
        for aspect, labels in value.items()
        if isinstance(labels, list)
        for label in labels
        if isinstance(label, Mapping) and "en" in label
    }


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0
