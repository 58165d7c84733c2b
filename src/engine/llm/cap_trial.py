"""Whether refusals come from a limit in flight that fell, rather than from a rate: seen, then tried.

Both look alike at first, and a rate that stands in for a limit in flight uses it to three quarters, since it
has to stay below what the longest replies leave free. A limit in flight refuses at one number in service, and
nothing is ever served above it. A rate now and then looks so too. So the number is tried as the limit, with
the rate lifted, which asks for about as much as before. Where calls are refused below it, the rate holds
again.
"""

from __future__ import annotations

import math
from collections import deque

from engine.llm.pace import Known

# Refusals in a row with much the same number in service.
ALIKE = 4
SAME = 1.15
# So soon after it began, and so near to the number that is tried, a refusal only says that it is a bit less.
TRIAL_S = 2.0
NEAR = 0.9
# What was lifted is remembered for so long.
DOUBTED_S = 60.0
# Between two trials: short after the first, which often comes while the number still falls; then twice as
# long after each one, until there is no rate to try it against.
SHORT_REST_S = 0.5
REST_S = 10.0
LONGEST_REST_S = 600.0


class CapTrial:
    """The suspicion of a limit in flight, and its trial. Report how many others are in service at each reply
    and each refusal.
    """

    __slots__ = ("_lifted", "_most_served", "_most_served_before", "_refused_with", "_rest_s", "_tried_at")

    def __init__(self) -> None:
        # In service when calls were refused lately; the most when others were served, in this story of
        # refusals and in the one before.
        self._refused_with: deque[int] = deque(maxlen=ALIKE)
        self._most_served = self._most_served_before = 0
        self._tried_at = -math.inf
        self._rest_s = 0.0
        self._lifted: Known | None = None

    def served(self, in_service: int) -> None:
        """A call brought a reply beside so many others."""
        self._most_served = max(self._most_served, in_service)

    def refused(self, in_service: int) -> None:
        """A call was refused beside so many others."""
        if not self._refused_with:
            self._most_served = self._most_served_before = 0
        self._refused_with.append(in_service)

    def forget(self) -> None:
        """What is refused from here on is another story."""
        self._refused_with.clear()

    def is_due(self, now: float) -> bool:
        """Whether the number in service at the last refusals is to be tried as the limit."""
        seen = self._refused_with
        return (
            len(seen) == ALIKE
            and seen[-1] > 1
            and now - self._tried_at > self._rest_s
            and max(self._most_served, self._most_served_before) <= max(seen) <= SAME * min(seen) + 1
        )

    def begin(self, now: float, lifted: Known) -> None:
        """It is tried from now on; `lifted` is the rate that held until now."""
        self._tried_at, self._lifted = now, lifted
        self._rest_s = min(max(2 * self._rest_s, REST_S), LONGEST_REST_S) if self._rest_s else SHORT_REST_S
        self.forget()

    def is_near(self, now: float, in_service: int, limit: int) -> bool:
        """Whether a refusal below `limit`, which is tried, means no more than that it is a bit less."""
        is_new = now - self._tried_at < TRIAL_S and len(self._refused_with) < ALIKE
        return is_new and in_service + 1 >= NEAR * limit

    def end(self, now: float) -> Known | None:
        """No limit in flight explains what is refused: the rate that is to hold again, if one was lifted."""
        lifted, self._lifted = self._lifted, None
        return lifted if now - self._tried_at <= DOUBTED_S else None

    def open_story(self, now: float, *, has_rate: bool) -> None:
        """A story of refusals begins."""
        self._most_served_before, self._most_served = self._most_served, 0
        if not has_rate and now - self._tried_at > REST_S:
            self._rest_s = 0.0  # a limit in flight that was found by trial has held

    def __repr__(self) -> str:
        return f"CapTrial({list(self._refused_with)} in service when refused)"
