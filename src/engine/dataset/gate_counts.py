"""How often each gate fired in a run, and what came of it: the summary's `gates`.

A turn counts once for a gate, however many of its attempts were refused. What gates cost is in the usage,
where each attempt counts like any other call.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from engine.dataset.record import ConversationRecord


@dataclass(slots=True)
class GateCounts:
    """`judged` counts the simulator's turns and goodbyes that were in the end let pass, flagged or not."""

    judged: int = 0
    asked_again: int = 0
    conversations: int = 0
    turns: Counter[str] = field(default_factory=Counter)
    kept: Counter[str] = field(default_factory=Counter)

    def add(self, record: ConversationRecord) -> None:
        """Count one conversation."""
        self.judged += record.judged
        self.asked_again += sum(not firing.kept for firing in record.firings)
        self.conversations += bool(record.firings)
        turns = {(gate, firing.step) for firing in record.firings for gate in firing.gates or ("unknown",)}
        self.turns.update(gate for gate, _ in turns)
        self.kept.update(gate for firing in record.firings if firing.kept for gate in firing.gates)

    def as_summary(self) -> dict[str, object]:
        """For each gate: turns at which it fired, their share of all, and those that it could not help."""
        return {
            "turns": self.judged,
            "asked_again": self.asked_again,
            "conversations": self.conversations,
            "by_gate": {
                gate: {"turns": turns, "rate": round(turns / self.judged, 5), "kept": self.kept[gate]}
                for gate, turns in self.turns.most_common()
            },
        }
