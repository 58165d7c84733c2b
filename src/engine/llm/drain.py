"""Stopping in an orderly way: no new request is sent, requests in the air land, waits are cut short.

One Drain per run. A signal, a used-up quota or a refused key requests it; whoever would send next gets
`Draining` instead and leaves its conversation unfinished in the journal, to be replayed by a resume.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import anyio

from engine.errors import EngineError


class Draining(EngineError):
    """The run is stopping; this call was not sent."""


class Drain:
    """Whether the run is to stop, and why. `cause` is an error to report, or None for a signal.

    `event` is set by the first request, `cut` where calls in the air are not to be waited for either.
    """

    __slots__ = ("_waiting", "cause", "cut", "event", "is_requested")

    def __init__(self) -> None:
        self.is_requested = False
        self.cause: EngineError | None = None
        self.event = anyio.Event()
        self.cut = anyio.Event()
        self._waiting: set[anyio.CancelScope] = set()

    def request(self, cause: EngineError | None = None) -> None:
        """Begin to stop. Safe to call again: the first cause is the one that is reported."""
        if self.is_requested:
            return
        self.is_requested = True
        self.cause = cause
        self.event.set()
        for scope in self._waiting:
            scope.cancel()

    def check(self) -> None:
        """Raise Draining where a new request must not be sent."""
        if self.is_requested:
            raise Draining("the run is stopping")

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """A wait in which nothing is in the air; it ends with Draining as soon as a stop is requested."""
        self.check()
        with anyio.CancelScope() as scope:
            self._waiting.add(scope)
            try:
                yield
            finally:
                self._waiting.discard(scope)
        if scope.cancelled_caught:
            raise Draining("the run is stopping")

    def __repr__(self) -> str:
        state = f"requested: {self.cause or 'signal'}" if self.is_requested else "not requested"
        return f"Drain({state}, {len(self._waiting)} waiting)"
