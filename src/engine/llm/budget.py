"""A run's limits in money and tokens, over all of its stages and processes: never over at any instant.

A call is reserved at its upper bound (its prompt's estimate and `max_tokens`, at full price) before it is
sent, and settled at what it cost. It is sent only where its bound fits beside what is settled and reserved;
else it waits, first come, first served, for calls in the air to land. Where it does not fit and nothing is in
the air it never will, and the run stops. What may have been paid for counts at its bound.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from engine.errors import Stopped
from engine.llm.prices import Price, describe_usd
from engine.schema.call import Usage


class Hold(NamedTuple):
    """What is reserved for one call."""

    price: Price | None
    cost: int
    tokens: int


@dataclass(frozen=True, slots=True)
class Spent:
    """What went out before: picodollars and tokens in all, `possibly` (cost) where nobody can be sure."""

    cost: int = 0
    tokens: int = 0
    possibly: int = 0


class Budget:
    """The accounts of one process's work on a run. For one event loop's thread only.

    `prices` by model; a model without one costs nothing here, which only a run without `max_cost` may have.
    `max_cost` is in picodollars; None = no such limit. `again` is the command that goes on.
    """

    __slots__ = (
        "_freed",
        "_turn",
        "_waiting",
        "again",
        "cost",
        "in_flight",
        "max_cost",
        "max_tokens",
        "possibly",
        "prices",
        "reserved_cost",
        "reserved_tokens",
        "tokens",
    )

    def __init__(
        self,
        prices: Mapping[str, Price],
        *,
        max_cost: int | None = None,
        max_tokens: int | None = None,
        spent: Spent | None = None,
        again: str = "the same command",
    ) -> None:
        spent = spent or Spent()
        self.prices = prices
        self.max_cost = max_cost
        self.max_tokens = max_tokens
        self.again = again
        self.cost, self.tokens, self.possibly = spent.cost, spent.tokens, spent.possibly
        self.reserved_cost = self.reserved_tokens = self.in_flight = 0
        self._waiting = 0
        self._turn = asyncio.Lock()
        self._freed: asyncio.Future[None] | None = None

    def try_reserve(self, model: str, input_tokens: int, output_tokens: int) -> Hold | None:
        """Set a call's upper bound aside at once; None where it does not fit now, or others wait."""
        hold = self._bound(model, input_tokens, output_tokens)
        return None if self._waiting or not self._fits(hold) else self._reserved(hold)

    async def reserve(self, model: str, input_tokens: int, output_tokens: int) -> Hold:
        """Set a call's upper bound aside, as soon as it fits. Raises Stopped where it never will."""
        hold = self._bound(model, input_tokens, output_tokens)
        if self._waiting or not self._fits(hold):
            await self._wait_for(hold)
        return self._reserved(hold)

    def _bound(self, model: str, input_tokens: int, output_tokens: int) -> Hold:
        price = self.prices.get(model)
        cost = 0 if price is None else price.most(input_tokens, output_tokens)
        return Hold(price, cost, input_tokens + output_tokens)

    def _reserved(self, hold: Hold) -> Hold:
        self.reserved_cost += hold.cost
        self.reserved_tokens += hold.tokens
        self.in_flight += 1
        return hold

    def settle(self, hold: Hold, usage: Usage | None) -> None:
        """A call is over: it cost what `usage` says, or its bound where nobody knows (None, or no tokens)."""
        if usage is None or usage.prompt_tokens + usage.completion_tokens == 0:
            self.cost += hold.cost
            self.tokens += hold.tokens
            self.possibly += hold.cost
        else:
            self.cost += 0 if hold.price is None else hold.price.cost(usage)
            self.tokens += usage.prompt_tokens + usage.completion_tokens
        self.release(hold)

    @property
    def is_of_use(self) -> bool:
        """Whether there is a price to count with, or a limit to keep."""
        return bool(self.prices) or self.max_cost is not None or self.max_tokens is not None

    def change(self, *, max_cost: int | None, max_tokens: int | None, before: Spent | None = None) -> None:
        """Other limits from now on; whoever waits looks again.

        `before` is what went out beside what is counted here: for a budget that had no limits until now.
        """
        self.max_cost, self.max_tokens = max_cost, max_tokens
        if before is not None:
            self.cost += before.cost
            self.tokens += before.tokens
            self.possibly += before.possibly
        self._wake()

    def release(self, hold: Hold) -> None:
        """Nothing is to be paid: the call was not sent, or was refused before any work."""
        self.reserved_cost -= hold.cost
        self.reserved_tokens -= hold.tokens
        self.in_flight -= 1
        self._wake()

    def _wake(self) -> None:
        if self._freed is not None and not self._freed.done():
            self._freed.set_result(None)

    async def _wait_for(self, hold: Hold) -> None:
        self._waiting += 1
        try:
            async with self._turn:
                while not self._fits(hold):
                    if self.in_flight == 0:
                        raise self._used_up(hold)
                    self._freed = asyncio.get_running_loop().create_future()
                    await self._freed
        finally:
            self._waiting -= 1

    def _fits(self, hold: Hold) -> bool:
        cost, tokens = self.max_cost, self.max_tokens
        return (cost is None or self.cost + self.reserved_cost + hold.cost <= cost) and (
            tokens is None or self.tokens + self.reserved_tokens + hold.tokens <= tokens
        )

    def _used_up(self, hold: Hold) -> Stopped:
        if self.max_cost is not None and self.cost + hold.cost > self.max_cost:
            possibly = ""
            if self.possibly:
                possibly = f" (of it {describe_usd(self.possibly)} for calls that were possibly paid for)"
            return Stopped(
                f"the budget is used up: {describe_usd(self.cost)} of {describe_usd(self.max_cost)} are spent"
                f"{possibly}, and the next call may cost up to {describe_usd(hold.cost)}. Nothing is lost: "
                f"go on with a higher limit: {self.again} --max-cost {_higher(self.cost + hold.cost)}"
            )
        return Stopped(
            f"the budget is used up: {self.tokens:,} of {self.max_tokens:,} tokens are spent, and the next "
            f"call may take up to {hold.tokens:,}. Nothing is lost: go on with a higher limit: {self.again} "
            f"--max-tokens {2 * (self.tokens + hold.tokens)}"
        )

    def __repr__(self) -> str:
        limit = "no limit" if self.max_cost is None else describe_usd(self.max_cost)
        return (
            f"Budget({describe_usd(self.cost)} spent, {describe_usd(self.reserved_cost)} reserved, of "
            f"{limit}; {self.tokens:,} tokens, {self.in_flight} in flight, {self._waiting} waiting)"
        )


def _higher(cost: int) -> str:
    """A limit to suggest, in USD: about twice of what a run has come to need, in two digits."""
    return f"{2 * cost / 10**12:.2g}" if cost < 5 * 10**13 else f"{2 * cost / 10**12:.0f}"
