"""Table 1 of the paper, counted conversation by conversation in constant memory.

An utterance is a stored turn of either side; a round is a user turn that an assistant turn answers.
Means of utterances, rounds and tokens are per conversation, means of one side's tokens per utterance.
Only whole numbers are added up, so that the order of conversations and of merges changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from engine.dataset.tokens import count_tokens
from engine.schema.conversation import Role


@dataclass(frozen=True, slots=True)
class ShapeRow:
    """One row of Table 1. Every mean is 0.0 where there is nothing to take it of."""

    scenarios: int
    conversations: int
    mean_utterances: float
    mean_rounds: float
    mean_tokens: float
    mean_user_tokens: float
    mean_assistant_tokens: float


@dataclass(slots=True)
class _Sums:
    conversations: int = 0
    rounds: int = 0
    user_turns: int = 0
    assistant_turns: int = 0
    user_tokens: int = 0
    assistant_tokens: int = 0
    scenarios: set[tuple[str, int]] = field(default_factory=set)

    def take(self, other: _Sums) -> None:
        self.conversations += other.conversations
        self.rounds += other.rounds
        self.user_turns += other.user_turns
        self.assistant_turns += other.assistant_turns
        self.user_tokens += other.user_tokens
        self.assistant_tokens += other.assistant_tokens
        self.scenarios |= other.scenarios

    def row(self) -> ShapeRow:
        return ShapeRow(
            scenarios=len(self.scenarios),
            conversations=self.conversations,
            mean_utterances=_mean(self.user_turns + self.assistant_turns, self.conversations),
            mean_rounds=_mean(self.rounds, self.conversations),
            mean_tokens=_mean(self.user_tokens + self.assistant_tokens, self.conversations),
            mean_user_tokens=_mean(self.user_tokens, self.user_turns),
            mean_assistant_tokens=_mean(self.assistant_tokens, self.assistant_turns),
        )


class ShapeTally:
    """Adds up conversations; memory grows with the number of distinct scenarios alone."""

    def __init__(self, count: Callable[[str], int] = count_tokens) -> None:
        self._count = count
        self._by_task: dict[str, _Sums] = {}

    def __repr__(self) -> str:
        row = self.row()
        return f"ShapeTally({row.conversations} conversations, {row.scenarios} scenarios)"

    def add(self, turn_contents: Sequence[tuple[Role, str]], scenario: tuple[str, int]) -> None:
        """Count one conversation; `scenario` is (task, scenario number)."""
        sums = self._by_task.setdefault(scenario[0], _Sums())
        sums.conversations += 1
        sums.scenarios.add(scenario)
        before: Role | None = None
        for role, content in turn_contents:
            if role is Role.USER:
                sums.user_turns += 1
                sums.user_tokens += self._count(content)
            else:
                sums.assistant_turns += 1
                sums.assistant_tokens += self._count(content)
                sums.rounds += before is Role.USER
            before = role

    def merge(self, other: ShapeTally) -> None:
        """Take in all that `other` counted; `other` stays as it is."""
        for task, sums in other._by_task.items():
            self._by_task.setdefault(task, _Sums()).take(sums)

    def row(self, *, without_tasks: Sequence[str] = ()) -> ShapeRow:
        """The row over all tasks, or all but some (the paper's table leaves one task out)."""
        total = _Sums()
        for task, sums in self._by_task.items():
            if task not in without_tasks:
                total.take(sums)
        return total.row()

    def rows_by_task(self) -> dict[str, ShapeRow]:
        """One row per task, by task name."""
        return {task: self._by_task[task].row() for task in sorted(self._by_task)}


def _mean(total: int, n: int) -> float:
    return total / n if n else 0.0
