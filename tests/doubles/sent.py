"""What was sent, held against a limit per minute."""

from __future__ import annotations

from collections.abc import Sequence

WINDOW_S = 60.0


def most_in_a_window(sends: Sequence[tuple[float, int]]) -> int:
    """The largest sum over any half-open window of 60 s."""
    most = total = oldest = 0
    for time, amount in sends:
        total += amount
        while sends[oldest][0] <= time - WINDOW_S:
            total -= sends[oldest][1]
            oldest += 1
        most = max(most, total)
    return most
