"""Table 1: how many conversations of how many scenarios, and how long they are; utterances and rounds apart.

An utterance is a stored turn of either side, a round a user turn that an assistant turn answers. Tokens are
of the utterance alone, without any chat template. Only whole numbers are added up, so that the order of
conversations changes nothing; what grows with the data is the set of scenarios alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from engine.analysis.definitions import Definitions
from engine.analysis.distribution import Distribution
from engine.schema.conversation import Role
from engine.schema.dataset import Conversation

# Positions from here on are one: few conversations are longer.
LAST_POSITION = 8


@dataclass(frozen=True, slots=True)
class Table1Row:
    """One row. Means are per conversation, of one side's tokens per utterance; 0.0 of nothing."""

    scenarios: int
    conversations: int
    averaged_over: int
    mean_utterances: float
    mean_rounds: float
    mean_tokens: float
    user_utterances: int
    assistant_utterances: int
    mean_user_tokens: float
    mean_assistant_tokens: float


@dataclass(slots=True)
class Lengths:
    """What is counted of the conversations of one task."""

    scenarios: set[int | str] = field(default_factory=set)
    rounds: Distribution = field(default_factory=Distribution)
    utterances: Distribution = field(default_factory=Distribution)
    # Tokens of one utterance, by side and by the turn's position among its side's, from 1.
    tokens: dict[tuple[Role, int], Distribution] = field(default_factory=dict)

    def add(self, conversation: Conversation, count_tokens: Callable[[str], int]) -> None:
        """Count one conversation."""
        scenario = conversation.scenario
        if scenario.number is not None or scenario.text:
            self.scenarios.add(scenario.number if scenario.number is not None else scenario.text)
        self.rounds.add(conversation.rounds)
        self.utterances.add(len(conversation.turns))
        positions = {Role.USER: 0, Role.ASSISTANT: 0}
        for turn in conversation.turns:
            positions[turn.role] += 1
            key = turn.role, min(positions[turn.role], LAST_POSITION)
            self.tokens.setdefault(key, Distribution()).add(count_tokens(turn.content))

    def merge(self, other: Lengths) -> None:
        """Take in all that `other` counted."""
        self.scenarios |= other.scenarios
        self.rounds.merge(other.rounds)
        self.utterances.merge(other.utterances)
        for key, tokens in other.tokens.items():
            self.tokens.setdefault(key, Distribution()).merge(tokens)

    def of_side(self, role: Role) -> Distribution:
        """Tokens per utterance of one side."""
        return merged(each for (side, _), each in self.tokens.items() if side is role)


class Table1:
    """Adds up conversations by task."""

    def __init__(self, count_tokens: Callable[[str], int]) -> None:
        self._count_tokens = count_tokens
        self.by_task: dict[str, Lengths] = {}

    def __repr__(self) -> str:
        return f"Table1({sum(each.rounds.n for each in self.by_task.values())} conversations)"

    def add(self, conversation: Conversation) -> None:
        """Count one conversation."""
        self.by_task.setdefault(conversation.task, Lengths()).add(conversation, self._count_tokens)

    def merge(self, other: Table1) -> None:
        """Take in all that `other` counted; `other` stays as it is."""
        for task, lengths in other.by_task.items():
            self.by_task.setdefault(task, Lengths()).merge(lengths)

    def row(self, definitions: Definitions, task: str | None = None) -> Table1Row:
        """The row over all tasks, or of one, in which nothing is left out of the averages."""
        counted = self.by_task if task is None else {task: self.by_task[task]}
        without = definitions.averages_without if task is None else frozenset()
        averaged = [lengths for name, lengths in counted.items() if name not in without]
        user, assistant = (merged(each.of_side(role) for each in averaged) for role in Role)
        sides = {"both": (user, assistant), "user": (user,), "assistant": (assistant,)}[
            definitions.utterances
        ]
        conversations = sum(each.rounds.n for each in averaged)
        return Table1Row(
            scenarios=sum(len(each.scenarios) for each in counted.values()),
            conversations=sum(each.rounds.n for each in counted.values()),
            averaged_over=conversations,
            mean_utterances=_mean(sum(side.n for side in sides), conversations),
            mean_rounds=merged(each.rounds for each in averaged).mean,
            mean_tokens=_mean(sum(side.total for side in sides), conversations),
            user_utterances=user.n,
            assistant_utterances=assistant.n,
            mean_user_tokens=user.mean,
            mean_assistant_tokens=assistant.mean,
        )

    def rounds(self) -> Distribution:
        """Rounds per conversation, all tasks."""
        return merged(each.rounds for each in self.by_task.values())

    def tokens_by_position(self) -> dict[Role, dict[int, Distribution]]:
        """Tokens per utterance by side and position; the last position holds all later ones too."""
        found: dict[Role, dict[int, Distribution]] = {role: {} for role in Role}
        for lengths in self.by_task.values():
            for (role, position), tokens in lengths.tokens.items():
                found[role].setdefault(position, Distribution()).merge(tokens)
        return {role: dict(sorted(positions.items())) for role, positions in found.items()}


def merged(distributions: Iterable[Distribution]) -> Distribution:
    """All of them as one."""
    total = Distribution()
    for each in distributions:
        total.merge(each)
    return total


def _mean(total: int, n: int) -> float:
    return total / n if n else 0.0
