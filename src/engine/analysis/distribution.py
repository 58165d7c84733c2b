"""The distribution of whole numbers, counted by value: exact, mergeable, and small whatever was counted."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Distribution:
    """How often each value came. Memory grows with the number of different values alone."""

    counts: Counter[int] = field(default_factory=Counter)

    def add(self, value: int) -> None:
        """Count one value."""
        self.counts[value] += 1

    def merge(self, other: Distribution) -> None:
        """Take in all that `other` counted."""
        self.counts.update(other.counts)

    @property
    def n(self) -> int:
        """How many values were counted."""
        return self.counts.total()

    @property
    def total(self) -> int:
        """Their sum."""
        return sum(value * count for value, count in self.counts.items())

    @property
    def mean(self) -> float:
        """Their mean; 0.0 where there are none."""
        return self.total / self.n if self.n else 0.0

    @property
    def sd(self) -> float:
        """The standard deviation with n - 1; 0.0 of fewer than two values."""
        n = self.n
        if n < 2:
            return 0.0
        squares = sum(value * value * count for value, count in self.counts.items())
        return math.sqrt(max(0, n * squares - self.total**2) / (n * (n - 1)))

    def quantile(self, share: float) -> float:
        """The value below which `share` (0 to 1) lies, between neighbours in proportion; 0.0 of none."""
        if not self.counts:
            return 0.0
        position = share * (self.n - 1)
        below, above = math.floor(position), math.ceil(position)
        first, second = self._at(below), self._at(above)
        return first + (second - first) * (position - below)

    def _at(self, index: int) -> int:
        for value in sorted(self.counts):
            index -= self.counts[value]
            if index < 0:
                return value
        raise IndexError(index)

    def as_dict(self) -> dict[str, float]:
        """n, mean, sd, min, p5, p25, p50, p75, p95 and max, for JSON."""
        if not self.counts:
            return {"n": 0}
        quantiles = {f"p{percent}": round(self.quantile(percent / 100), 2) for percent in (5, 25, 50, 75, 95)}
        return {
            "n": self.n, "mean": round(self.mean, 2), "sd": round(self.sd, 2), "min": min(self.counts),
            **quantiles, "max": max(self.counts),
        }  # fmt: skip
