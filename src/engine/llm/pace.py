"""A rate that is being found: what was accepted, second by second, and how fast calls may follow each other.

    grown    towards the last known ceiling by half of what is missing. Beyond it by 1 % while it is used in
             full and nothing is refused, then by twice the last step, up to a half: so a limit that rises is
             followed soon. More calls apart within a minute of a refusal, and a minute apart in a window
    cut      to before the last step, then by 3, 4, 8, 16, 32 % at refusals that follow each other, then to
             97 % of what is really accepted

A minute, because a window of a minute refuses only half a minute after the rate went over it. A ceiling
that was met once may have been an outage or a crowd of others: whatever made the rate too low, it grows back
within minutes. Times are monotonic seconds, rates are calls per second.
"""

from __future__ import annotations

import math
from collections import deque

WINDOW_S = 60
MARGIN = 0.97
CUTS = (0.03, 0.04, 0.08, 0.16, 0.32)
FIRST_STEP = 0.005
LARGEST_STEP = 0.5
# Before a rate has ever been refused, and it was only a first guess.
GUESS_STEP = 0.5
GUESS_INTERVAL_S = 2.0
INTERVAL_S = 5.0
# A step that takes longer is taken after fewer calls.
PATIENCE_S = 120.0
# A window of a minute that was met only once may have been an outage.
DOUBTED_STEP = 0.04
# The few that are refused at the end of one that holds so many calls are no great share of them.
LARGE_WINDOW = 1_000
# Ceilings that differ by no more are the same one, met again.
SAME_CEILING = 1.25
SERVED_BETWEEN = 20
# What a late timer leaves unused is kept: so much, or one call.
STORED_S = 0.05
SLOWEST = 0.05
SLOWEST_GUESS = 0.5

# Rate, ceiling, and whether the ceiling is a window's and confirmed.
Known = tuple[float, float, bool, bool]


class Pace:
    """The rate of one endpoint; `rate` is infinite while none is known, `began_at` before the first call."""

    __slots__ = (
        "_accepted", "_at", "_before", "_ceiling", "_next_at", "_refused_at", "_refused_total", "_replies",
        "_second", "_served", "_step", "_window", "began_at", "is_confirmed", "is_windowed", "rate", "total",
    )  # fmt: skip

    def __init__(self) -> None:
        self.rate = math.inf
        # Whether refusals come at the end of a minute, so that a step has to be waited for so long.
        self.is_windowed = False
        # Whether the ceiling was met more than once.
        self.is_confirmed = False
        # Calls sent less calls refused: ever, in the last minute, and in each of its seconds.
        self.total = 0
        self._window = 0
        self._accepted: deque[int] = deque([0], WINDOW_S)
        self._second = 0
        self.began_at = math.inf
        self._next_at = -math.inf
        self._ceiling = 0.0
        # Before the last step.
        self._before = math.inf
        self._step = FIRST_STEP
        # Since the last change: when, and how many replies.
        self._at = -math.inf
        self._replies = 0
        self._refused_at = -math.inf
        # Calls until the last refusal, and between the one before and it.
        self._refused_total = self._served = 0

    @property
    def is_known(self) -> bool:
        return self.rate < math.inf

    def wait_s(self, now: float) -> float:
        """Seconds until the next call may follow; 0 or less = now."""
        return self._next_at - now

    def is_used(self, now: float) -> bool:
        """Whether calls are sent as fast as the rate lets them."""
        return self.is_known and now - self._next_at < max(0.25, 2 / self.rate)

    def sent(self, now: float) -> None:
        """A call is sent."""
        if self.is_known:
            stored_s = max(STORED_S, 1 / self.rate)
            self._next_at = max(self._next_at, now - stored_s) + 1 / self.rate
        self.began_at = min(self.began_at, now)
        self._count(now, 1)

    def refused(self, now: float) -> None:
        """A call that was sent was refused."""
        self._refused_at = now
        self._served, self._refused_total = self.total - self._refused_total, self.total
        self._count(now, -1)

    def _count(self, now: float, calls: int) -> None:
        for _ in range(min(int(now) - self._second, WINDOW_S)):
            if len(self._accepted) == WINDOW_S:
                self._window -= self._accepted[0]
            self._accepted.append(0)
        self._second = int(now)
        self._accepted[-1] += calls
        self._window += calls
        self.total += calls

    @property
    def in_window(self) -> int:
        """Calls accepted in the last minute."""
        return self._window

    def since_full(self, now: float) -> float:
        """The rate that refills a bucket of a minute's size that was full at first and is empty now."""
        return self.total / (WINDOW_S + now - self.began_at)

    def window_ends_at(self) -> float:
        """When the first minute since the first call is over."""
        return self.began_at + WINDOW_S

    def recent(self, seconds: int) -> int:
        """Calls accepted in the last whole seconds, at most a minute of them."""
        return sum(list(self._accepted)[-1 - seconds : -1])

    def recent_rate(self, now: float, seconds: int) -> float:
        """Calls/s accepted in about the last `seconds`, or since the first call where that is less."""
        self._count(now, 0)
        sent_s = min(max(now - self.began_at, 1.0), seconds + now - int(now))
        return sum(list(self._accepted)[-1 - seconds :]) / sent_s

    def set(self, now: float, rate: float, *, ceiling: float | None = None) -> None:
        """Go on at `rate`; `ceiling`: what is thought to be allowed."""
        self.rate = max(rate, SLOWEST)
        if ceiling is not None:
            self._meet(ceiling)
        is_doubted = self.is_windowed and (not self.is_confirmed or self._window >= LARGE_WINDOW)
        self._step = DOUBTED_STEP if is_doubted else FIRST_STEP
        self._before = self.rate
        self._at, self._replies = now, 0
        self._next_at = max(self._next_at, now + 1 / self.rate)

    def lift(self) -> Known:
        """Let no rate hold any more; what to `restore` where it turns out that one did."""
        known = self.rate, self._ceiling, self.is_windowed, self.is_confirmed
        self.rate, self._ceiling = math.inf, 0.0
        self.is_windowed = self.is_confirmed = False
        self._next_at = -math.inf
        return known

    def restore(self, now: float, known: Known) -> None:
        """Go on at the rate that was known when it was lifted."""
        rate, self._ceiling, self.is_windowed, self.is_confirmed = known
        self.set(now, rate)

    def guess(self, now: float, rate: float) -> None:
        """Go on at `rate`, of which nothing is known: it grows fast until a call is refused."""
        self.is_windowed = False
        self.set(now, max(rate, SLOWEST_GUESS))
        self._ceiling = 0.0

    def _meet(self, ceiling: float) -> None:
        known = self._ceiling
        is_alike = 0 < known < math.inf and 1 / SAME_CEILING <= ceiling / known <= SAME_CEILING
        # Where refusals never cease it is not met again: it falls, and what falls is no ceiling.
        self.is_confirmed = is_alike and (self.is_windowed or self._served >= SERVED_BETWEEN)
        self._ceiling = ceiling

    def bound(self, rate: float) -> None:
        """It has turned out that no more than `rate` is allowed."""
        self.rate = max(min(self.rate, rate), self.rate / 2, SLOWEST)
        self._ceiling = min(self._ceiling, rate)

    def cut(self, now: float, *, nth: int, since: float) -> None:
        """Slow down at the `nth` refusal (1, 2, ...) of those that began at `since`."""
        if self._ceiling == 0:
            # The last step was one too many.
            self.set(now, self._before * MARGIN, ceiling=self.rate)
            return
        if nth == 1:
            self._meet(max(self._before, min(self.rate, self._window / WINDOW_S)))
            self.rate = self._before
        rate = self.rate
        seconds = int(min(now - since, 10.0))
        accepted = self.recent(seconds)
        if nth <= len(CUTS):
            rate *= 1 - CUTS[nth - 1]
        elif accepted >= 10:
            rate = min(rate, accepted / seconds * MARGIN)
        elif nth % 8 == 0:
            rate *= 0.5
        self.set(now, rate)

    def replied(self, now: float, *, is_saturated: bool) -> None:
        """A call brought a reply; raise the rate where it is time."""
        self._replies += 1
        is_recovering = self.rate * 1.03 < self._ceiling
        is_guess = self._ceiling == 0
        is_quiet = now - self._refused_at > WINDOW_S
        # Each step may end in a few refusals, so it takes calls as well as time.
        is_slow = self.is_confirmed and not is_quiet
        fewest = 3 if is_guess else 5 if is_recovering else 100 if is_slow else 20
        is_settled = self.is_windowed and not is_recovering and not is_guess
        interval_s = WINDOW_S if is_settled else GUESS_INTERVAL_S if is_guess else INTERVAL_S
        if now - self._at > PATIENCE_S:
            fewest = 3
        if not is_saturated or now - self._at < interval_s or self._replies < fewest:
            return
        is_used = self._replies >= 0.9 * self.rate * (now - self._at)
        self._at, self._replies = now, 0
        if not is_used:
            return
        self._before = self.rate
        if is_recovering:
            self.rate += (self._ceiling - self.rate) / 2
        elif is_guess:
            self.rate *= 1 + GUESS_STEP
        else:
            if not is_settled:
                self._step = min(2 * self._step, LARGEST_STEP)
            self.rate *= 1 + self._step
            if is_settled:
                self._step = min(2 * self._step, LARGEST_STEP)

    def __repr__(self) -> str:
        known = f"{self.rate * 60:,.0f} requests/min" if self.is_known else "no rate"
        return f"Pace({known}, {self._window} accepted in the last minute)"
