"""Admission to one endpoint, or to one model there: never over, nearly all used, first come, first served.

Two rules hold at once. The *window* is exact: what was admitted in any 60 s never exceeds requests/min and
tokens/min, whether the server counts in a sliding window or drains a bucket of one minute's size. The *pace*
is smooth: at most 1 % of a limit is ever stored as a burst, so that a run does not spend its minute in one
second, and late timers still lose nothing. A request that is larger than the burst runs the pace into debt
and is waited off by those behind it.

One waiter at a time, the head, looks at the limits; the rest queue for its place. So a large request never
starves behind small ones, nobody overtakes, and there is one timer whatever the length of the queue.

Providers limit each model, and the account. So a model's admission may lie `within` an endpoint's: its head,
when the model's own limits let it, queues with the heads of the other models for the endpoint's. Both are
charged at one instant or neither is; who waits for its own model's limits keeps no other model waiting.

Limits may change in place, and a pause is a limit of nothing: each send is counted also where there is no
limit, in one of the two at least, so that what was sent before a change counts against the limit after it.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from typing import TypedDict, Unpack

from aiolimiter import AsyncLimiter

from engine.clock import Clock
from engine.llm.adaptive import Governor
from engine.llm.following import followed
from engine.llm.head import Head
from engine.llm.rate_headers import SeenLimits
from engine.llm.rates import Charge, Rates, request_pace


class Limits(TypedDict, total=False):
    """What is configured: tokens are input and output together, or each apart. None = no such limit."""

    requests_per_min: int | None
    tokens_per_min: int | None
    input_tokens_per_min: int | None
    output_tokens_per_min: int | None
    max_in_flight: int | None


class Admission:
    """The limits of one endpoint or of one model there. For one event loop's thread only.

    Requests are paced by the event loop's clock (aiolimiter), tokens and windows by `clock`. A `governor`
    adds the limits that it finds by trying; `within` is the endpoint's admission to a model's.
    """

    __slots__ = (
        "_clock", "_configured", "_governor", "_head", "_in_flight", "_is_paused", "_largest_output",
        "_largest_request", "_max_in_flight", "_models", "_pace", "_rates", "_turn", "_waiting", "_within",
    )  # fmt: skip

    def __init__(
        self,
        clock: Clock,
        *,
        governor: Governor | None = None,
        within: Admission | None = None,
        **limits: Unpack[Limits],
    ) -> None:
        self._clock = clock
        self._governor = governor
        self._within = within
        self._models: list[Admission] = []
        self._rates: Rates | None = None
        self._pace: AsyncLimiter | None = None
        self._is_paused = False
        self._largest_request = self._largest_output = 0
        self._in_flight = 0
        self._waiting = 0
        self._turn = asyncio.Lock()
        self._head = Head(clock)
        self._configure(limits)
        if within is not None:
            within._models.append(self)
            within._count()

    def set_limits(self, **limits: Unpack[Limits]) -> None:
        """Change all limits at once, whoever waits; None, or not given = no such limit.

        What was sent within the last 60 s counts against the new ones. Calls beyond a smaller `max_in_flight`
        stay in the air, and no other is admitted until they are fewer.
        """
        self._configure(limits)
        if self._is_limited:
            # What is known need not be found by trying.
            for admission in (self, *self._models):
                admission._governor = None
        self._head.wake()

    def _configure(self, limits: Limits) -> None:
        configured: dict[str, int | None] = dict.fromkeys(Limits.__annotations__)
        configured.update(limits)  # type: ignore[arg-type]
        self._configured = configured
        most = configured["max_in_flight"]
        self._max_in_flight = math.inf if most is None else most
        self._count()
        self._set_rates(
            configured["requests_per_min"],
            configured["tokens_per_min"],
            configured["input_tokens_per_min"],
            configured["output_tokens_per_min"],
        )

    @property
    def _is_limited(self) -> bool:
        return any(limit is not None for limit in self._configured.values())

    def _count(self) -> None:
        """Begin to count sends where that is needed, with those of the last minute; it costs 1 us a call."""
        if self._within is not None:
            is_needed = self._is_limited or self.search is not None
            counted = [] if self._within._rates is None else [self._within._rates]
        else:
            is_needed = self._is_limited or not all(model._rates for model in self._models)
            is_needed = is_needed or not self._models
            counted = [model._rates for model in self._models if model._rates is not None]
        if is_needed and self._rates is None:
            self._rates = Rates(self._clock.now(), counted)
        elif not is_needed and self._rates is not None and not self._rates.window.requests:
            self._rates = None

    def _set_rates(
        self,
        requests_per_min: int | None,
        tokens_per_min: int | None,
        input_tokens_per_min: int | None,
        output_tokens_per_min: int | None,
    ) -> None:
        if self._rates is None:
            return
        if requests_per_min != self._rates.window.requests_per_min:
            self._pace = request_pace(requests_per_min)
            self._head.leave_pace()
        self._rates.set_limits(
            self._clock.now(),
            requests_per_min=requests_per_min,
            tokens_per_min=tokens_per_min,
            input_tokens_per_min=input_tokens_per_min,
            output_tokens_per_min=output_tokens_per_min,
        )
        self._head.wake()

    def follow(self, seen: SeenLimits) -> None:
        """Keep what a server says of its limits, where none of that kind is configured."""
        if self._rates is None:
            return
        self._rates.wait_s(self._clock.now(), 0, 0)  # forget what is older
        limits = followed(
            seen,
            self._rates,
            self._configured,
            largest_request=self._largest_request,
            largest_output=self._largest_output,
        )
        if limits is not None:
            self._set_rates(*limits)

    @property
    def governor(self) -> Governor | None:
        """What finds the limits by trying; None where that is off, or some are known."""
        return self._governor

    @property
    def search(self) -> tuple[Governor, Admission] | None:
        """What finds the limits by trying, and whose: the model's or the endpoint's; None where it is off."""
        if self._governor is not None:
            return self._governor, self
        return None if self._within is None else self._within.search

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
        self._head.wake()

    def try_acquire(self, tokens: int, output_tokens: int = 0) -> Permit | None:
        """Admit at once; None where only `acquire` can: someone waits, a limit is met, requests are paced."""
        if tokens > self._largest_request:
            self._largest_request = tokens
        if output_tokens > self._largest_output:
            self._largest_output = output_tokens
        now = self._clock.now()
        within = self._within
        # Both are looked at in any case, for what neither waiting nor trying would help.
        fits = self._fits(now, tokens, output_tokens) and self._pace is None and not self._waiting
        if within is not None:
            fits_there = within._fits(now, tokens, output_tokens)
            fits = fits and fits_there and within._pace is None and not within._waiting
        return self._admit(now, tokens, output_tokens) if fits else None

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
            paced_by = await self._until_fits(tokens, output_tokens, paced_by)
            within = self._within
            if within is None:
                return self._admit(self._clock.now(), tokens, output_tokens)
            within._waiting += 1
            try:
                async with within._turn:
                    await within._until_fits(tokens, output_tokens, None)
                    now = self._clock.now()
                    # A reply that used more than it reserved may have come meanwhile, or another limit.
                    if self._fits(now, tokens, output_tokens):
                        return self._admit(now, tokens, output_tokens)
            finally:
                within._waiting -= 1

    async def _until_fits(
        self, tokens: int, output_tokens: int, paced_by: AsyncLimiter | None
    ) -> AsyncLimiter | None:
        """Wait as the head until the request fits; `paced_by` and the result: whose step has been taken."""
        while True:
            # Each time, since limits may have changed meanwhile.
            wait_s = self._wait_s(self._clock.now(), tokens, output_tokens)
            pace = self._pace
            if self._is_full:
                await self._head.until_freed()
            elif wait_s > 0:
                await self._head.sleep(wait_s)
            elif pace is None or pace is paced_by:
                return paced_by
            elif await self._head.take_step(pace):
                # Then look again: a reply that used more than it reserved may have come meanwhile.
                paced_by = pace

    @property
    def _is_full(self) -> bool:
        governor, in_flight = self._governor, self._in_flight
        if self._is_paused or in_flight >= self._max_in_flight:
            return True
        return governor is not None and in_flight >= governor.in_flight_limit

    def _fits(self, now: float, tokens: int, output_tokens: int) -> bool:
        """Whether a request may be sent now, but for the pace of requests and for who came before."""
        if self._rates is None and self._governor is None:
            return self._in_flight < self._max_in_flight and not self._is_paused
        return self._wait_s(now, tokens, output_tokens) <= 0 and not self._is_full

    def _wait_s(self, now: float, tokens: int, output_tokens: int) -> float:
        """Seconds until a request fits, as far as is known now; 0 = it fits. Refuses what never can."""
        rates, governor = self._rates, self._governor
        wait_s = 0.0
        if rates is not None:
            rates.refuse_impossible(tokens, output_tokens)
            wait_s = rates.wait_s(now, tokens, output_tokens)
        return wait_s if governor is None else max(wait_s, governor.wait_s(now))

    def _admit(self, now: float, tokens: int, output_tokens: int) -> Permit:
        within = self._within
        there = None if within is None else within._charge(now, tokens, output_tokens)
        return Permit(self, tokens, self._charge(now, tokens, output_tokens), there)

    def _charge(self, now: float, tokens: int, output_tokens: int) -> Charge | None:
        self._in_flight += 1
        if self._governor is not None:
            self._governor.on_send(now)
        return None if self._rates is None else self._rates.add(now, tokens, output_tokens)

    def _end(self, charge: Charge | None, tokens: int, used: int | None, used_output: int | None) -> None:
        """End a call: free its place and return what it did not use (negative: charge more)."""
        self._in_flight -= 1
        freed = 0
        if used is not None and charge is not None and self._rates is not None:
            freed = self._rates.settle(self._clock.now(), charge, tokens, used, used_output)
        self._head.call_ended(has_freed=freed > 0)

    def prefill(self, sends: Sequence[tuple[float, int]]) -> None:
        """Count sends of an earlier process: (age in seconds, tokens) each. Call before any `acquire`."""
        if self._rates is not None:
            self._rates.prefill(self._clock.now(), sends)

    @property
    def in_flight(self) -> int:
        return self._in_flight

    @property
    def max_in_flight(self) -> float:
        """The in-flight limit, configured or found by trying; infinite where there is none."""
        most = self._max_in_flight if self._within is None else self._within.max_in_flight
        most = min(most, self._max_in_flight)
        return most if self._governor is None else min(most, self._governor.in_flight_limit)

    @property
    def calls_per_min(self) -> float:
        """What the limits per minute allow, configured, named by the server or found; infinite = unknown."""
        least = math.inf if self._rates is None else self._rates.calls_per_min
        if self._governor is not None and (found := self._governor.requests_per_min) is not None:
            least = min(least, found)
        return least if self._within is None else min(least, self._within.calls_per_min)

    @property
    def waiting(self) -> int:
        """How many wait: for this model, or for all of the endpoint, whichever are more."""
        return self._waiting if self._within is None else max(self._waiting, self._within._waiting)

    @property
    def load(self) -> float:
        """The share of the in-flight limit that is in the air; of the model's or the endpoint's limit."""
        most = self._max_in_flight if self._governor is None else self._governor.in_flight_limit
        own = self._in_flight / min(most, self._max_in_flight)
        return own if self._within is None else max(own, self._within.load)

    def __repr__(self) -> str:
        parts = [f"{self._in_flight} in flight", f"{self._waiting} waiting"]
        parts += ["paused"] if self._is_paused else []
        parts += [] if self._rates is None else self._rates.describe(self._clock.now())
        return f"Admission({', '.join(parts)})"


class Permit:
    """Leave to send one request. End it by `settle`, or by `refund` where no work was done; once counts."""

    __slots__ = ("_admission", "_charge", "_charge_there", "_is_open", "tokens")

    def __init__(
        self, admission: Admission, tokens: int, charge: Charge | None, charge_there: Charge | None
    ) -> None:
        self._admission = admission
        self._charge = charge
        # Of the endpoint, where the admission is a model's.
        self._charge_there = charge_there
        self._is_open = True
        self.tokens = tokens

    def settle(self, used_tokens: int | None, output_tokens: int | None = None) -> None:
        """End the call with the tokens it used, of them `output_tokens`.

        None = unknown: that keeps the whole reservation, or counts all tokens as either kind.
        """
        if self._is_open:
            self._is_open = False
            admission = self._admission
            admission._end(self._charge, self.tokens, used_tokens, output_tokens)
            if admission._within is not None:
                admission._within._end(self._charge_there, self.tokens, used_tokens, output_tokens)

    def refund(self) -> None:
        """End a call that was refused before work was done. It still counts as a request."""
        self.settle(0)

    def __repr__(self) -> str:
        return f"Permit({self.tokens} tokens, {'open' if self._is_open else 'ended'})"
