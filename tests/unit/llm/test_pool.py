"""Affinity, spilling and rest: where calls go when a model has several endpoints."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from tests.doubles.virtual_clock import VirtualClock, in_virtual_time
from tests.unit.llm.test_caller import ScriptedTransport, SleepingClock

from engine.clock import Clock
from engine.errors import Stopped, TransportFailed
from engine.llm.endpoint import Endpoint
from engine.llm.limits import Admission, Limits
from engine.llm.pool import EndpointPool, Placement

CLOCK = SleepingClock()
REFUSED = TransportFailed("connect", "refused", possibly_paid=False)


def endpoint(name: str, limit: int | None = None) -> Endpoint:
    return limited(name, CLOCK, {"max_in_flight": limit})


def limited(name: str, clock: Clock, limits: Limits) -> Endpoint:
    admission = Admission(clock, **limits)
    return Endpoint(name, f"http://{name}/v1", {}, ScriptedTransport([REFUSED]), admission, 600.0)


def names(placements: list[Placement]) -> Counter[str]:
    return Counter(placement.endpoint.name for placement in placements if placement.endpoint is not None)


def test_conversations_are_spread_evenly_and_stay_where_they_are() -> None:
    pool = EndpointPool([endpoint(name) for name in "abcd"])
    placements = [Placement() for _ in range(40)]
    first = [pool.choose(placement, 0.0) for placement in placements]
    assert names(placements) == dict.fromkeys("abcd", 10)
    assert [pool.choose(placement, 1.0) for placement in placements] == first
    assert not any(placement.moves for placement in placements)


def test_capacity_weighs() -> None:
    pool = EndpointPool([endpoint("small", 10), endpoint("large", 30)])
    placements = [Placement() for _ in range(40)]
    for placement in placements:
        pool.choose(placement, 0.0)
    assert names(placements) == {"small": 10, "large": 30}


def test_an_endpoint_without_a_limit_holds_as_much_as_the_largest_that_has_one() -> None:
    pool = EndpointPool([endpoint("free"), endpoint("small", 10), endpoint("large", 20)])
    placements = [Placement() for _ in range(50)]
    for placement in placements:
        pool.choose(placement, 0.0)
    assert names(placements) == {"free": 20, "small": 10, "large": 20}


@pytest.mark.parametrize(
    ("few", "many", "latency_s"),
    [
        ({"requests_per_min": 600}, {"requests_per_min": 6_000}, 2.0),
        ({"tokens_per_min": 600_000}, {"tokens_per_min": 6_000_000}, 1.0),
        ({"output_tokens_per_min": 300_000}, {"output_tokens_per_min": 3_000_000}, 1.0),
        ({"requests_per_min": 600}, {"max_in_flight": 100}, 2.0),
    ],
)
def test_limits_a_minute_weigh_by_the_calls_that_they_hold_in_flight(
    few: Limits, many: Limits, latency_s: float
) -> None:
    """All callers fit into both together, so none waits for long where another endpoint has room."""
    served: Counter[str] = Counter()

    async def main(clock: VirtualClock) -> None:
        pool = EndpointPool([limited("few", clock, few), limited("many", clock, many)])
        started = clock.now()

        async def hold_conversations() -> None:
            while True:
                placement = Placement()
                for _ in range(8):
                    chosen = pool.choose(placement, clock.now())
                    assert chosen is not None
                    lane = chosen.lane("")
                    permit = await lane.admission.acquire(1_000, 500)
                    sent_at = clock.now()
                    await clock.sleep(latency_s)
                    lane.answered(clock.now(), sent_at=sent_at, output_tokens=300)
                    permit.settle(800, 300)
                    served[chosen.name] += clock.now() - started > 60
                placement.leave()

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(hold_conversations()) for _ in range(110)]
            await clock.sleep(180.0)
            for task in tasks:
                task.cancel()

    in_virtual_time(main)
    assert served.total() >= 0.95 * 110 * 120 / latency_s
    assert served["few"] > 0.04 * served.total()


def test_ended_conversations_make_room() -> None:
    pool = EndpointPool([endpoint("a"), endpoint("b")])
    placements = [Placement() for _ in range(10)]
    for placement in placements:
        pool.choose(placement, 0.0)
    for placement in placements:
        placement.leave()
    assert [e.placed for e in pool.endpoints] == [0, 0]


def test_endpoint_that_refuses_or_fails_is_left_and_taken_again_when_it_recovers() -> None:
    a, b = endpoint("a"), endpoint("b")
    pool = EndpointPool([a, b])
    placement = Placement()
    assert pool.choose(placement, 0.0) is a
    for _ in range(10):
        a.begin(0.0)
        a.in_flight -= 1
        a.failed(REFUSED, 0.0, item="i")
    assert pool.choose(placement, 1.0) is b
    assert pool.choose(Placement(), 1.0) is b
    # Half-open after at most 18 s: one probe may go there, not two.
    assert pool.choose(placement, 20.0) is b, "a healthy home is not left for a recovering one"
    probe = Placement()
    b.placed += 10
    assert pool.choose(probe, 20.0) is a
    a.begin(20.0)
    assert pool.choose(Placement(), 20.0) is b
    b.refusal = Stopped("no money")
    assert pool.choose(placement, 20.0) is None
    assert pool.wait_s(20.0) > 0


def test_failed_endpoint_is_avoided_at_once_where_there_is_another() -> None:
    pool = EndpointPool([endpoint("a"), endpoint("b")])
    placement = Placement()
    first = pool.choose(placement, 0.0)
    second = pool.choose(placement, 0.0, avoid=first)
    assert first is not second
    assert placement.endpoint is second
    only = EndpointPool([endpoint("a")])
    assert only.choose(Placement(), 0.0, avoid=only.endpoints[0]) is only.endpoints[0]


def test_queue_at_home_spills_to_a_replica_with_room() -> None:
    a, b = endpoint("a", 4), endpoint("b", 4)
    pool = EndpointPool([a, b])
    placement = Placement()
    pool.choose(placement, 0.0)
    a.admission._waiting = 2
    assert pool.choose(placement, 0.0) is a, "a short queue is cheaper than a lost prefix"
    a.admission._waiting = 3
    b.admission._in_flight = 4
    assert pool.choose(placement, 0.0) is a, "nowhere to go"
    b.admission._in_flight = 0
    assert pool.choose(placement, 0.0) is b
    assert placement.moves == 1
