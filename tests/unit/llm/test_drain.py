"""Stopping in an orderly way: waits are cut short, the first cause counts, cancellation passes."""

from __future__ import annotations

import asyncio

import anyio
import pytest

from engine.errors import KeyRefused, Stopped
from engine.llm.drain import Drain, Draining

pytestmark = pytest.mark.asyncio


async def test_a_stop_wakes_every_interruptible_wait() -> None:
    drain, woken = Drain(), 0

    async def wait() -> None:
        nonlocal woken
        with pytest.raises(Draining), drain.interruptible():
            await anyio.sleep_forever()
        woken += 1

    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        assert repr(drain) == "Drain(not requested, 3 waiting)"
        drain.request()
    assert woken == 3
    assert repr(drain) == "Drain(requested: signal, 0 waiting)"


async def test_after_a_stop_no_wait_begins_and_nothing_is_sent() -> None:
    drain = Drain()
    drain.check()
    drain.request()
    with pytest.raises(Draining):
        drain.check()
    with pytest.raises(Draining), drain.interruptible():
        pytest.fail("the wait began")


async def test_the_first_cause_is_the_one_that_is_reported() -> None:
    drain, first = Drain(), Stopped("budget")
    drain.request(first)
    drain.request(KeyRefused("key"))
    drain.request()
    assert drain.cause is first


async def test_a_signal_is_not_explained_away_by_a_later_error() -> None:
    drain = Drain()
    drain.request()
    drain.request(KeyRefused("key"))
    assert drain.is_requested
    assert drain.cause is None


async def test_whoever_awaits_the_event_is_told() -> None:
    drain = Drain()
    async with anyio.create_task_group() as group:
        group.start_soon(drain.event.wait)
        await anyio.wait_all_tasks_blocked()
        drain.request()


async def test_a_wait_that_ends_by_itself_is_no_stop() -> None:
    drain = Drain()
    with drain.interruptible():
        await anyio.lowlevel.checkpoint()
    assert repr(drain) == "Drain(not requested, 0 waiting)"


async def test_a_wait_that_was_over_when_the_stop_came_keeps_its_result() -> None:
    drain = Drain()
    with drain.interruptible():
        drain.request()
        result = "acquired"
    assert result == "acquired"


async def test_an_error_inside_a_wait_passes_through() -> None:
    drain = Drain()
    with pytest.raises(KeyError), drain.interruptible():
        raise KeyError
    assert repr(drain) == "Drain(not requested, 0 waiting)"


async def test_cancellation_from_outside_is_not_taken_for_a_stop() -> None:
    drain, after = Drain(), False
    with anyio.CancelScope() as outer:
        outer.cancel()
        with drain.interruptible():
            await anyio.sleep_forever()
        after = True
    assert outer.cancelled_caught
    assert not after
    assert not drain.is_requested
    assert repr(drain) == "Drain(not requested, 0 waiting)"


async def test_cancellation_that_comes_together_with_a_stop_is_not_swallowed() -> None:
    drain, after = Drain(), False
    with anyio.CancelScope() as outer:
        with drain.interruptible():
            drain.request()
            outer.cancel()
            await anyio.sleep_forever()
        after = True
    assert outer.cancelled_caught
    assert not after


async def test_a_cancelled_task_ends_as_cancelled() -> None:
    drain = Drain()

    async def wait() -> None:
        with drain.interruptible():
            await anyio.sleep_forever()

    task = asyncio.ensure_future(wait())
    await anyio.wait_all_tasks_blocked()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not drain.is_requested


async def test_a_stop_inside_one_wait_leaves_the_outer_task_usable() -> None:
    drain = Drain()

    async def wait() -> None:
        with drain.interruptible():
            drain.request()
            await anyio.sleep_forever()

    with pytest.raises(Draining):
        await wait()
    await anyio.lowlevel.checkpoint()
