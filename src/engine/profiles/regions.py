"""Which people a session is asked about: a region of the space of attributes, by the session's number alone.

A session has one value of each axis such as work or means; within it each person has a gender and an age of
their own, so that these go with nothing else. Each axis is a list of values with weights. Session `i` takes
of axis `j` the value at `frac(i * sqrt(p_j) + o_j)` of the cumulated weights, with `p_j` the j-th prime and
`o_j` from the seed: a Weyl sequence, which fills all combinations evenly, so that any run of sessions
covers each axis in its proportions. Nothing is drawn, and no session knows of another.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import fsum, sqrt
from pathlib import Path
from typing import Annotated

import xxhash
from pydantic import BaseModel, ConfigDict, Field

from engine.errors import BadInput
from engine.profiles.data_file import find_data, read_data

_PRIMES = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29)
_BAND = re.compile(r"(\d{1,3})-(\d{1,3})")
_Weight = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class _Gender(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str
    en: str
    zh: str
    weight: _Weight = 1.0


class _Age(BaseModel):
    model_config = ConfigDict(extra="forbid")
    low: Annotated[int, Field(ge=1, le=120)]
    high: Annotated[int, Field(ge=1, le=120)]
    weight: _Weight = 1.0


class _Value(BaseModel):
    model_config = ConfigDict(extra="forbid")
    en: str
    zh: str
    weight: _Weight = 1.0


class _RegionFile(BaseModel):
    model_config = ConfigDict(extra="forbid")
    gender: Annotated[list[_Gender], Field(min_length=1)]
    age: Annotated[list[_Age], Field(min_length=1)]
    axes: Annotated[
        dict[str, Annotated[list[_Value], Field(min_length=1)]], Field(max_length=len(_PRIMES) - 2)
    ] = {}


class _TargetFile(BaseModel):
    model_config = ConfigDict(extra="forbid")
    gender: Annotated[dict[str, _Weight], Field(min_length=1)] | None = None
    age: Annotated[dict[str, _Weight], Field(min_length=1)] | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """Wanted shares by aspect and category, each aspect's adding up to 1; an age is a band `LOW-HIGH`."""

    shares: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Person:
    """One person to be asked for: a line for the request, and the categories of gender and age."""

    line: str
    categories: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Choice:
    line: str
    weight: float
    category: str = ""


@dataclass(frozen=True, slots=True)
class Space:
    """All regions. An axis is a name and its values; `own` are those of a person, `axes` of a session."""

    own: tuple[tuple[str, tuple[_Choice, ...]], ...]
    axes: tuple[tuple[str, tuple[_Choice, ...]], ...]
    seed: int

    @property
    def identity(self) -> list[object]:
        """What of it decides requests."""
        both = (*self.own, *self.axes)
        return [[name, [[each.line, each.weight] for each in values]] for name, values in both]

    def region(self, number: int) -> tuple[str, ...]:
        """What the people of session `number` (from 1) have in common, in lines."""
        return tuple(each.line for each in self._values(self.axes, _PRIMES[len(self.own) :], number))

    def person(self, number: int) -> Person:
        """The person `number` (from 1) of all that are asked for."""
        values = self._values(self.own, _PRIMES, number)
        return Person(
            ", ".join(each.line for each in values),
            {name: each.category for (name, _), each in zip(self.own, values, strict=True)},
        )

    def _values(
        self, axes: tuple[tuple[str, tuple[_Choice, ...]], ...], primes: Sequence[int], number: int
    ) -> list[_Choice]:
        return [
            _at(values, number * sqrt(prime) + _offset(self.seed, name))
            for (name, values), prime in zip(axes, primes, strict=False)
        ]


def _offset(seed: int, axis: str) -> float:
    return xxhash.xxh3_64_intdigest(f"{seed}/{axis}".encode()) / 2**64


def _at(values: Sequence[_Choice], place: float) -> _Choice:
    left = (place % 1.0) * fsum(each.weight for each in values)
    for each in values:
        left -= each.weight
        if left < 0:
            return each
    return values[-1]


def load_space(
    language: str, seed: int, templates: Path | None, config_dir: Path | None, target: Target | None = None
) -> Space:
    """The space of `regions.yaml`, with the target's genders and ages in place of its own."""
    found = read_data(_RegionFile, find_data("regions.yaml", templates, config_dir))
    wanted = {} if target is None else target.shares
    words = {each.name: each for each in found.gender}
    genders = wanted.get("gender") or {each.name: each.weight for each in found.gender}
    ages = wanted.get("age") or {f"{each.low}-{each.high}": each.weight for each in found.age}
    is_chinese = language == "zh"

    def named(name: str) -> str:
        if name in words:
            return words[name].zh if is_chinese else words[name].en
        return f"性别：{name}" if is_chinese else f"gender: {name}"

    def aged(band: str) -> str:
        low, high = band_of(band) or (0, 0)
        return f"{low}至{high}岁" if is_chinese else f"{low} to {high} years old"

    own = (
        ("gender", tuple(_Choice(named(name), weight, name) for name, weight in genders.items())),
        ("age", tuple(_Choice(aged(band), weight, band) for band, weight in ages.items())),
    )
    axes = []
    for name, values in found.axes.items():
        axes.append(
            (name, tuple(_Choice(each.zh if is_chinese else each.en, each.weight) for each in values))
        )
    return Space(own, tuple(axes), seed)


def load_target(path: Path) -> Target:
    """A wished-for distribution: `gender` and `age`, each category to weight. Raises BadInput."""
    found = read_data(_TargetFile, path)
    shares: dict[str, Mapping[str, float]] = {}
    for aspect, weights in (("gender", found.gender), ("age", found.age)):
        if weights is not None:
            total = fsum(weights.values())
            shares[aspect] = {name: weight / total for name, weight in weights.items()}
    if not shares:
        raise BadInput(f"{path}: says nothing of gender or age. See docs/profiles.md.")
    bands = []
    for name in shares.get("age", ()):
        if (band := band_of(name)) is None or band[0] > band[1]:
            raise BadInput(f"{path}: age: {name!r} is no band of ages, such as 25-34.")
        bands.append(band)
    for (_, high), (low, _) in zip(sorted(bands), sorted(bands)[1:], strict=False):
        if low <= high:
            raise BadInput(f"{path}: age: the bands overlap at {low}. Let each age be in one band only.")
    return Target(shares)


def band_of(name: str) -> tuple[int, int] | None:
    """The ages of a band `LOW-HIGH`."""
    found = _BAND.fullmatch(name)
    return None if found is None else (int(found[1]), int(found[2]))


def category_of(aspect: str, value: str, categories: Iterable[str]) -> str | None:
    """Which of `categories` a profile's gender or age falls into; None where it says none of them."""
    if aspect == "age":
        number = re.search(r"\d{1,3}", value)
        if number is None:
            return None
        for name in categories:
            band = band_of(name)
            if band is not None and band[0] <= int(number[0]) <= band[1]:
                return name
        return None
    folded = value.strip().rstrip(".。").casefold()
    return next((name for name in categories if folded in _names_of(name)), None)


_SAME = (
    frozenset({"female", "woman", "女", "女性"}),
    frozenset({"male", "man", "男", "男性"}),
    frozenset({"other", "non-binary", "nonbinary", "非二元", "非二元性别", "其他"}),
)


def _names_of(name: str) -> frozenset[str]:
    folded = name.casefold()
    return next((names for names in _SAME if folded in names), frozenset({folded}))
