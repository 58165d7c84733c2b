"""The scheduler: as many jobs at a time as is wanted, also when that changes, and a stop that ends it."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress

import anyio
import pytest

from engine.llm.drain import Drain, Draining
from engine.runner import scheduler
from engine.runner.scheduler import Concurrency, run_jobs
from engine.schema.job import Job

pytestmark = pytest.mark.asyncio


async def plan(size: int) -> AsyncIterator[Job]:
    for number in range(size):
        yield Job("travel", number, "p001", 0)


class Bench:
    """Jobs that wait until the test lets them end, one after another."""

    def __init__(self, concurrency: int) -> None:
        self.concurrency = Concurrency(concurrency)
        self.drain = Drain()
        self.begun: list[int] = []
        self.ended: list[int] = []
        self.gates: dict[int, anyio.Event] = {}

    async def work(self, job: Job) -> None:
        self.begun.append(job.scenario_number)
        gate = self.gates[job.scenario_number] = anyio.Event()
        with self.drain.interruptible():
            await gate.wait()
        self.ended.append(job.scenario_number)

    async def never_end(self, job: Job) -> None:
        self.begun.append(job.scenario_number)
        await anyio.sleep_forever()

    async def run(
        self, size: int, drain_s: float = 60.0, work: Callable[[Job], Awaitable[None]] | None = None
    ) -> None:
        await run_jobs(
            plan(size), work or self.work, concurrency=self.concurrency, drain=self.drain, drain_s=drain_s
        )

    async def end(self, *numbers: int) -> None:
        for number in numbers:
            self.gates[number].set()
        await anyio.wait_all_tasks_blocked()


async def test_never_more_than_wanted_and_in_the_order_of_the_plan() -> None:
    bench = Bench(3)
    async with anyio.create_task_group() as group:
        group.start_soon(bench.run, 8)
        await anyio.wait_all_tasks_blocked()
        assert bench.begun == [0, 1, 2]
        await bench.end(1)
        assert bench.begun == [0, 1, 2, 3]
        await bench.end(0, 2, 3)
        await bench.end(4, 5, 6)
        await bench.end(7)
    assert sorted(bench.ended) == list(range(8))
    assert bench.concurrency.running == 0


async def test_more_begin_at_once_and_surplus_ones_are_held_to_their_end() -> None:
    bench = Bench(1)
    async with anyio.create_task_group() as group:
        group.start_soon(bench.run, 8)
        await anyio.wait_all_tasks_blocked()
        bench.concurrency.change(4)
        await anyio.wait_all_tasks_blocked()
        assert bench.begun == [0, 1, 2, 3]
        bench.concurrency.change(1)
        await bench.end(0, 1, 2)
        assert (bench.begun, bench.ended) == ([0, 1, 2, 3], [0, 1, 2])
        await bench.end(3)
        assert bench.begun == [0, 1, 2, 3, 4]
        bench.concurrency.change(8)
        await anyio.wait_all_tasks_blocked()
        await bench.end(4, 5, 6, 7)


async def test_a_stop_ends_the_feeding_and_leaves_jobs_unfinished() -> None:
    bench = Bench(2)
    async with anyio.create_task_group() as group:
        group.start_soon(bench.run, 8)
        await anyio.wait_all_tasks_blocked()
        bench.drain.request()
    assert (bench.begun, bench.ended) == ([0, 1], [])


async def test_stop_before_the_first_job_is_not_lost() -> None:
    bench = Bench(2)
    bench.drain.request()
    await bench.run(8)
    assert bench.begun == []


async def test_what_does_not_end_after_a_stop_is_cut_off() -> None:
    bench = Bench(1)
    async with anyio.create_task_group() as group:
        group.start_soon(bench.run, 2, 0.0, bench.never_end)
        await anyio.wait_all_tasks_blocked()
        bench.drain.request()
    assert (bench.begun, bench.concurrency.running) == ([0], 0)


async def test_a_second_stop_cuts_off_at_once() -> None:
    bench = Bench(1)
    async with anyio.create_task_group() as group:
        group.start_soon(bench.run, 2, math.inf, bench.never_end)
        await anyio.wait_all_tasks_blocked()
        bench.drain.request()
        await anyio.wait_all_tasks_blocked()
        assert bench.concurrency.running == 1
        bench.drain.cut.set()
    assert (bench.begun, bench.concurrency.running) == ([0], 0)


async def test_what_holds_on_is_cut_off_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler, "_LET_CLOSE_S", 0.0)
    bench = Bench(1)

    async def deaf(job: Job) -> None:
        for _ in range(3):
            with suppress(asyncio.CancelledError):
                await bench.never_end(job)

    async with anyio.create_task_group() as group:
        group.start_soon(bench.run, 1, 0.0, deaf)
        await anyio.wait_all_tasks_blocked()
        bench.drain.request()
    assert (bench.begun, bench.concurrency.running) == ([0, 0, 0], 0)


async def test_a_bug_in_a_job_escapes() -> None:
    async def broken(job: Job) -> None:
        raise ZeroDivisionError

    with pytest.raises(ExceptionGroup) as caught:
        await run_jobs(plan(3), broken, concurrency=Concurrency(2), drain=Drain(), drain_s=1.0)
    assert caught.group_contains(ZeroDivisionError)


async def test_a_job_that_drains_is_no_error() -> None:
    async def draining(job: Job) -> None:
        raise Draining("the run is stopping")

    await run_jobs(plan(3), draining, concurrency=Concurrency(2), drain=Drain(), drain_s=1.0)
