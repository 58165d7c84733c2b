"""How long conversations and turns are: figures of the RecLLMSim release, per task.

Source: the reference figures of the RecLLMSim release (its 1,856 conversations), tokens by cl100k_base.
Turn counts are of kept conversations, so the hazards apply to conversations without a defect; the one
conversation of a single turn is left out, because it is what the defect `too_short` stands for.
`user_scale` and `assistant_scale` are ours: measured corrections for what greedy composing adds or leaves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Shape:
    """One task: conversations by number of user turns; mean tokens of a user and an assistant turn."""

    conversations_by_turns: Mapping[int, int]
    user_tokens: float
    assistant_tokens: float
    assistant_sd: float
    user_scale: float = 1.0
    assistant_scale: float = 1.0

    @property
    def mean_turns(self) -> float:
        counts = self.conversations_by_turns
        return sum(n * c for n, c in counts.items()) / sum(counts.values())

    @property
    def later_user_tokens(self) -> float:
        """Mean of the user turns after the first, so that all together have the task's mean."""
        turns = self.mean_turns
        return (turns * self.user_tokens - FIRST_USER_TOKENS) / (turns - 1)

    def hazard(self, turns: int) -> float:
        """Probability that a conversation with this many user turns has no further one."""
        reached = sum(c for n, c in self.conversations_by_turns.items() if n >= turns)
        return self.conversations_by_turns.get(turns, 0) / reached if reached else 1.0


FIRST_USER_TOKENS = 63.8
FIRST_USER_SD = 21.2
# Standard deviation of the later user turns over their mean (0.43 to 0.52 for turns 2 to 6).
LATER_USER_SPREAD = 0.45

SHAPES: dict[str, Shape] = {
    "gifts": Shape({2: 92, 3: 220, 4: 128, 5: 30, 6: 3}, 72.85, 198.95, 116.21, 0.99, 0.98),
    "newtravel": Shape(
        {3: 13, 4: 59, 5: 79, 6: 23, 7: 16, 8: 5, 9: 2, 10: 2}, 127.88, 376.55, 196.83, 1.08, 1.03
    ),
    "recipe": Shape(
        {2: 27, 3: 81, 4: 131, 5: 68, 6: 27, 7: 13, 8: 3, 10: 2}, 94.34, 250.51, 219.48, 0.99, 0.99
    ),
    "skills": Shape({2: 189, 3: 220, 4: 47, 5: 10, 6: 4, 9: 2, 10: 1}, 113.49, 350.03, 179.22, 1.05, 1.07),
    "travel": Shape(
        {2: 8, 3: 41, 4: 87, 5: 92, 6: 81, 7: 40, 8: 7, 9: 2}, 119.04, 290.92, 166.84, 1.05, 1.03
    ),
    "neutral": Shape(
        {2: 316, 3: 575, 4: 452, 5: 279, 6: 138, 7: 69, 8: 15, 9: 6, 10: 5}, 104.24, 285.98, 187.25
    ),
}
HAZARDS: dict[str, tuple[float, ...]] = {
    task: tuple(shape.hazard(turns) for turns in range(12)) for task, shape in SHAPES.items()
}


def end_hazard(task: str, turns: int) -> float:
    """The chance of a goodbye after `turns` user turns; certain beyond the longest conversation."""
    hazards = HAZARDS[task]
    return hazards[turns] if turns < len(hazards) else 1.0
