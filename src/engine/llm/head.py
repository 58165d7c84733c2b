"""How the head of a queue waits for the limits, and what wakes it.

Only the head has a timer, whatever the length of the queue: it waits for a call to end, for time to pass, or
for its step of the pace, one at a time, and looks at all limits again whenever it wakes.
"""

from __future__ import annotations

import asyncio

import anyio
from aiolimiter import AsyncLimiter

from engine.clock import Clock

# Shorter waits would only spin: what a late timer leaves unused is kept as burst.
MIN_WAIT_S = 0.001


class Head:
    """The waiting of one queue's head, one wait at a time. For one event loop's thread only."""

    __slots__ = ("_clock", "_freed", "_nap", "_pacing")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._freed: asyncio.Future[None] | None = None
        self._nap: anyio.CancelScope | None = None
        self._pacing: anyio.CancelScope | None = None

    async def until_freed(self) -> None:
        """Wait until a call ends, or for `wake`."""
        self._freed = asyncio.get_running_loop().create_future()
        try:
            await self._freed
        finally:
            self._freed = None

    async def sleep(self, seconds: float) -> None:
        """Sleep, but less when a settled call gives capacity back."""
        try:
            with anyio.CancelScope() as self._nap:
                await self._clock.sleep(max(seconds, MIN_WAIT_S))
        finally:
            self._nap = None

    async def take_step(self, pace: AsyncLimiter) -> bool:
        """Wait for a step of `pace`; False where `leave_pace` came first."""
        try:
            with anyio.CancelScope() as self._pacing:
                await pace.acquire()
                return True
        finally:
            self._pacing = None
        return False

    def call_ended(self, *, has_freed: bool) -> None:
        """A call has ended; `has_freed`: it had reserved more than it used."""
        if self._freed is not None and not self._freed.done():
            self._freed.set_result(None)
        if has_freed and self._nap is not None:
            self._nap.cancel()

    def wake(self) -> None:
        """Look again: limits have changed."""
        self.call_ended(has_freed=True)

    def leave_pace(self) -> None:
        """The pace that a step is waited for holds no more."""
        if self._pacing is not None:
            self._pacing.cancel()

    def __repr__(self) -> str:
        waits = {"a call to end": self._freed, "time to pass": self._nap, "the pace": self._pacing}
        return f"Head({', '.join(what for what, wait in waits.items() if wait is not None) or 'none waits'})"
