"""Shares of intents, under labels that two datasets have in common.

Where their label sets differ, as between the paper's five and the four of its human part, both are read in
three: recommendation, planning, other. A turn with several labels counts for each in equal parts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from engine.analysis.draws import UserDraws, interval
from engine.schema.annotation import intents_of
from engine.schema.conversation import Role
from engine.schema.dataset import Conversation

# Search alone and evaluation (评估) have no counterpart in the other set.
COARSE: Mapping[str, str] = {
    "Recommendation": "recommendation", "Search & Recommendation": "recommendation", "推荐": "recommendation",
    "Planning": "planning", "规划": "planning",
    "Search": "other", "Others": "other", "评估": "other", "其它": "other",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class IntentShare:
    """One label's share of labelled user turns in both datasets, and the difference with its interval."""

    label: str
    first: float
    second: float
    difference: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class IntentShares:
    """All labels. `is_coarse`: read in three. `distance`: Jensen-Shannon, 0 (same) to 1 (nothing shared)."""

    rows: tuple[IntentShare, ...]
    turns: tuple[int, int]
    is_coarse: bool
    distance: float


def compare_intents(
    first: Sequence[Conversation],
    second: Sequence[Conversation],
    draws: tuple[UserDraws, UserDraws],
    author: str | None = None,
) -> IntentShares | None:
    """None where one of the two has no intents, or where their labels have nothing in common."""
    labels = [_labels(conversations, author) for conversations in (first, second)]
    names = [{label for turns in each for turn in turns for label in turn} for each in labels]
    if not names[0] or not names[1]:
        return None
    is_coarse = not names[0] & names[1]
    if is_coarse:
        if not names[0] | names[1] <= COARSE.keys():
            return None
        labels = [[[[COARSE[name] for name in turn] for turn in turns] for turns in each] for each in labels]
        names = [{label for turns in each for turn in turns for label in turn} for each in labels]
    shares = [_weights(each) for each in labels]
    sizes = [[float(len(turns)) for turns in each] for each in labels]
    rows = []
    order = [*dict.fromkeys(COARSE.values()), *COARSE] if is_coarse else list(COARSE)
    for label in sorted(
        names[0] | names[1], key=lambda name: (order.index(name) if name in order else 99, name)
    ):
        values = [[weights.get(label, 0.0) for weights in each] for each in shares]
        one, other = (sum(value) / sum(size) for value, size in zip(values, sizes, strict=True))
        drawn = [
            draw.means(value) / draw.means(size)
            for draw, value, size in zip(draws, values, sizes, strict=True)
        ]
        rows.append(IntentShare(label, one, other, other - one, *interval(drawn[1] - drawn[0])))
    turns = (int(sum(sizes[0])), int(sum(sizes[1])))
    return IntentShares(tuple(rows), turns, is_coarse, _distance(rows))


def _labels(conversations: Sequence[Conversation], author: str | None) -> list[list[list[str]]]:
    """By conversation, the labels of each labelled user turn."""
    return [
        [
            list(found)
            for turn in conversation.turns
            if turn.role is Role.USER and (found := intents_of(turn.annotations, author))
        ]
        for conversation in conversations
    ]


def _weights(labels: list[list[list[str]]]) -> list[dict[str, float]]:
    found = []
    for turns in labels:
        weights: dict[str, float] = {}
        for turn in turns:
            for label in turn:
                weights[label] = weights.get(label, 0.0) + 1 / len(turn)
        found.append(weights)
    return found


def _distance(rows: Sequence[IntentShare]) -> float:
    from scipy.spatial.distance import jensenshannon

    return float(jensenshannon([row.first for row in rows], [row.second for row in rows], base=2))
