"""Chance as a function of content: every draw comes from a hash of the server's seed and what was asked.

Nothing is remembered between requests, so a reply depends neither on order nor on time.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from math import exp, log, sqrt
from statistics import NormalDist
from typing import TypeVar

T = TypeVar("T")

_MASK = (1 << 64) - 1
_STANDARD = NormalDist()


def hash64(seed: int, *parts: bytes) -> int:
    """64 bits of a keyed hash over the parts, each with its length, so that no two lists collide."""
    digest = blake2b(digest_size=8, key=b"rehearsal %d" % seed)
    for part in parts:
        digest.update(b"%d:" % len(part))
        digest.update(part)
    return int.from_bytes(digest.digest(), "little")


class Dice:
    """A small generator (splitmix64): 64 bits of state, about 0.4 us a draw; `Random` costs 4 us to seed."""

    __slots__ = ("_state",)

    def __init__(self, state: int) -> None:
        self._state = state & _MASK

    def bits(self) -> int:
        self._state = (self._state + 0x9E3779B97F4A7C15) & _MASK
        z = self._state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
        return z ^ (z >> 31)

    def uniform(self) -> float:
        """Strictly between 0 and 1."""
        return ((self.bits() >> 12) + 0.5) / (1 << 52)

    def below(self, n: int) -> int:
        return self.bits() % n

    def choose(self, pool: Sequence[T]) -> T:
        return pool[self.bits() % len(pool)]

    def normal(self) -> float:
        return _STANDARD.inv_cdf(self.uniform())

    def lognormal(self, mean: float, sd: float) -> float:
        """Log-normal with this mean and standard deviation (of the value, not of its logarithm)."""
        variance = log(1 + (sd / mean) ** 2)
        return exp(log(mean) - variance / 2 + sqrt(variance) * self.normal())
