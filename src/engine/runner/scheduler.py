"""Keeps jobs going, as many at a time as is wanted, until the plan is done or a stop is requested.

One tree of task groups, no barrier and no polling: the next job is taken from the plan only when there is
room for it, so memory grows with the concurrency and not with the plan (P4). A job either ends (P6), or
is left unfinished by a stop; only a bug or a dead journal escapes and cancels the tree.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

import anyio

from engine.llm.drain import Drain, Draining

JobT = TypeVar("JobT")


class Concurrency:
    """How many jobs may be held at a time; may be changed while they are. One run's, for one `run_jobs`."""

    __slots__ = ("_changed", "running", "wanted")

    def __init__(self, wanted: int) -> None:
        self.wanted = wanted
        self.running = 0
        self._changed = anyio.Event()

    def change(self, wanted: int) -> None:
        """Hold so many from now on: more begin at once, surplus ones are held to their end."""
        self.wanted = wanted
        self._changed.set()

    async def take_place(self) -> None:
        """Wait until one more may begin, and count it."""
        while self.running >= self.wanted:
            self._changed = anyio.Event()
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
    that have not after `drain_s` seconds are cancelled.
    """

    async def hold(job: JobT) -> None:
        try:
            with suppress(Draining):
                await work(job)
        finally:
            concurrency.leave_place()

    async with anyio.create_task_group() as tree:
        async with anyio.create_task_group() as crew:
            tree.start_soon(_cut_off, drain, drain_s, crew.cancel_scope)
            with suppress(Draining):
                async for job in jobs:
                    with drain.interruptible():
                        await concurrency.take_place()
                    crew.start_soon(hold, job)
        tree.cancel_scope.cancel()


async def _cut_off(drain: Drain, drain_s: float, crew: anyio.CancelScope) -> None:
    await drain.event.wait()
    if not math.isinf(drain_s):
        await anyio.sleep(drain_s)
        crew.cancel()
