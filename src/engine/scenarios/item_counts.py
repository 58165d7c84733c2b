"""What conversations named of their task's items, counted from the records: recommendations, leaks, recall@k.

Recall@k by assistant turn t is the share of a conversation's targets among the first k different items that
the assistant has named in its first t turns; a conversation that ended earlier stays where it was. So it
never falls as t or k grows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

KS = (1, 3, 5, 10)
LAST_TURN = 10
_SHOWN_LEAKS = 20


@dataclass(slots=True)
class ItemTally:
    """Counts the field `items` of records; memory is that of the items that were named.

    `recommended`: item id to conversations whose assistant named it. `found`: for each k, the sum over the
    `with_targets` conversations of recall@k by turn 1, 2, ..., `LAST_TURN`. `leaked`: conversations whose
    simulator named a target before the assistant had, first ones by id in `leaks`.
    """

    ks: tuple[int, ...] = KS
    conversations: int = 0
    turns: int = 0
    turns_with_item: int = 0
    recommended: Counter[str] = field(default_factory=Counter)
    with_targets: int = 0
    leaked: int = 0
    leaks: list[str] = field(default_factory=list)
    found: dict[int, list[float]] = field(default_factory=dict)

    def add(self, conversation_id: str, items: Mapping[str, object], roles: Sequence[str]) -> None:
        """Count one record: its `items`, and the roles of its turns in order."""
        self.conversations += 1
        named = items.get("named")
        by_turn = {each["turn"]: each["ids"] for each in named} if isinstance(named, list) else {}
        said = [by_turn.get(place, []) for place, role in enumerate(roles) if role == "assistant"]
        self.turns += len(said)
        self.turns_with_item += sum(bool(ids) for ids in said)
        self.recommended.update({item_id for ids in said for item_id in ids})
        if items.get("leaked"):
            self.leaked += 1
            if len(self.leaks) < _SHOWN_LEAKS:
                self.leaks.append(conversation_id)
        targets = items.get("targets")
        if isinstance(targets, list) and targets:
            self.with_targets += 1
            for k in self.ks:
                sums = self.found.setdefault(k, [0.0] * LAST_TURN)
                for turn, share in enumerate(recall_by_turn(said, targets, k)):
                    sums[turn] += share

    def recall(self, k: int, turn: int) -> float | None:
        """Mean recall@k by an assistant turn, 1 to `LAST_TURN`; None without targets."""
        return self.found[k][turn - 1] / self.with_targets if self.with_targets else None

    def as_summary(self) -> dict[str, object]:
        """The figures as a JSON object."""
        return {
            "conversations": self.conversations,
            "assistant_turns": self.turns,
            "assistant_turns_with_item": self.turns_with_item,
            "recommendations": self.recommended.total(),
            "different_items": len(self.recommended),
            "with_targets": self.with_targets,
            "leaked": self.leaked,
            "recall": {
                str(k): [round(self.recall(k, turn) or 0.0, 4) for turn in range(1, LAST_TURN + 1)]
                for k in self.ks
                if self.with_targets
            },
        }


def recall_by_turn(said: Sequence[Sequence[str]], targets: Sequence[str], k: int) -> list[float]:
    """Recall@k by turn 1, 2, ..., `LAST_TURN` of one conversation; `said` holds the ids of each turn."""
    ranked: dict[str, None] = {}
    shares = []
    for turn in range(LAST_TURN):
        if turn < len(said):
            ranked.update(dict.fromkeys(said[turn]))
        first = list(ranked)[:k]
        shares.append(sum(target in first for target in targets) / len(targets))
    return shares
