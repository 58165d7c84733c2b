"""What the benchmark's server allows: requests and tokens per minute, and requests in flight.

Two ways to count a minute, as providers differ: a token bucket refills steadily and holds one burst, a
sliding window counts exactly what went through in the last 60 seconds. A refused request is not counted.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

WINDOW_S = 60.0


class Allowance(Protocol):
    """An amount per minute. Times are monotonic seconds."""

    per_min: int

    def wait_s(self, now: float, amount: int) -> float:
        """Seconds until `amount` would be let through; 0 if it would be now."""
        ...

    def take(self, now: float, amount: int) -> None:
        """Count `amount`."""
        ...

    def remaining(self, now: float) -> int:
        """What is left at this moment."""
        ...


class TokenBucket:
    """Refills at `per_min` / 60 a second, up to `burst_s` seconds' worth."""

    def __init__(self, per_min: int, *, burst_s: float = WINDOW_S) -> None:
        self.per_min = per_min
        self._burst_s = burst_s
        self._level = per_min * burst_s / WINDOW_S
        self._at: float | None = None

    def _refill(self, now: float) -> None:
        if self._at is not None:
            full = self.per_min * self._burst_s / WINDOW_S
            self._level = min(full, self._level + (now - self._at) * self.per_min / WINDOW_S)
        self._at = now

    def wait_s(self, now: float, amount: int) -> float:
        self._refill(now)
        return max(0.0, (amount - self._level) * WINDOW_S / self.per_min)

    def take(self, now: float, amount: int) -> None:
        self._refill(now)
        self._level -= amount

    def remaining(self, now: float) -> int:
        self._refill(now)
        return max(0, int(self._level))


class SlidingWindow:
    """Lets `per_min` through in any 60 seconds."""

    def __init__(self, per_min: int) -> None:
        self.per_min = per_min
        self._taken: deque[tuple[float, int]] = deque()
        self._sum = 0

    def _forget(self, now: float) -> None:
        while self._taken and self._taken[0][0] <= now - WINDOW_S:
            self._sum -= self._taken.popleft()[1]

    def wait_s(self, now: float, amount: int) -> float:
        self._forget(now)
        excess = self._sum + amount - self.per_min
        if excess <= 0:
            return 0.0
        for at, size in self._taken:
            excess -= size
            if excess <= 0:
                return at + WINDOW_S - now
        return WINDOW_S

    def take(self, now: float, amount: int) -> None:
        self._taken.append((now, amount))
        self._sum += amount

    def remaining(self, now: float) -> int:
        self._forget(now)
        return max(0, self.per_min - self._sum)


class Limits:
    """All limits of one replica. `refusal` decides before any work is done."""

    def __init__(
        self, *, requests: Allowance | None, tokens: Allowance | None, max_in_flight: int | None
    ) -> None:
        self.requests = requests
        self.tokens = tokens
        self.max_in_flight = max_in_flight

    @property
    def is_none(self) -> bool:
        """Whether anything goes."""
        return self.requests is None and self.tokens is None and self.max_in_flight is None

    def refusal(self, now: float, tokens: int, in_flight: int) -> tuple[str, float] | None:
        """(what is exceeded, seconds to wait), or None after counting the request."""
        if self.max_in_flight is not None and in_flight > self.max_in_flight:
            return "in flight", 1.0
        for name, allowance, amount in (
            ("requests", self.requests, 1),
            ("tokens", self.tokens, tokens),
        ):
            if allowance is not None and (wait_s := allowance.wait_s(now, amount)) > 0:
                return name, wait_s
        if self.requests is not None:
            self.requests.take(now, 1)
        if self.tokens is not None:
            self.tokens.take(now, tokens)
        return None

    def headers(self, now: float) -> bytes:
        """The x-ratelimit headers, each ending in a line break."""
        lines = []
        for name, allowance in (("requests", self.requests), ("tokens", self.tokens)):
            if allowance is not None:
                left = allowance.remaining(now)
                reset_s = (allowance.per_min - left) * WINDOW_S / allowance.per_min
                for field, value in (
                    ("limit", f"{allowance.per_min}"),
                    ("remaining", f"{left}"),
                    ("reset", f"{reset_s:.3f}s"),
                ):
                    lines.append(f"x-ratelimit-{field}-{name}: {value}\r\n".encode())
        return b"".join(lines)
