"""Never over at any instant, nearly used up, a stop that says what to do: over calls, failures and kills."""

from __future__ import annotations

import asyncio
from random import Random

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.llm.test_caller import OK, Bench, server_failed

from engine.errors import CallFailed, Stopped, TransportFailed
from engine.llm.budget import Budget, Spent
from engine.llm.drain import Draining
from engine.llm.prices import USD, Price
from engine.schema.call import Usage

PRICE = Price(2, 1, 2, 10)
# Of OK, the reply of the caller's tests: 10 tokens in, 5 out.
COST = 10 * 2 + 5 * 10


class World:
    """A server that charges, a journal that survives, and sessions that may be killed.

    `paid` is the truth; the engine knows `settled` and `possibly`, and counts the rest after a kill.
    """

    def __init__(self, random: Random, limit: int, concurrency: int) -> None:
        self.random, self.limit, self.concurrency = random, limit, concurrency
        self.paid = self.settled = self.possibly = 0
        self.kills = self.largest = 0
        self.stopped = 0

    def bound(self) -> tuple[int, int]:
        return self.random.randint(1, 30), self.random.randint(1, 30)

    def open_budget(self) -> Budget:
        possibly = self.possibly + self.kills * self.concurrency * self.largest
        return Budget({"m": PRICE}, max_cost=self.limit, spent=Spent(self.settled + possibly, 0, possibly))

    async def ask(self, budget: Budget) -> bool:
        """One call; False where the budget stops the run."""
        asked, said = self.bound()
        self.largest = max(self.largest, PRICE.most(asked, said))  # on record before it is reserved
        try:
            hold = await budget.reserve("m", asked, said)
        except Stopped:
            self.stopped += 1
            return False
        self.check(budget)
        fate = self.random.choice(["reply", "reply", "reply", "refused", "lost but paid", "lost"])
        used = Usage(asked, said)  # as much as there can be, or less
        if self.random.random() < 0.5:
            prompt = self.random.randint(0, asked)
            used = Usage(prompt, self.random.randint(0, said), self.random.randint(0, prompt))
        await asyncio.sleep(0)
        if fate in ("reply", "lost but paid"):
            self.paid += PRICE.cost(used)
        self.check(budget)
        for _ in range(self.random.randint(0, 3)):
            await asyncio.sleep(0)
        if fate == "reply":
            is_counted = used.prompt_tokens + used.completion_tokens > 0
            self.settled += PRICE.cost(used) if is_counted else hold.cost
            budget.settle(hold, used)
        elif fate == "refused":
            budget.release(hold)
        else:
            self.possibly += hold.cost
            budget.settle(hold, None)
        self.check(budget)
        return True

    def check(self, budget: Budget) -> None:
        assert self.paid <= self.limit
        assert budget.cost + budget.reserved_cost <= max(self.limit, budget.cost)
        assert budget.reserved_cost >= 0

    async def session(self, calls: int, *, is_killed: bool) -> Budget:
        budget = self.open_budget()

        async def conversation() -> None:
            for _ in range(calls):
                if not await self.ask(budget):
                    return

        tasks = [asyncio.ensure_future(conversation()) for _ in range(self.concurrency)]
        if is_killed:
            for _ in range(self.random.randint(0, 12)):
                await asyncio.sleep(0)
            for task in tasks:
                task.cancel()  # as a SIGKILL: nobody settles, nothing more is recorded
            self.kills += 1
        await asyncio.gather(*tasks, return_exceptions=True)
        for task in tasks:
            if not task.cancelled() and (error := task.exception()) is not None:
                raise error
        return budget


@settings(max_examples=150, deadline=None)
@given(
    st.integers(),
    st.integers(1, 8_000),
    st.integers(1, 8),
    st.lists(st.sampled_from([True, True, False]), max_size=8),
)
def test_no_mix_of_calls_failures_and_kills_pays_more_than_the_limit(
    seed: int, limit: int, concurrency: int, kills: list[bool]
) -> None:
    world = World(Random(seed), limit, concurrency)

    async def live() -> None:
        for is_killed in kills:
            await world.session(4, is_killed=is_killed)
        budget = await world.session(10_000 // concurrency, is_killed=False)
        assert budget.reserved_cost == budget.reserved_tokens == budget.in_flight == 0
        assert world.stopped > 0
        # What is left would not have been enough for the largest call.
        assert budget.cost + PRICE.most(30, 30) > limit

    asyncio.run(live())
    assert world.paid <= limit


@settings(max_examples=50, deadline=None)
@given(st.integers(), st.integers(1, 500), st.integers(1, 10))
def test_tokens_are_limited_as_money_is_and_without_a_price(seed: int, limit: int, callers: int) -> None:
    random = Random(seed)

    async def live() -> Budget:
        budget = Budget({}, max_tokens=limit)

        async def call() -> None:
            while True:
                asked, said = random.randint(1, 20), random.randint(1, 20)
                try:
                    hold = await budget.reserve("m", asked, said)
                except Stopped:
                    return
                assert budget.tokens + budget.reserved_tokens <= limit
                await asyncio.sleep(0)
                budget.settle(hold, Usage(random.randint(1, asked), random.randint(1, said)))

        await asyncio.gather(*(call() for _ in range(callers)))
        return budget

    budget = asyncio.run(live())
    assert budget.tokens <= limit < budget.tokens + 40
    assert budget.cost == 0


@pytest.mark.asyncio
async def test_who_waits_is_served_in_order_and_a_large_call_does_not_starve() -> None:
    budget = Budget({"m": Price(1, 1, 1, 0)}, max_cost=100)
    first = await budget.reserve("m", 90, 0)
    served: list[str] = []

    async def wait(name: str, tokens: int) -> None:
        hold = await budget.reserve("m", tokens, 0)
        served.append(name)
        budget.settle(hold, Usage(1, 0))

    async with anyio.create_task_group() as group:
        group.start_soon(wait, "large", 60)
        await asyncio.sleep(0)
        group.start_soon(wait, "small", 5)  # would fit at once
        await asyncio.sleep(0)
        assert served == []
        budget.settle(first, Usage(20, 0))
    assert served == ["large", "small"]
    assert (budget.cost, budget.reserved_cost) == (22, 0)


@pytest.mark.asyncio
async def test_the_stop_says_what_is_spent_what_the_limit_is_and_the_command() -> None:
    spent = Spent(9 * USD // 10, 500, USD // 10)
    budget = Budget({"m": Price(USD // 10, 0, 0, 0)}, max_cost=USD, spent=spent, again="engine resume r")
    with pytest.raises(Stopped) as caught:
        await budget.reserve("m", 2, 0)
    text = str(caught.value)
    for part in (
        "0.9000 USD of 1.0000 USD",
        "0.1000 USD for calls that were possibly paid",
        "up to 0.2000 USD",
    ):
        assert part in text
    assert "engine resume r --max-cost 2.2" in text
    with pytest.raises(Stopped, match=r"500 of 501 tokens .* engine resume r --max-tokens 1004"):
        await Budget({}, max_tokens=501, spent=spent, again="engine resume r").reserve("m", 1, 1)


# --- the caller within a budget -----------------------------------------------------------------------


def within(bench: Bench, limit: int) -> Budget:
    budget = bench.caller.budget = Budget({"m": PRICE}, max_cost=limit)
    return budget


@pytest.mark.asyncio
async def test_a_reply_costs_its_tokens_and_a_recorded_one_nothing() -> None:
    bench = Bench(OK)
    budget = within(bench, 10_000)
    await bench.ask()
    assert (budget.cost, budget.reserved_cost, budget.possibly) == (COST, 0, 0)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("failure", "is_paid"),
    [
        (server_failed(429, "slow down", 1), False),
        (server_failed(500, "no"), False),
        (server_failed(504, "too late"), True),
        (TransportFailed("deadline", "late", possibly_paid=True), True),
        (TransportFailed("connect", "refused", possibly_paid=False), False),
    ],
    ids=["throttled", "server error", "gateway timeout", "deadline", "refused"],
)
async def test_a_try_that_may_be_paid_for_counts_at_its_bound(failure: object, is_paid: bool) -> None:
    bench = Bench(failure, OK)  # type: ignore[arg-type]
    budget = within(bench, 10_000)
    await bench.ask()
    bound = budget.possibly
    assert (bound > 1_000) == is_paid
    assert (budget.cost, budget.reserved_cost, budget.in_flight) == (COST + bound, 0, 0)
    if is_paid:
        asked, said, _ = bench.store.bounds[0]
        assert PRICE.most(asked, said) == bound
        assert said == 100


@pytest.mark.asyncio
async def test_what_does_not_fit_is_not_sent_and_stops_the_run() -> None:
    bench = Bench(OK)
    within(bench, 1_000)
    with pytest.raises(Draining):
        await bench.ask()
    assert bench.transport.bodies == []
    assert isinstance(bench.drain.cause, Stopped)
    assert bench.drain.cause.exit_code == 75


@pytest.mark.asyncio
async def test_who_waits_for_money_is_let_go_by_a_stop() -> None:
    bench = Bench(OK)
    budget = within(bench, 1_100)
    held = await budget.reserve("m", 100, 0)

    async def ask() -> None:
        with pytest.raises(Draining):
            await bench.ask()

    async with anyio.create_task_group() as group:
        group.start_soon(ask)
        await asyncio.sleep(0)
        bench.drain.request()
    budget.release(held)
    assert (budget.reserved_cost, budget.in_flight) == (0, 0)
    assert await budget.reserve("m", 1, 0)


@pytest.mark.asyncio
async def test_a_refused_call_gives_its_money_back() -> None:
    bench = Bench(server_failed(400, "bad"))
    budget = within(bench, 10_000)
    with pytest.raises(CallFailed):
        await bench.ask()
    assert (budget.cost, budget.reserved_cost) == (0, 0)


@pytest.mark.asyncio
async def test_a_limit_that_is_raised_wakes_who_waits_and_one_that_is_lowered_holds_back() -> None:
    budget = Budget({}, max_tokens=10)
    first = await budget.reserve("m", 5, 5)
    waiting = asyncio.ensure_future(budget.reserve("m", 4, 4))
    await asyncio.sleep(0)
    assert not waiting.done()
    budget.change(max_cost=None, max_tokens=18)
    second = await waiting
    budget.settle(first, Usage(5, 5))
    budget.settle(second, Usage(4, 4))
    budget.change(max_cost=None, max_tokens=18, before=Spent(tokens=1))
    with pytest.raises(Stopped, match=r"19 of 18 tokens are spent"):
        await budget.reserve("m", 1, 1)
    budget.change(max_cost=None, max_tokens=None)
    assert (await budget.reserve("m", 1, 1)).tokens == 2
