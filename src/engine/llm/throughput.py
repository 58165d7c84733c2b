"""What replies say about throughput: compared between two limits, by Little's law, with its doubt.

Throughput in a closed loop is calls in flight / latency, so it needs no clock, and a change in how much
the loop is used does not enter it.
"""

from __future__ import annotations

import math


class Sample:
    """Replies at one limit: how many, how long, how many tokens."""

    __slots__ = ("latency_s", "limit", "replies", "squares", "tokens")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.replies = 0
        self.latency_s = 0.0
        self.squares = 0.0
        self.tokens = 0

    def add(self, latency_s: float, tokens: int) -> None:
        """Count a reply."""
        self.replies += 1
        self.latency_s += latency_s
        self.squares += latency_s * latency_s
        self.tokens += tokens

    def gain_over(self, other: Sample) -> float:
        """By what factor throughput is higher than in `other` (Little's law: limit / latency).

        In calls/s and in tokens/s, the geometric mean of both: the better of two noisy ones would say too
        much, again and again.
        """
        calls, tokens = self._gains_over(other)
        return math.sqrt(calls * tokens)

    def best_gain_over(self, other: Sample) -> float:
        """The same, in calls/s or tokens/s, whichever grew more."""
        return max(self._gains_over(other))

    def _gains_over(self, other: Sample) -> tuple[float, float]:
        gain = self.limit / other.limit * other.latency_s / self.latency_s
        calls = gain * self.replies / other.replies
        return calls, gain * self.tokens / other.tokens if self.tokens and other.tokens else calls

    def variance(self) -> float:
        """The mean latency's squared relative standard error."""
        squares = self.squares * self.replies / (self.latency_s * self.latency_s)
        return max(0.0, squares - 1) / self.replies
