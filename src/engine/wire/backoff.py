"""Decides what follows a failed try: wait and try again, fail the call, or stop the run.

    throttled, connect   no capacity: wait, never fail, no attempt used up (P5)
    transient            wait and use up an attempt; after the last one the call fails
    quota, key_refused, not_served, not_found   the run stops, resumably: every other call would fail alike
    anything else        the call fails at once

Jitter goes upward from a hint and is taken after the clamp: clamped jitter would make all callers at
the cap wait alike. A hint of next to nothing is none: followed again and again, it would be a storm.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from engine.errors import CallFailed, ReplyUnusable, ServerFailed, TransportFailed

_DETERMINISTIC = frozenset({"too_large", "lone_surrogate"})
SHORTEST_HINT_S = 0.05
_STOPPING = frozenset({"quota", "key_refused", "not_served", "not_found"})


@dataclass(frozen=True, slots=True)
class Wait:
    """Try again after `seconds`; `uses_attempt` where the failure counts against the bound."""

    seconds: float
    uses_attempt: bool


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The call fails; the run goes on (P6)."""


@dataclass(frozen=True, slots=True)
class StopRun:
    """No other call can do better; the run stops and resumes later."""


Decision = Wait | GiveUp | StopRun


class Tries:
    """What one call has been through: its transient failures in all sessions, else in this process."""

    __slots__ = ("free_used", "made", "transient", "waited_for_capacity")

    def __init__(self, transient: int = 0, *, free_used: bool = False) -> None:
        self.made = 0
        self.transient = transient
        self.waited_for_capacity = 0
        self.free_used = free_used

    @classmethod
    def after(cls, failed: int, *, attempts: int) -> Tries:
        """For a question that failed so often in earlier sessions; it is tried once more in any case."""
        return cls(min(failed, attempts - 1), free_used=failed > 0)

    def __repr__(self) -> str:
        return f"Tries({self.made} made, {self.transient} transient, {self.waited_for_capacity} for capacity)"


def decide(failure: CallFailed, tries: Tries, *, attempts: int, random: Random) -> Decision:
    """What follows `failure`. Updates `tries`; `attempts` bounds the transient ones."""
    if failure.reason in _STOPPING:
        return StopRun()
    if isinstance(failure, ServerFailed) and failure.reason == "throttled":
        n = tries.waited_for_capacity
        tries.waited_for_capacity += 1
        return Wait(throttle_wait_s(n, failure.retry_after_s, random), uses_attempt=False)
    if isinstance(failure, TransportFailed) and not failure.possibly_paid and failure.reason == "connect":
        n = tries.waited_for_capacity
        tries.waited_for_capacity += 1
        return Wait(throttle_wait_s(n, None, random), uses_attempt=False)
    if (
        isinstance(failure, TransportFailed)
        and failure.reason == "reset"
        and failure.no_byte_received
        and not tries.free_used
    ):
        # An idle connection that the server closed just as it was used again: once, at once.
        tries.free_used = True
        return Wait(0.0, uses_attempt=False)
    if is_transient(failure):
        n = tries.transient
        tries.transient += 1
        if tries.transient >= attempts:
            return GiveUp()
        hint = failure.retry_after_s if isinstance(failure, ServerFailed) else None
        return Wait(transient_wait_s(n, hint, random), uses_attempt=True)
    return GiveUp()


def is_transient(failure: CallFailed) -> bool:
    """Whether the same request may succeed when sent again."""
    if isinstance(failure, ServerFailed):
        return failure.reason == "server_error"
    if isinstance(failure, TransportFailed) and failure.reason == "protocol" and not failure.possibly_paid:
        return False  # nothing was sent, and the same headers would be refused again
    # A reply that is not what the format promises is often a proxy's page; an oversized one stays so.
    return isinstance(failure, TransportFailed | ReplyUnusable) and failure.reason not in _DETERMINISTIC


def throttle_wait_s(n: int, hint_s: float | None, random: Random) -> float:
    """Seconds before try n+1 (n = 0, 1, ...) when there was no capacity; never shorter than the hint."""
    if hint_s is not None and hint_s >= SHORTEST_HINT_S:
        return hint_s + random.uniform(0, min(0.1 * hint_s, 5.0))
    return random.uniform(0.5, 1) * min(60.0, 2.0 * 2.0 ** min(n, 10))


def transient_wait_s(n: int, hint_s: float | None, random: Random) -> float:
    """Seconds before try n+1 (n = 0, 1, ...) after a transient failure."""
    if hint_s is not None and hint_s >= SHORTEST_HINT_S:
        return hint_s + random.uniform(0, min(0.1 * hint_s, 5.0))
    return random.uniform(0, 1) * min(30.0, 0.5 * 2.0 ** min(n, 10))
