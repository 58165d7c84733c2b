"""Virtual time for a run with real parts: loopback sockets and the journal's thread get the time they need.

The loop skips towards the next timer only when nothing is ready and no thread owes it an answer, in steps
that double while it stays so. An hour of waiting costs some milliseconds, and neither a file that is synced
slowly nor a packet that comes late moves a deadline.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable
from typing import Any

import anyio
import pytest
from tests.doubles.virtual_clock import run_virtual

from engine.cli import run_commands
from engine.journal.writer import Row, Writer

# What the kernel may take to carry bytes from one loopback socket to another.
_GRACE_S = 0.002
_FIRST_STEP_S = 1.0
_OWED_S = 10.0
# No two turns see the same time; above the grain of a clock that shows a year in seconds.
_TURN_S = 1e-6


class _PatientSelector(selectors.DefaultSelector):
    def __init__(self, now: float) -> None:
        super().__init__()
        self.now = now
        self._step_s = _FIRST_STEP_S
        self.owed: set[asyncio.Future[Any]] = set()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and (timeout is None or timeout > 0):
            ready = super().select(_OWED_S if self.owed else _GRACE_S)
            if not ready and self.owed:
                raise RuntimeError("a thread owes an answer for too long")
            if not ready and timeout is None:
                raise RuntimeError("virtual time stands still: everything waits and nothing is due")
            if not ready and timeout is not None:
                self.now += min(timeout, self._step_s)
                self._step_s *= 2
        if ready:
            self._step_s = _FIRST_STEP_S
        self.now += _TURN_S
        return ready


class PatientLoop(asyncio.SelectorEventLoop):
    """An event loop in virtual time that waits for threads in real time."""

    def __init__(self, start: float) -> None:
        self._patient = _PatientSelector(start)
        super().__init__(self._patient)

    def time(self) -> float:
        return self._patient.now

    def owe(self, future: asyncio.Future[Any]) -> None:
        """No timer fires early until `future` is done."""
        self._patient.owed.add(future)
        future.add_done_callback(self._patient.owed.discard)

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        future = super().run_in_executor(executor, func, *args)
        self.owe(future)
        return future


class PatientClock:
    """`engine.clock.Clock` on the running loop's time; `waits` collects what was asked of it."""

    def __init__(self, waits: list[float], epoch: float = 1_700_000_000.0) -> None:
        self._waits = waits
        self._epoch = epoch

    def now(self) -> float:
        return asyncio.get_running_loop().time()

    def wall(self) -> float:
        return self._epoch + self.now()

    async def sleep(self, seconds: float) -> None:
        self._waits.append(seconds)
        await anyio.sleep(seconds)


def put_under_control(
    monkeypatch: pytest.MonkeyPatch, loops: Callable[[], PatientLoop], beside: Callable[[Any], Any]
) -> list[float]:
    """Commands run on `loops()` from now on, inside `beside(main)`; returns the waits, as they come.

    `beside` gets the command's coroutine and returns the one that is run in its place.
    """
    waits: list[float] = []
    append, run_really = Writer.append, anyio.run

    def append_owed(writer: Writer, row: Row) -> asyncio.Future[None]:
        future = append(writer, row)
        loop = asyncio.get_running_loop()
        assert isinstance(loop, PatientLoop)
        loop.owe(future)
        return future

    def run(function: Any, *arguments: Any, **options: Any) -> Any:
        if function is not run_commands._work:  # what a command looks at before it works
            return run_really(function, *arguments, **options)
        return run_virtual(loops(), beside(function(*arguments)))

    monkeypatch.setattr(Writer, "append", append_owed)
    monkeypatch.setattr(run_commands, "SystemClock", lambda: PatientClock(waits))
    monkeypatch.setattr(anyio, "run", run)
    # A line of progress every ten seconds would be a hundred thousand of them in a simulated fortnight.
    monkeypatch.setattr("engine.cli.display._LOG_EVERY_S", 1e12)
    return waits
