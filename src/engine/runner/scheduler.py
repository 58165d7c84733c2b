"""Keeps `concurrency` jobs going until the plan is done or a stop is requested: a feeder and workers.

One tree of task groups, no barrier and no polling: the feeder waits in `send` while all workers are busy,
so memory grows with the concurrency and not with the plan (P4). A worker's job either ends (P6), or is
left unfinished by a stop; only a bug or a dead journal escapes and cancels the tree.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Awaitable, Callable

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from engine.llm.drain import Drain, Draining
from engine.schema.job import Job


async def run_jobs(
    jobs: AsyncIterator[Job],
    work: Callable[[Job], Awaitable[None]],
    *,
    concurrency: int,
    drain: Drain,
    drain_s: float,
) -> None:
    """Do `work` for each of `jobs`, at most `concurrency` at a time, in the order given.

    Returns when all are done, or after a stop was requested and the calls in the air have landed; those
    that have not after `drain_s` seconds are cancelled.
    """
    async with anyio.create_task_group() as tree:
        send, receive = anyio.create_memory_object_stream[Job](0)
        async with anyio.create_task_group() as crew:
            crew.start_soon(_feed, jobs, send, drain)
            for _ in range(concurrency):
                crew.start_soon(_work_through, receive.clone(), work)
            receive.close()
            tree.start_soon(_cut_off, drain, drain_s, crew.cancel_scope)
        tree.cancel_scope.cancel()


async def _feed(jobs: AsyncIterator[Job], send: MemoryObjectSendStream[Job], drain: Drain) -> None:
    async with send:
        try:
            async for job in jobs:
                with drain.interruptible():
                    await send.send(job)
        except Draining:
            return


async def _work_through(
    receive: MemoryObjectReceiveStream[Job], work: Callable[[Job], Awaitable[None]]
) -> None:
    async with receive:
        async for job in receive:
            try:
                await work(job)
            except Draining:
                return


async def _cut_off(drain: Drain, drain_s: float, crew: anyio.CancelScope) -> None:
    await drain.event.wait()
    if not math.isinf(drain_s):
        await anyio.sleep(drain_s)
        crew.cancel()
