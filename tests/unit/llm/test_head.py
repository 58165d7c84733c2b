"""Each wait of the head ends for its own reasons, a second after it began where one of them comes then."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from aiolimiter import AsyncLimiter
from tests.doubles.virtual_clock import VirtualClock, in_virtual_time

from engine.llm.head import Head


def waited_s(wait: Callable[[Head], Awaitable[object]], then: Callable[[Head], None]) -> float:
    """How long the head waits where `then` happens after a second."""

    waited: list[float] = []

    async def main(clock: VirtualClock) -> None:
        head, started = Head(clock), clock.now()
        asyncio.get_running_loop().call_later(1.0, then, head)
        await wait(head)
        assert repr(head) == "Head(none waits)"
        waited.append(clock.now() - started)

    in_virtual_time(main)
    return waited[0]


@pytest.mark.parametrize("has_freed", [True, False])
def test_a_place_is_free_when_a_call_ends(has_freed: bool) -> None:
    waited = waited_s(Head.until_freed, lambda head: head.call_ended(has_freed=has_freed))
    assert waited == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize(("has_freed", "seconds"), [(True, 1.0), (False, 30.0)])
def test_a_sleep_is_cut_short_by_calls_that_give_back(has_freed: bool, seconds: float) -> None:
    waited = waited_s(lambda head: head.sleep(30.0), lambda head: head.call_ended(has_freed=has_freed))
    assert waited == pytest.approx(seconds, abs=0.01)


def test_limits_that_change_end_either() -> None:
    assert waited_s(Head.until_freed, Head.wake) == pytest.approx(1.0, abs=0.01)
    assert waited_s(lambda head: head.sleep(30.0), Head.wake) == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize(
    ("then", "is_taken", "seconds"), [(Head.leave_pace, False, 1), (Head.wake, True, 30)]
)
def test_a_step_of_the_pace_is_waited_for_while_the_pace_holds(
    then: Callable[[Head], None], is_taken: bool, seconds: float
) -> None:
    async def second_step(head: Head) -> None:
        pace = AsyncLimiter(1, 30.0)
        assert await head.take_step(pace)
        assert await head.take_step(pace) is is_taken

    assert waited_s(second_step, then) == pytest.approx(seconds, abs=0.01)
