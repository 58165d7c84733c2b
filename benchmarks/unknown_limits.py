"""Limits that nobody named, found by trying: simulated servers beside the targets.

    python -m benchmarks.unknown_limits [WORD ...]    rows whose name holds one of the words; all without

Virtual time, callers in a closed loop (`tests/doubles/simulated_server.py`), 5 minutes, three seeds. `first`
and `later` are the share of what the server allows in the first minute and after it, `429s` the share of
refusals in the first minute and after it: the worst seed of each. Random refusals are compared with the same
callers without a governor.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.doubles.simulated_server import (
    Bucket,
    FixedWindow,
    Flaky,
    InFlightCap,
    Loop,
    Queue,
    Server,
    SlidingWindow,
    fixed,
    lognormal,
)

SIGMA = 0.6
MEAN = math.exp(SIGMA**2 / 2)
P95 = math.exp(1.645 * SIGMA)
SEEDS = (1, 2, 3)
FIRST_S, UNTIL_S = 60.0, 300.0


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of server; `best` is calls/s that it allows, None = what an ungoverned loop gets."""

    name: str
    server: Callable[[int], Server]
    callers: int
    latency_s: float
    best: float | None
    first_calls: float | None = None
    is_fixed: bool = False
    until_s: float = UNTIL_S


def rows() -> Iterator[Row]:
    """The table of servers."""
    for share in (0.01, 0.05):
        for callers, latency_s in ((16, 0.05), (64, 0.05), (64, 1.0), (256, 0.5), (1_024, 0.5)):
            yield Row(
                f"random {share:.0%}, {callers} callers, {latency_s} s",
                lambda seed, share=share: Flaky(share, seed=seed),  # type: ignore[misc]
                callers,
                latency_s,
                None,
                until_s=180,
            )
    for most in (4, 16, 64, 250, 1_000):
        yield Row(
            f"in flight {most}",
            lambda _, most=most: InFlightCap(most),  # type: ignore[misc]
            2 * most + 60,
            1.0,
            most / MEAN,
        )
    for width in (8, 32, 100, 256):
        yield Row(
            f"queue {width}",
            lambda _, width=width: Queue(width),  # type: ignore[misc]
            4 * width,
            0.5,
            width / (0.5 * MEAN),
        )
    for per_min in (60, 300, 600, 3_000, 12_000, 60_000):
        callers = max(64, per_min // 40)
        kinds: dict[str, Callable[[int], Server]] = {
            "bucket 1 s": lambda _, n=per_min: Bucket(n, 1),  # type: ignore[misc]
            "bucket 60 s": lambda _, n=per_min: Bucket(n, 60),  # type: ignore[misc]
            "sliding": lambda _, n=per_min: SlidingWindow(n),  # type: ignore[misc]
            "fixed": lambda seed, n=per_min: FixedWindow(n, phase_s=17.0 * seed),  # type: ignore[misc]
        }
        for kind, make in kinds.items():
            yield Row(f"{kind} {per_min:,}/min", make, callers, 0.5, per_min / 60)
    for kind in ("sliding", "bucket 60 s"):
        yield Row(
            f"{kind} 3,000/min and random 2%",
            lambda seed, kind=kind: Flaky(  # type: ignore[misc]
                0.02, SlidingWindow(3_000) if kind == "sliding" else Bucket(3_000, 60), seed
            ),
            128,
            0.5,
            50.0,
        )
    yield Row(
        "in flight 64 and random 2%", lambda seed: Flaky(0.02, InFlightCap(64), seed), 200, 1.0, 64 / MEAN
    )


def measure(row: Row) -> str:
    """One line of the table."""
    first, later, first_429, later_429, stretched = [], [], [], [], []
    for seed in SEEDS:
        work = fixed(row.latency_s) if row.is_fixed else lognormal(row.latency_s, SIGMA)
        loop = Loop(row.server(seed), row.callers, work, seed)
        one, two = loop.run(FIRST_S), loop.run(row.until_s)
        best_one = best_two = row.best
        if row.best is None:
            free = Loop(row.server(seed), row.callers, work, seed, is_governed=False)
            best_one, best_two = free.run(FIRST_S).rate, free.run(row.until_s).rate
        assert best_one is not None
        assert best_two is not None
        first.append(one.rate / best_one)
        later.append(two.rate / best_two)
        first_429.append(one.refused_share)
        later_429.append(two.refused_share)
        stretched.append(two.p95_s / (row.latency_s * P95))
    return (
        f"| {row.name} | {min(first):.2f} | {min(later):.3f} | {max(first_429):.2%} | {max(later_429):.2%} "
        f"| {max(stretched):.2f} |"
    )


def main() -> None:
    words = sys.argv[1:]
    print("| server | first | later | 429s first | 429s later | p95 / unloaded |")
    print("|---|---|---|---|---|---|")
    for row in rows():
        if not words or any(word in row.name for word in words):
            print(measure(row), flush=True)


if __name__ == "__main__":
    main()
