"""Virtual time: an event loop whose timers fire at once, and a clock that reads it.

The loop's own `time()` is virtual, so everything on it is: `asyncio.sleep`, deadlines, aiolimiter. A minute
takes as long as its callbacks. Where nothing is due and nothing is ready, the loop raises instead of hanging.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
TURN_S = 1e-9


class _SkippingSelector(selectors.DefaultSelector):
    """Never waits: moves the loop's time on by as long as it was asked to wait."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            if timeout is None:
                raise RuntimeError("virtual time stands still: everything waits and nothing is due")
            self.now += max(timeout, 0.0)
        # As with a real clock, no two turns see the same time: aiolimiter, left a rest of one rounding
        # error, would otherwise set a timer for now, again and again.
        self.now += TURN_S
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop in virtual time, starting at `start` seconds."""

    def __init__(self, start: float = 1_000.0) -> None:
        self._skipping = _SkippingSelector()
        self._skipping.now = start
        super().__init__(self._skipping)

    def time(self) -> float:
        return self._skipping.now


class VirtualClock:
    """`engine.clock.Clock` on a `VirtualLoop`; the wall clock began at `epoch`."""

    def __init__(self, loop: VirtualLoop, epoch: float = 1_700_000_000.0) -> None:
        self._loop = loop
        self._epoch = epoch

    def now(self) -> float:
        return self._loop.time()

    def wall(self) -> float:
        return self._epoch + self._loop.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def run_virtual(loop: asyncio.AbstractEventLoop, main: Coroutine[Any, Any, T]) -> T:
    """Run `main` to its end on `loop`, cancel what it left behind, and close the loop."""
    try:
        return loop.run_until_complete(main)
    finally:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        loop.close()


def in_virtual_time(main: Callable[[VirtualClock], Awaitable[None]]) -> None:
    """Run `main` with a clock of its own."""
    loop = VirtualLoop()

    async def run() -> None:
        await main(VirtualClock(loop))

    run_virtual(loop, run())
