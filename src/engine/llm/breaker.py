"""A circuit breaker for one endpoint: stop sending where nearly everything fails, try again gently.

    closed      all calls may go; failures and successes of the last WINDOW_S are counted
    open        none may go, for a time that doubles with each relapse, with jitter on both sides
    half-open   1, 2, 4, ... real calls may be in the air at once; one failure opens it again, and
                after PROBES successes it is closed

Pure: the time is passed in, the randomness belongs to the endpoint. What counts as a failure of the
endpoint (no connection, resets, deadlines, 5xx) is for the caller to say; a throttle is none.
"""

from __future__ import annotations

from collections import deque
from enum import Enum, auto
from random import Random

WINDOW_S = 30.0
FEWEST_OUTCOMES = 10
FAILURE_SHARE = 0.5
FIRST_OPEN_S = 15.0
LONGEST_OPEN_S = 300.0
PROBES = 8


class BreakerState(Enum):
    """Whether calls may go to the endpoint."""

    CLOSED = auto()
    OPEN = auto()
    HALF_OPEN = auto()


class Breaker:
    """The breaker of one endpoint."""

    __slots__ = (
        "_failures", "_in_probe", "_open_until", "_outcomes", "_probe_limit", "_probed", "_random",
        "_relapses", "_seconds", "_state",
    )  # fmt: skip

    def __init__(self, random: Random) -> None:
        self._random = random
        # [second, outcomes, failures] of each second with any: what a busy endpoint costs does not grow.
        self._seconds: deque[list[int]] = deque()
        self._outcomes = 0
        self._failures = 0
        self._state = BreakerState.CLOSED
        self._open_until = 0.0
        self._relapses = 0
        self._in_probe = 0
        self._probe_limit = 1
        self._probed = 0

    def state(self, now: float) -> BreakerState:
        """The state at `now` (monotonic seconds); an open breaker turns half-open by itself."""
        if self._state is BreakerState.OPEN and now >= self._open_until:
            self._state = BreakerState.HALF_OPEN
            self._in_probe, self._probe_limit, self._probed = 0, 1, 0
        return self._state

    def may_send(self, now: float) -> bool:
        """Whether one more call may go now."""
        if self._state is BreakerState.CLOSED:
            return True
        state = self.state(now)
        if state is BreakerState.HALF_OPEN:
            return self._in_probe < self._probe_limit
        return state is BreakerState.CLOSED

    def wait_s(self, now: float) -> float:
        """Seconds until it may be worth asking again; 0 where a call may go now."""
        if self.may_send(now):
            return 0.0
        # Half-open and full of probes: their outcome decides, and is at most a call away.
        return self._open_until - now if self._state is BreakerState.OPEN else 1.0

    def begin(self, now: float) -> None:
        """A call is sent."""
        if self.state(now) is BreakerState.HALF_OPEN:
            self._in_probe += 1

    def succeed(self, now: float) -> None:
        """A call got an answer, whatever its status: the endpoint lives."""
        if self.state(now) is not BreakerState.HALF_OPEN:
            self._count(now, is_failure=False)
            return
        self._in_probe = max(0, self._in_probe - 1)
        self._probed += 1
        self._probe_limit *= 2
        if self._probed >= PROBES:
            self._state = BreakerState.CLOSED
            self._relapses = 0
            self._forget()

    def fail(self, now: float) -> None:
        """A call failed in a way that speaks against the endpoint."""
        if self.state(now) is BreakerState.HALF_OPEN:
            self._open(now)
            return
        self._count(now, is_failure=True)
        if (
            self._state is BreakerState.CLOSED
            and self._outcomes >= FEWEST_OUTCOMES
            and self._failures >= FAILURE_SHARE * self._outcomes
        ):
            self._open(now)

    def abandon(self, now: float) -> None:
        """A call was given up from our side, or throttled: it says nothing."""
        if self.state(now) is BreakerState.HALF_OPEN:
            self._in_probe = max(0, self._in_probe - 1)

    def _open(self, now: float) -> None:
        self._state = BreakerState.OPEN
        longest = min(LONGEST_OPEN_S, FIRST_OPEN_S * 2.0 ** min(self._relapses, 10))
        self._open_until = now + self._random.uniform(0.8, 1.2) * longest
        self._relapses += 1
        self._forget()

    def _count(self, now: float, *, is_failure: bool) -> None:
        second = int(now)
        if not self._seconds or self._seconds[-1][0] != second:
            self._seconds.append([second, 0, 0])
            while self._seconds[0][0] < second - WINDOW_S:
                _, outcomes, failures = self._seconds.popleft()
                self._outcomes -= outcomes
                self._failures -= failures
        last = self._seconds[-1]
        last[1] += 1
        self._outcomes += 1
        if is_failure:
            last[2] += 1
            self._failures += 1

    def _forget(self) -> None:
        self._seconds.clear()
        self._outcomes = self._failures = 0

    def __repr__(self) -> str:
        return f"Breaker({self._state.name.lower()}, {self._failures}/{self._outcomes} failed)"
