"""Keeps jobs going, as many at a time as is wanted, until the plan is done or a stop is requested.

One tree of task groups, no barrier and no polling: the next job is taken from the plan only when there is
room for it, so memory grows with the concurrency and not with the plan (P4). A job either ends (P6), or
is left unfinished by a stop; only a bug or a dead journal escapes and cancels the tree.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

import anyio

from engine.llm.drain import Drain, Draining

JobT = TypeVar("JobT")
# For a job that was cut off to close its connections; a transport takes 1 s at most.
_LET_CLOSE_S = 2.0


class Concurrency:
    """How many jobs may be held at a time; may be changed while they are. One run's, for one `run_jobs`."""

    __slots__ = ("_changed", "running", "wanted")

    def __init__(self, wanted: int) -> None:
        self.wanted = wanted
        self.running = 0
        self._changed = asyncio.Event()

    def change(self, wanted: int) -> None:
        """Hold so many from now on: more begin at once, surplus ones are held to their end."""
        self.wanted = wanted
        self._changed.set()

    async def take_place(self) -> None:
        """Wait until one more may begin, and count it."""
        while self.running >= self.wanted:
            self._changed.clear()
            await self._changed.wait()
        self.running += 1

    def leave_place(self) -> None:
        """One has ended."""
        self.running -= 1
        self._changed.set()

    def __repr__(self) -> str:
        return f"Concurrency({self.running} of {self.wanted})"


async def run_jobs(
    jobs: AsyncIterator[JobT],
    work: Callable[[JobT], Awaitable[None]],
    *,
    concurrency: Concurrency,
    drain: Drain,
    drain_s: float,
) -> None:
    """Do `work` for each of `jobs`, at most `concurrency` at a time, begun in the order given.

    Returns when all are done, or after a stop was requested and the calls in the air have landed; those
    that have not after `drain_s` seconds, or when the drain is cut, are cancelled.
    """

    async def hold(job: JobT) -> None:
        try:
            await work(job)
        except Draining:
            return
        finally:
            concurrency.leave_place()

    held: set[asyncio.Task[None]] = set()
    # Not anyio's: to begin a task there takes 48 us, here 12, and a job is some eight calls of 100.
    async with asyncio.TaskGroup() as tree:
        cut_off = tree.create_task(_cut_off(drain, drain_s, held))
        async with asyncio.TaskGroup() as crew:
            # One scope for all of it: one for each job would cost as much again.
            with suppress(Draining), drain.interruptible():
                async for job in jobs:
                    drain.check()
                    await concurrency.take_place()
                    task = crew.create_task(hold(job))
                    held.add(task)
                    task.add_done_callback(held.discard)
        cut_off.cancel()


async def _cut_off(drain: Drain, drain_s: float, held: set[asyncio.Task[None]]) -> None:
    await drain.event.wait()
    with anyio.move_on_after(drain_s):
        await drain.cut.wait()
    while held:
        for task in held:
            task.cancel()
        # Whatever holds on after that is cancelled again.
        await asyncio.wait(set(held), timeout=_LET_CLOSE_S)
