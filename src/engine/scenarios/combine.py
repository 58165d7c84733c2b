"""Which combinations of profile, scenario and behaviour are held: all of them, or as few as cover every pair.

Pairwise coverage: each value of each factor stands in some row with each value of every other factor, so that
the effect of no pair is left to guessing. The two largest factors alone ask for the product of their sizes;
the others are fitted into those rows. The rows are found greedily: as few as possible is not promised.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations, product
from random import Random

Row = tuple[int, ...]


def all_rows(sizes: Sequence[int]) -> Iterator[Row]:
    """Every combination of positions in factors of these sizes, the last one fastest."""
    return product(*map(range, sizes))


def pairwise_rows(sizes: Sequence[int], seed: int = 0) -> list[Row]:
    """Rows that cover every pair of positions of any two factors, sorted; the same for the same seed.

    Memory and time grow with the number of pairs. With fewer than three factors these are all combinations.
    """
    if len(sizes) < 3 or 0 in sizes:
        return list(all_rows(sizes))
    random = Random(seed)
    largest = sorted(range(len(sizes)), key=lambda factor: (-sizes[factor], factor))
    order = sorted(combinations(range(len(sizes)), 2), key=lambda two: -sizes[two[0]] * sizes[two[1]])
    left = {two: set(product(range(sizes[two[0]]), range(sizes[two[1]]))) for two in order}
    rows = []
    for two in order:
        # Not in the order of the set, which is nobody's.
        for pair in product(range(sizes[two[0]]), range(sizes[two[1]])):
            if pair not in left[two]:
                continue
            row: list[int | None] = [None] * len(sizes)
            row[two[0]], row[two[1]] = pair
            for factor in largest:
                if row[factor] is None:
                    row[factor] = _best(row, factor, sizes[factor], left, random)
            whole = tuple(value for value in row if value is not None)
            for a, b in order:
                left[a, b].discard((whole[a], whole[b]))
            rows.append(whole)
    return sorted(rows)


def _best(
    row: Sequence[int | None],
    factor: int,
    size: int,
    left: dict[tuple[int, int], set[tuple[int, int]]],
    random: Random,
) -> int:
    """The position of `factor` that covers most pairs with what the row holds; chance among equals."""
    gains = [0] * size
    for other, value in enumerate(row):
        if value is not None:
            pairs = left[min(factor, other), max(factor, other)]
            for at in range(size):
                gains[at] += ((at, value) if factor < other else (value, at)) in pairs
    best = max(gains)
    return random.choice([at for at, gain in enumerate(gains) if gain == best])
