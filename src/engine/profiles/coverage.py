"""How much of the space a pool covers: categories per aspect, their entropy, and what goes with what.

Categories are told by words (`templates/_profiles/categories.yaml`); a text may fall into several, and one
that falls into none is *uncoded*. Entropy is Shannon's over a category's share of all codings, in bits, and
as a share of the highest possible (1.0: all categories alike). Association is Cramér's V with Bergsma's
correction for bias (2013), between a demographic aspect and whether another aspect's text falls into a
category.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import fsum, log2, sqrt
from pathlib import Path
from statistics import NormalDist

from pydantic import RootModel, field_validator

from engine.profiles.data_file import find_data, read_data
from engine.profiles.regions import category_of
from engine.profiles.similarity import words_of

GENDERS = ("Female", "Male", "Other")
AGES = ("0-17", "18-24", "25-34", "35-44", "45-54", "55-64", "65-74", "75-120")
_SINGLE: Mapping[str, tuple[str, ...]] = {"gender": GENDERS, "age": AGES}
DEMOGRAPHIC = ("gender", "age", "occupation")


class _CategoryFile(RootModel[dict[str, dict[str, str]]]):
    @field_validator("root")
    @classmethod
    def _compiles(cls, value: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
        for aspect, categories in value.items():
            for name, pattern in categories.items():
                try:
                    re.compile(pattern)
                except re.error as error:
                    raise ValueError(f"{aspect}.{name} is no regular expression: {error}") from error
        return value


class Categories:
    """Tells the categories of an aspect's text."""

    def __init__(self, patterns: Mapping[str, Mapping[str, str]]) -> None:
        self._patterns = {
            aspect: {name: re.compile(pattern, re.IGNORECASE) for name, pattern in named.items()}
            for aspect, named in patterns.items()
            if aspect not in _SINGLE
        }

    def names(self, aspect: str) -> tuple[str, ...]:
        """All categories of an aspect; none where nothing is known of it."""
        return _SINGLE.get(aspect, tuple(self._patterns.get(aspect, ())))

    def of(self, aspect: str, value: str) -> tuple[str, ...]:
        """The categories that a text falls into."""
        if aspect in _SINGLE:
            found = category_of(aspect, value, _SINGLE[aspect])
            return () if found is None else (found,)
        return tuple(
            name for name, pattern in self._patterns.get(aspect, {}).items() if pattern.search(value)
        )


def load_categories(templates: Path | None, config_dir: Path | None) -> Categories:
    """The configured templates' categories, else the shipped ones. Raises BadInput."""
    path = find_data("categories.yaml", templates, config_dir)
    return Categories(read_data(_CategoryFile, path).root)


@dataclass(slots=True)
class AspectTally:
    """What was counted of one aspect."""

    values: set[int]
    categories: Counter[str]
    vocabulary: set[str]
    words: int = 0
    uncoded: int = 0


@dataclass(frozen=True, slots=True)
class Coverage:
    """One aspect of a pool. `entropy` is in bits; both entropies are None where there are no categories."""

    aspect: str
    distinct: int
    mean_words: float
    vocabulary: int
    categories: Mapping[str, int]
    uncoded: int
    entropy: float | None
    evenness: float | None


@dataclass(frozen=True, slots=True)
class Association:
    """How strongly a demographic aspect goes with a category of another; `p` without correction for many."""

    demographic: str
    aspect: str
    category: str
    v: float
    p: float
    shares: Mapping[str, float]


class Tally:
    """Counts a pool, profile by profile."""

    def __init__(self, categories: Categories) -> None:
        self._categories = categories
        self.n = 0
        self._aspects: dict[str, AspectTally] = {}
        # (demographic, its category) to how many; with (aspect, category) to how many of them.
        self._rows: Counter[tuple[str, str]] = Counter()
        self._cells: Counter[tuple[str, str, str, str]] = Counter()

    def add(self, aspects: Mapping[str, str]) -> None:
        """Count one profile."""
        self.n += 1
        coded = {}
        for aspect, value in aspects.items():
            tally = self._aspects.setdefault(aspect, AspectTally(set(), Counter(), set()))
            words = words_of(value)
            tally.values.add(hash(tuple(words)))
            tally.words += len(words)
            tally.vocabulary.update(words)
            coded[aspect] = self._categories.of(aspect, value)
            tally.categories.update(coded[aspect])
            tally.uncoded += not coded[aspect]
        for demographic in DEMOGRAPHIC:
            for row in coded.get(demographic, ())[:1]:
                self._rows[demographic, row] += 1
                for aspect, names in coded.items():
                    if aspect != demographic:
                        for name in names:
                            self._cells[demographic, row, aspect, name] += 1

    def coverage(self) -> list[Coverage]:
        """One row per aspect, in the order of the profiles' aspects."""
        rows = []
        for aspect, tally in self._aspects.items():
            names = self._categories.names(aspect)
            bits = entropy(tally.categories.values()) if names else None
            rows.append(
                Coverage(
                    aspect, len(tally.values), tally.words / max(1, self.n), len(tally.vocabulary),
                    {name: tally.categories[name] for name in names}, tally.uncoded, bits,
                    None if bits is None or len(names) < 2 else bits / log2(len(names)),
                )
            )  # fmt: skip
        return rows

    def shares(self, aspect: str) -> dict[str, float]:
        """The share of all codings of an aspect that each category has."""
        counts = self._aspects[aspect].categories if aspect in self._aspects else Counter()
        total = counts.total()
        return {name: counts[name] / total if total else 0.0 for name in self._categories.names(aspect)}

    def associations(self) -> list[Association]:
        """Every demographic with every category of another aspect, the strongest first."""
        found = []
        for demographic in DEMOGRAPHIC:
            rows = [row for row in self._categories.names(demographic) if self._rows[demographic, row]]
            sizes = [self._rows[demographic, row] for row in rows]
            for aspect in self._aspects:
                if aspect == demographic or (
                    aspect in DEMOGRAPHIC and DEMOGRAPHIC.index(aspect) < DEMOGRAPHIC.index(demographic)
                ):
                    continue
                for name in self._categories.names(aspect):
                    yes = [self._cells[demographic, row, aspect, name] for row in rows]
                    table = [yes, [size - count for size, count in zip(sizes, yes, strict=True)]]
                    v, p = cramers_v(table)
                    shares = {row: count / size for row, count, size in zip(rows, yes, sizes, strict=True)}
                    found.append(Association(demographic, aspect, name, v, p, shares))
        return sorted(found, key=lambda each: (-each.v, each.demographic, each.aspect, each.category))


def entropy(counts: Iterable[int]) -> float:
    """Shannon's entropy of counts, in bits."""
    present = [count for count in counts if count]
    total = sum(present)
    return fsum(-count / total * log2(count / total) for count in present) + 0.0


def cramers_v(table: Sequence[Sequence[int]]) -> tuple[float, float]:
    """(bias-corrected V, p of independence) of a table of counts; (0, 1) where a margin is empty or alone.

    p is Wilson and Hilferty's normal approximation to the chi-square distribution (1931).
    """
    rows = [row for row in table if sum(row)]
    columns = [column for column in zip(*rows, strict=True) if sum(column)]
    n = sum(map(sum, rows))
    r, k = len(rows), len(columns)
    if r < 2 or k < 2 or n < 2:
        return 0.0, 1.0
    down, across = [sum(row) for row in rows], [sum(column) for column in columns]
    chi2 = fsum(
        (columns[j][i] - down[i] * across[j] / n) ** 2 / (down[i] * across[j] / n)
        for i in range(r)
        for j in range(k)
    )
    freedom = (r - 1) * (k - 1)
    phi2 = max(0.0, chi2 / n - freedom / (n - 1))
    r_corrected, k_corrected = r - (r - 1) ** 2 / (n - 1), k - (k - 1) ** 2 / (n - 1)
    most = min(r_corrected, k_corrected) - 1
    v = sqrt(phi2 / most) if most > 0 else 0.0
    spread = 2 / (9 * freedom)
    z = ((chi2 / freedom) ** (1 / 3) - (1 - spread)) / sqrt(spread)
    return min(1.0, v), 1 - NormalDist().cdf(z)


def distance(shares: Mapping[str, float], other: Mapping[str, float]) -> float:
    """Total variation distance of two distributions, 0 (equal) to 1 (apart)."""
    return fsum(abs(shares.get(name, 0.0) - other.get(name, 0.0)) for name in {*shares, *other}) / 2
