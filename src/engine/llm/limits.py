"""Admission to one endpoint: never over its limits, nearly all used, strictly first come, first served.

Two rules hold at once. The *window* is exact: what was admitted in any 60 s never exceeds requests/min and
tokens/min, whether the server counts in a sliding window or drains a bucket of one minute's size. The *pace*
is smooth: at most 1 % of a limit is ever stored as a burst, so that a run does not spend its minute in one
second, and late timers still lose nothing. A request that is larger than the burst runs the pace into debt
and is waited off by those behind it.

One waiter at a time, the head, looks at the limits; the rest queue for its place. So a large request never
starves behind small ones, nobody overtakes, and there is one timer whatever the length of the queue.

Limits may change in place, and a pause is a limit of nothing: the window counts sends also where there is no
limit, so that what was sent before a change counts against the limit after it.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import anyio
from aiolimiter import AsyncLimiter

from engine.clock import Clock
from engine.errors import ConfigError
from engine.llm.adaptive import Governor

WINDOW_S = 60.0
# Sends are counted per slot, so memory is 600 slots at any rate; a slot leaves when its last instant does,
# which costs 0.1 s in 60 s (0.17 % of the limit).
SLOT_S = 0.1
BURST = 0.01
# Shorter waits would only spin: what a late timer leaves unused is kept as burst.
MIN_WAIT_S = 0.001


class Admission:
    """The limits of one endpoint. For one event loop's thread only.

    `requests_per_min`, `tokens_per_min`, `max_in_flight`: None = no such limit. Requests are paced by the
    event loop's clock (aiolimiter), tokens and windows by `clock`. A `governor` adds the limits that it
    finds by trying.
    """

    __slots__ = (
        "_clock",
        "_freed",
        "_governor",
        "_in_flight",
        "_is_paused",
        "_largest_request",
        "_max_in_flight",
        "_nap",
        "_pace",
        "_pacing",
        "_turn",
        "_waiting",
        "_window",
    )

    def __init__(
        self,
        clock: Clock,
        *,
        requests_per_min: int | None = None,
        tokens_per_min: int | None = None,
        max_in_flight: int | None = None,
        governor: Governor | None = None,
    ) -> None:
        self._clock = clock
        self._governor = governor
        self._window = Window(clock.now(), requests_per_min, tokens_per_min)
        self._pace = _request_pace(requests_per_min)
        self._max_in_flight = math.inf if max_in_flight is None else max_in_flight
        self._is_paused = False
        self._largest_request = 0
        self._in_flight = 0
        self._waiting = 0
        self._turn = asyncio.Lock()
        self._nap: anyio.CancelScope | None = None
        self._pacing: anyio.CancelScope | None = None
        self._freed: asyncio.Future[None] | None = None

    def set_limits(
        self, *, requests_per_min: int | None, tokens_per_min: int | None, max_in_flight: int | None
    ) -> None:
        """Change all three limits at once, whoever waits; None = no such limit.

        What was sent within the last 60 s counts against the new ones. Calls beyond a smaller `max_in_flight`
        stay in the air, and no other is admitted until they are fewer.
        """
        if requests_per_min != self._window.requests_per_min:
            self._pace = _request_pace(requests_per_min)
            if self._pacing is not None:
                self._pacing.cancel()
        self._window.set_limits(self._clock.now(), requests_per_min, tokens_per_min)
        self._max_in_flight = math.inf if max_in_flight is None else max_in_flight
        if (requests_per_min, tokens_per_min, max_in_flight) != (None, None, None):
            self._governor = None  # what is known need not be found by trying
        self._wake()

    @property
    def limits(self) -> dict[str, int | None]:
        """The three limits as `set_limits` takes them."""
        return {
            "requests_per_min": self._window.requests_per_min,
            "tokens_per_min": self._window.tokens_per_min,
            "max_in_flight": None if math.isinf(self._max_in_flight) else int(self._max_in_flight),
        }

    @property
    def largest_request(self) -> int:
        """The most tokens that any request has asked for."""
        return self._largest_request

    @property
    def is_paused(self) -> bool:
        """Whether nothing is admitted at all; calls in the air go on."""
        return self._is_paused

    def pause(self) -> None:
        """Admit nothing until `go_on`; whoever asks waits."""
        self._is_paused = True

    def go_on(self) -> None:
        """End a pause."""
        self._is_paused = False
        self._wake()

    def try_acquire(self, tokens: int) -> Permit | None:
        """Admit at once; None where only `acquire` can: someone waits, a limit is met, requests are paced."""
        if tokens > self._largest_request:
            self._largest_request = tokens
        self._window.refuse_impossible(tokens)
        if self._pace is not None or self._waiting or self._is_full:
            return None
        now = self._clock.now()
        return None if self._wait_s(now, tokens) > 0 else self._admit(now, tokens)

    async def acquire(self, tokens: int) -> Permit:
        """Wait until a request that reserves `tokens` (input and output, upper bound) may be sent.

        Raises `ConfigError` for a request that the limit per minute can never admit. A cancelled wait
        reserves nothing; it may cost one step of the request pace.
        """
        permit = self.try_acquire(tokens)
        if permit is not None:
            return permit
        self._waiting += 1
        try:
            async with self._turn:
                return await self._acquire_as_head(tokens)
        finally:
            self._waiting -= 1

    async def _acquire_as_head(self, tokens: int) -> Permit:
        paced_by: AsyncLimiter | None = None
        while True:
            # Each time, since limits may have changed meanwhile.
            self._window.refuse_impossible(tokens)
            if self._is_full:
                await self._until_freed()
                continue
            now = self._clock.now()
            wait_s = self._wait_s(now, tokens)
            pace = self._pace
            if wait_s > 0:
                await self._sleep(wait_s)
            elif pace is None or pace is paced_by:
                return self._admit(now, tokens)
            else:
                # Then look again: a reply that used more than it reserved may have come meanwhile.
                try:
                    with anyio.CancelScope() as self._pacing:
                        await pace.acquire()
                        paced_by = pace
                finally:
                    self._pacing = None

    @property
    def _is_full(self) -> bool:
        return self._is_paused or self._in_flight >= self.max_in_flight

    def _wait_s(self, now: float, tokens: int) -> float:
        """Seconds until a request of `tokens` fits, as far as is known now; 0 = it fits."""
        wait_s = self._window.wait_s(now, tokens)
        return wait_s if self._governor is None else max(wait_s, self._governor.wait_s(now))

    async def _until_freed(self) -> None:
        self._freed = asyncio.get_running_loop().create_future()
        try:
            await self._freed
        finally:
            self._freed = None

    async def _sleep(self, seconds: float) -> None:
        """Sleep, but less when a settled call gives capacity back."""
        try:
            with anyio.CancelScope() as self._nap:
                await self._clock.sleep(max(seconds, MIN_WAIT_S))
        finally:
            self._nap = None

    def _admit(self, now: float, tokens: int) -> Permit:
        self._in_flight += 1
        if self._governor is not None:
            self._governor.on_send(now)
        return Permit(self, self._window.add(now, tokens), tokens)

    def _give_back(self, slot: Slot, tokens: int) -> None:
        """End a call: free its place and return `tokens` of its reservation (negative: charge more)."""
        self._in_flight -= 1
        if tokens:
            self._window.give_back(slot, tokens)
        if self._freed is not None and not self._freed.done():
            self._freed.set_result(None)
        if self._nap is not None and tokens > 0:
            self._nap.cancel()

    def _wake(self) -> None:
        """Let the head look again."""
        if self._freed is not None and not self._freed.done():
            self._freed.set_result(None)
        if self._nap is not None:
            self._nap.cancel()

    def prefill(self, sends: Sequence[tuple[float, int]]) -> None:
        """Count sends of an earlier process: (age in seconds, tokens) each. Call before any `acquire`."""
        now = self._clock.now()
        self._window = Window(now - WINDOW_S, self._window.requests_per_min, self._window.tokens_per_min)
        for age_s, tokens in sorted(sends, reverse=True):
            if 0 <= age_s < WINDOW_S:
                self._window.add(now - age_s, tokens)

    @property
    def in_flight(self) -> int:
        return self._in_flight

    @property
    def max_in_flight(self) -> float:
        """The in-flight limit, configured or found by trying; infinite where there is none."""
        if self._governor is None:
            return self._max_in_flight
        return min(self._max_in_flight, self._governor.in_flight_limit)

    @property
    def waiting(self) -> int:
        return self._waiting

    def __repr__(self) -> str:
        parts = [f"{self._in_flight} in flight", f"{self._waiting} waiting"]
        parts += ["paused"] if self._is_paused else []
        return f"Admission({', '.join(parts + self._window.describe(self._clock.now()))})"


def _request_pace(requests_per_min: int | None) -> AsyncLimiter | None:
    if requests_per_min is None:
        return None
    # Alone, AsyncLimiter(1, 60 / n) is exact but loses each timer's lateness: 55-89 % of 60,000/min
    # were used. A burst of 1 % makes up for that, and the window keeps the whole exact.
    burst = max(1, int(requests_per_min * BURST))
    return AsyncLimiter(burst, WINDOW_S * burst / requests_per_min)


class Permit:
    """Leave to send one request. End it by `settle`, or by `refund` where no work was done; once counts."""

    __slots__ = ("_admission", "_is_open", "_slot", "tokens")

    def __init__(self, admission: Admission, slot: Slot, tokens: int) -> None:
        self._admission = admission
        self._slot = slot
        self._is_open = True
        self.tokens = tokens

    def settle(self, used_tokens: int | None) -> None:
        """End the call with the tokens it used; None = unknown, which keeps the whole reservation."""
        if self._is_open:
            self._is_open = False
            self._admission._give_back(self._slot, 0 if used_tokens is None else self.tokens - used_tokens)

    def refund(self) -> None:
        """End a call that was refused before work was done. It still counts as a request."""
        self.settle(0)

    def __repr__(self) -> str:
        return f"Permit({self.tokens} tokens, {'open' if self._is_open else 'ended'})"


@dataclass(slots=True)
class Slot:
    """What was sent within one `SLOT_S`, and when all of it is out of the window.

    `is_paced`: its tokens were taken from the pace's level, so they may be given back to it.
    """

    expires_at: float
    is_paced: bool
    requests: int = 0
    tokens: int = 0


class Window:
    """The sends of the last minute, and the pace of tokens. Times must not go backwards."""

    __slots__ = (
        "_level",
        "_level_at",
        "_requests",
        "_slots",
        "_tokens",
        "requests_per_min",
        "tokens_per_min",
    )

    def __init__(self, now: float, requests_per_min: int | None, tokens_per_min: int | None) -> None:
        self.requests_per_min = requests_per_min
        self.tokens_per_min = tokens_per_min
        self._slots: deque[Slot] = deque()
        self._requests = 0
        self._tokens = 0
        self._level = self._burst
        self._level_at = now

    def set_limits(self, now: float, requests_per_min: int | None, tokens_per_min: int | None) -> None:
        """Go on with other limits; what was sent still counts."""
        self._refill(now)
        had_none = self.tokens_per_min is None
        self.requests_per_min, self.tokens_per_min = requests_per_min, tokens_per_min
        self._level = self._burst if had_none else min(self._level, self._burst)

    @property
    def _burst(self) -> float:
        return 0.0 if self.tokens_per_min is None else max(1.0, self.tokens_per_min * BURST)

    def refuse_impossible(self, tokens: int) -> None:
        """Raise where no amount of waiting would help."""
        if self.tokens_per_min is not None and tokens > self.tokens_per_min:
            raise ConfigError(
                f"one request reserves {tokens:,} tokens, but tokens_per_min is {self.tokens_per_min:,}: "
                "raise tokens_per_min or lower max_tokens"
            )

    def wait_s(self, now: float, tokens: int) -> float:
        """Seconds until a request of `tokens` fits, as far as is known now; 0 = it fits."""
        self._expire(now)
        return max(self._pace_wait_s(now, tokens), self._window_wait_s(now, tokens))

    def _pace_wait_s(self, now: float, tokens: int) -> float:
        if self.tokens_per_min is None:
            return 0.0
        self._refill(now)
        # A request larger than the burst needs a full burst, and leaves a debt.
        missing = min(tokens, self._burst) - self._level
        return 0.0 if missing <= 1e-6 else missing * WINDOW_S / self.tokens_per_min

    def _window_wait_s(self, now: float, tokens: int) -> float:
        requests_over = 0 if self.requests_per_min is None else self._requests + 1 - self.requests_per_min
        tokens_over = 0 if self.tokens_per_min is None else self._tokens + tokens - self.tokens_per_min
        if requests_over <= 0 and tokens_over <= 0:
            return 0.0
        wait_s = 0.0
        for slot in self._slots:
            if requests_over <= 0 and tokens_over <= 0:
                break
            requests_over -= slot.requests
            tokens_over -= slot.tokens
            wait_s = slot.expires_at - now
        return wait_s

    def add(self, now: float, tokens: int) -> Slot:
        """Count a request sent now."""
        self._expire(now)
        self._refill(now)
        ends_at = (math.floor(now / SLOT_S) + 1) * SLOT_S + WINDOW_S
        is_paced = self.tokens_per_min is not None
        last = self._slots[-1] if self._slots else None
        if last is None or last.expires_at < ends_at or last.is_paced is not is_paced:
            self._slots.append(Slot(ends_at, is_paced))
        slot = self._slots[-1]
        slot.requests += 1
        slot.tokens += tokens
        self._requests += 1
        self._tokens += tokens
        if is_paced:
            self._level -= tokens
        return slot

    def give_back(self, slot: Slot, tokens: int) -> None:
        """Return tokens to the slot that they were taken from; one that has expired no longer counts."""
        if slot.is_paced and self.tokens_per_min is not None:
            self._level += tokens
        if self._slots and slot.expires_at >= self._slots[0].expires_at:
            slot.tokens -= tokens
            self._tokens -= tokens

    def _expire(self, now: float) -> None:
        while self._slots and self._slots[0].expires_at <= now:
            slot = self._slots.popleft()
            self._requests -= slot.requests
            self._tokens -= slot.tokens

    def _refill(self, now: float) -> None:
        # Only time is capped by the burst: what a reply gave back was never used and is kept.
        if self.tokens_per_min is not None and self._level < self._burst:
            refill = (now - self._level_at) * self.tokens_per_min / WINDOW_S
            self._level = min(self._burst, self._level + refill)
        self._level_at = now

    def describe(self, now: float) -> list[str]:
        """The state of the last minute in words for a status line, one text for each limit."""
        self._expire(now)
        parts = []
        if self.requests_per_min is not None:
            parts.append(f"{self._requests:,} of {self.requests_per_min:,} requests/min")
        if self.tokens_per_min is not None:
            parts.append(f"{self._tokens:,} of {self.tokens_per_min:,} tokens/min")
        return parts
