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
from collections.abc import Sequence

import anyio
from aiolimiter import AsyncLimiter

from engine.clock import Clock
from engine.llm.adaptive import Governor
from engine.llm.rate_headers import SeenLimits
from engine.llm.window import BURST, WINDOW_S, Slot, Window

# Shorter waits would only spin: what a late timer leaves unused is kept as burst.
MIN_WAIT_S = 0.001
# Differences up to this share of a limit are the server's way of counting, not another process.
OTHERS = 0.05


class Admission:
    """The limits of one endpoint. For one event loop's thread only.

    `requests_per_min`, `tokens_per_min` (input and output together, or each apart), `max_in_flight`: None =
    no such limit. Requests are paced by the event loop's clock (aiolimiter), tokens and windows by `clock`. A
    `governor` adds the limits that it finds by trying.
    """

    __slots__ = (
        "_clock",
        "_configured",
        "_freed",
        "_governor",
        "_in_flight",
        "_input",
        "_is_paused",
        "_largest_request",
        "_max_in_flight",
        "_nap",
        "_output",
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
        input_tokens_per_min: int | None = None,
        output_tokens_per_min: int | None = None,
        max_in_flight: int | None = None,
        governor: Governor | None = None,
    ) -> None:
        self._clock = clock
        self._configured = {
            "requests_per_min": requests_per_min,
            "tokens_per_min": tokens_per_min,
            "input_tokens_per_min": input_tokens_per_min,
            "output_tokens_per_min": output_tokens_per_min,
            "max_in_flight": max_in_flight,
        }
        self._governor = governor
        self._window = Window(clock.now(), requests_per_min, tokens_per_min)
        self._input = self._split(None, input_tokens_per_min, "input_tokens")
        self._output = self._split(None, output_tokens_per_min, "output_tokens")
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

    def _split(self, window: Window | None, per_min: int | None, what: str) -> Window | None:
        """The window of one kind of tokens under a new limit; None without one, which costs nothing."""
        now = self._clock.now()
        if per_min is None:
            return None
        if window is None:
            return self._window.copied(now, per_min, what=what)
        window.set_limits(now, None, per_min)
        return window

    def set_limits(
        self,
        *,
        requests_per_min: int | None,
        tokens_per_min: int | None,
        max_in_flight: int | None,
        input_tokens_per_min: int | None = None,
        output_tokens_per_min: int | None = None,
    ) -> None:
        """Change all limits at once, whoever waits; None = no such limit.

        What was sent within the last 60 s counts against the new ones. Calls beyond a smaller `max_in_flight`
        stay in the air, and no other is admitted until they are fewer.
        """
        self._configured = {
            "requests_per_min": requests_per_min,
            "tokens_per_min": tokens_per_min,
            "input_tokens_per_min": input_tokens_per_min,
            "output_tokens_per_min": output_tokens_per_min,
            "max_in_flight": max_in_flight,
        }
        self._input = self._split(self._input, input_tokens_per_min, "input_tokens")
        self._output = self._split(self._output, output_tokens_per_min, "output_tokens")
        self._max_in_flight = math.inf if max_in_flight is None else max_in_flight
        if any(limit is not None for limit in self._configured.values()):
            self._governor = None  # what is known need not be found by trying
        self._set_rates(requests_per_min, tokens_per_min)

    def _set_rates(self, requests_per_min: int | None, tokens_per_min: int | None) -> None:
        if requests_per_min != self._window.requests_per_min:
            self._pace = _request_pace(requests_per_min)
            if self._pacing is not None:
                self._pacing.cancel()
        self._window.set_limits(self._clock.now(), requests_per_min, tokens_per_min)
        self._wake()

    def follow(self, seen: SeenLimits) -> None:
        """Keep what a server says of its limits, where none of that kind is configured.

        What others use of them (other processes with the same key) is left to them: it is what the server
        counts beyond our own sends of the last minute.
        """
        window = self._window
        window.wait_s(self._clock.now(), 0)  # forget what is older
        requests, tokens = window.requests_per_min, window.tokens_per_min
        has_tokens = any(self._configured[f"{kind}tokens_per_min"] for kind in ("", "input_", "output_"))
        if self._configured["requests_per_min"] is None and seen.requests_per_min is not None:
            requests = _ours(seen.requests_per_min, seen.remaining_requests, window.requests)
        if not has_tokens and seen.tokens_per_min is not None:
            # A request that could never be sent would end the run: rather let the server refuse it.
            ours = _ours(seen.tokens_per_min, seen.remaining_tokens, window.tokens)
            tokens = max(ours, self._largest_request)
        if not (_is_alike(requests, window.requests_per_min) and _is_alike(tokens, window.tokens_per_min)):
            self._set_rates(requests, tokens)

    @property
    def limits(self) -> dict[str, int | None]:
        """The configured limits as `set_limits` takes them."""
        return dict(self._configured)

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

    def try_acquire(self, tokens: int, output_tokens: int = 0) -> Permit | None:
        """Admit at once; None where only `acquire` can: someone waits, a limit is met, requests are paced."""
        if tokens > self._largest_request:
            self._largest_request = tokens
        self._refuse_impossible(tokens, output_tokens)
        if self._pace is not None or self._waiting or self._is_full:
            return None
        now = self._clock.now()
        wait_s = self._wait_s(now, tokens, output_tokens)
        return None if wait_s > 0 else self._admit(now, tokens, output_tokens)

    async def acquire(self, tokens: int, output_tokens: int = 0) -> Permit:
        """Wait until a request that reserves `tokens`, of them `output_tokens` (upper bounds), may be sent.

        Raises `ConfigError` for a request that the limit per minute can never admit. A cancelled wait
        reserves nothing; it may cost one step of the request pace.
        """
        permit = self.try_acquire(tokens, output_tokens)
        if permit is not None:
            return permit
        self._waiting += 1
        try:
            async with self._turn:
                return await self._acquire_as_head(tokens, output_tokens)
        finally:
            self._waiting -= 1

    async def _acquire_as_head(self, tokens: int, output_tokens: int) -> Permit:
        paced_by: AsyncLimiter | None = None
        while True:
            # Each time, since limits may have changed meanwhile.
            self._refuse_impossible(tokens, output_tokens)
            if self._is_full:
                await self._until_freed()
                continue
            now = self._clock.now()
            wait_s = self._wait_s(now, tokens, output_tokens)
            pace = self._pace
            if wait_s > 0:
                await self._sleep(wait_s)
            elif pace is None or pace is paced_by:
                return self._admit(now, tokens, output_tokens)
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

    def _refuse_impossible(self, tokens: int, output_tokens: int) -> None:
        self._window.refuse_impossible(tokens)
        if self._input is not None:
            self._input.refuse_impossible(tokens - output_tokens)
        if self._output is not None:
            self._output.refuse_impossible(output_tokens)

    def _wait_s(self, now: float, tokens: int, output_tokens: int) -> float:
        """Seconds until a request fits, as far as is known now; 0 = it fits."""
        wait_s = self._window.wait_s(now, tokens)
        if self._input is not None:
            wait_s = max(wait_s, self._input.wait_s(now, tokens - output_tokens))
        if self._output is not None:
            wait_s = max(wait_s, self._output.wait_s(now, output_tokens))
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

    def _admit(self, now: float, tokens: int, output_tokens: int) -> Permit:
        self._in_flight += 1
        if self._governor is not None:
            self._governor.on_send(now)
        permit = Permit(self, self._window.add(now, tokens), tokens)
        if self._input is not None or self._output is not None:
            shares = ((self._input, tokens - output_tokens), (self._output, output_tokens))
            permit.shares = tuple(
                None if window is None else (window, window.add(now, amount), amount)
                for window, amount in shares
            )
        return permit

    def _give_back(self, permit: Permit, used_tokens: int | None, used_output: int | None) -> None:
        """End a call: free its place and return what it did not use (negative: charge more)."""
        self._in_flight -= 1
        tokens = 0 if used_tokens is None else permit.tokens - used_tokens
        if tokens:
            self._window.give_back(self._clock.now(), permit.slot, tokens)
        if permit.shares and used_tokens is not None:
            output = min(used_tokens, used_tokens if used_output is None else used_output)
            # Where the kind is unknown, all of it counts as either.
            used = (used_tokens - (0 if used_output is None else output), output)
            for share, spent in zip(permit.shares, used, strict=True):
                if share is not None:
                    window, slot, amount = share
                    window.give_back(self._clock.now(), slot, amount - spent)
                    tokens = max(tokens, amount - spent)
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
        # Of what kind they were is not known.
        for what in ("input_tokens", "output_tokens"):
            per_min = self._configured[f"{what}_per_min"]
            if per_min is not None:
                setattr(self, f"_{what[:-7]}", self._window.copied(now, per_min, what=what))

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
        for window in (self._window, self._input, self._output):
            parts += [] if window is None else window.describe(self._clock.now())
        return f"Admission({', '.join(parts)})"


def _ours(limit: int, remaining: int | None, sent: int) -> int:
    """What of a limit is left for this process, in a minute."""
    others = 0 if remaining is None else limit - remaining - sent
    return limit if others <= OTHERS * limit else max(1, int(limit * OTHERS), limit - others)


def _is_alike(one: int | None, other: int | None) -> bool:
    if one is None or other is None:
        return one is other
    return abs(one - other) <= OTHERS * max(one, other)


def _request_pace(requests_per_min: int | None) -> AsyncLimiter | None:
    if requests_per_min is None:
        return None
    # Alone, AsyncLimiter(1, 60 / n) is exact but loses each timer's lateness: 55-89 % of 60,000/min
    # were used. A burst of 1 % makes up for that, and the window keeps the whole exact.
    burst = max(1, int(requests_per_min * BURST))
    return AsyncLimiter(burst, WINDOW_S * burst / requests_per_min)


class Permit:
    """Leave to send one request. End it by `settle`, or by `refund` where no work was done; once counts."""

    __slots__ = ("_admission", "_is_open", "shares", "slot", "tokens")

    def __init__(self, admission: Admission, slot: Slot, tokens: int) -> None:
        self._admission = admission
        self._is_open = True
        self.slot = slot
        self.tokens = tokens
        # Input and output tokens, where they are limited apart.
        self.shares: tuple[tuple[Window, Slot, int] | None, ...] = ()

    def settle(self, used_tokens: int | None, output_tokens: int | None = None) -> None:
        """End the call with the tokens it used, of them `output_tokens`.

        None = unknown: that keeps the whole reservation, or counts all tokens as either kind.
        """
        if self._is_open:
            self._is_open = False
            self._admission._give_back(self, used_tokens, output_tokens)

    def refund(self) -> None:
        """End a call that was refused before work was done. It still counts as a request."""
        self.settle(0)

    def __repr__(self) -> str:
        return f"Permit({self.tokens} tokens, {'open' if self._is_open else 'ended'})"
