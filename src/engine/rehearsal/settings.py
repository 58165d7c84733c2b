"""How the rehearsal endpoint behaves: all of it, in one frozen value."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import exp
from pathlib import Path

from engine.errors import UsageError
from engine.rehearsal.dice import Dice


@dataclass(frozen=True, slots=True)
class Fixed:
    """Every reply takes the same time."""

    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class LogNormal:
    """Log-normal times by their median in seconds and the standard deviation of their logarithm."""

    median_s: float
    sigma: float = 0.5


@dataclass(frozen=True, slots=True)
class PerToken:
    """Time in proportion to the completion's tokens, after a base."""

    per_token_s: float
    base_s: float = 0.0


Delay = Fixed | LogNormal | PerToken


@dataclass(frozen=True, slots=True)
class RehearsalSettings:
    """`defect_rate` is a share of conversations (0 to 1), `judge_error_rate` one of judgements.
    Above `max_in_flight` requests a 429 is sent.

    `api_key`, when set, is the only bearer token accepted. `request_log` receives each request body as a
    JSON line, handed to the operating system before the request is answered. With the `run_seed` of the run
    that asks, a simulator's turn that is asked for again is known as such, and mostly has no defect.
    """

    seed: int = 0
    run_seed: int = 0
    defect_rate: float = 0.13
    judge_error_rate: float = 0.1
    delay: Delay = Fixed()
    max_in_flight: int | None = None
    api_key: str | None = field(default=None, repr=False)
    request_log: Path | None = None

    def __post_init__(self) -> None:
        for name in ("defect_rate", "judge_error_rate"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"{name} must be between 0 and 1, not {getattr(self, name)}.")
        if self.max_in_flight is not None and self.max_in_flight < 1:
            raise UsageError(f"max_in_flight must be at least 1, not {self.max_in_flight}.")


def delay_seconds(delay: Delay, digest: int, completion_tokens: int) -> float:
    """The reply's delay, drawn from the request's digest: equal requests wait equally long."""
    if isinstance(delay, Fixed):
        return delay.seconds
    if isinstance(delay, PerToken):
        return delay.base_s + delay.per_token_s * completion_tokens
    return delay.median_s * exp(delay.sigma * Dice(digest ^ 0x5DE1A1).normal())
