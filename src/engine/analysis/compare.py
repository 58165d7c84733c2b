"""Two datasets side by side: the paper's missing comparison.

Everything is of a sample of each (`draws.Sample`), of kept conversations. Intervals draw users; differences
are second minus first. Effect sizes are Cliff's delta: the share of pairs in which the second's value is
larger less the share in which it is smaller, -1 to 1. Distances of two halves of one dataset's users stand
beside those of the two datasets: what is not above them is nothing but chance.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from engine.analysis.diversity import DiversityRow, compare_diversity
from engine.analysis.draws import DRAWS, Mean, Sample, UserDraws, interval, ordered_by_digest, user_of
from engine.analysis.embedding import Embed, EmbeddingSpread, compare_spread
from engine.analysis.facts import Revealing, reveal
from engine.analysis.intent_shares import IntentShares, compare_intents
from engine.analysis.likeness import Floor, Likeness, floor, likeness, shape_likeness
from engine.analysis.measures import ALL, LENGTHS, Measured, Reading, measure
from engine.analysis.words import units
from engine.schema.conversation import Role
from engine.schema.dataset import Construction, Conversation

# Utterances that draws of a few thousand units are taken from.
_MOST_TEXTS = 1_000
_WITH_PEOPLE = (Construction.HUMAN_HUMAN, Construction.HUMAN_LLM)


@dataclass(frozen=True, slots=True)
class Side:
    """One dataset of a comparison. `reads`: the language of its texts; `is_translated`: by whomever."""

    name: str
    construction: dict[str, int]
    conversations: int
    of: int
    users: int
    tasks: dict[str, int]
    language: str
    is_translated: bool

    @property
    def has_people(self) -> bool:
        """Whether its users are people."""
        return any(self.construction.get(each.value) for each in _WITH_PEOPLE)


@dataclass(frozen=True, slots=True)
class Row:
    """One measure; None for a dataset that does not have it, and then there is no difference."""

    measure: str
    first: Mean | None
    second: Mean | None
    difference: float | None
    low: float | None
    high: float | None
    cliffs_delta: float | None


@dataclass(frozen=True, slots=True)
class Distance:
    """How far two distributions lie apart. `floors`: the same for two halves of the first, of the second."""

    what: str
    wasserstein: float
    kolmogorov_smirnov: float
    floors: tuple[float | None, float | None]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Everything; parts that cannot be had are empty or None."""

    first: Side
    second: Side
    rows: list[Row]
    by_task: dict[str, list[Row]]
    diversity: dict[str, list[DiversityRow]]
    embedding: dict[str, EmbeddingSpread]
    facts: tuple[Revealing | None, Revealing | None]
    intents: IntentShares | None
    distances: list[Distance]
    likeness: list[Likeness]
    likeness_floor: Floor | None


def compare(
    first: Sample, second: Sample, reading: Reading, *, embed: Embed | None = None, draws: int = DRAWS
) -> Comparison:
    """Compare two samples that hold conversations."""
    samples = first, second
    measured = tuple([measure(each, reading) for each in sample.conversations] for sample in samples)
    common = sorted(set.intersection(*({c.task for c in sample.conversations} for sample in samples)) - {""})
    user_draws = (UserDraws(first.users, draws), UserDraws(second.users, draws))
    sides = _side(first, reading), _side(second, reading)
    people = next((i for i in (0, 1) if sides[i].has_people), 0)
    told = [
        likeness(first, second, reading),
        shape_likeness(first, second, (measured[0], measured[1])),
    ]
    return Comparison(
        *sides,
        _rows(measured[0], measured[1], user_draws),
        {task: _of_task(samples, measured, task, draws) for task in common},
        _diversity(samples, reading, common),
        {} if embed is None else _spreads(samples, reading, embed),
        (reveal(first.conversations), reveal(second.conversations)),
        compare_intents(first.conversations, second.conversations, user_draws, reading.author),
        [_distance(name, samples, measured, values) for name, values in _DISTANCES.items()],
        [each for each in told if each is not None],
        floor(samples[people], reading),
    )


def common_language(first: Sample, second: Sample) -> str | None:
    """The language to read both in: None where they have the same, else one into which one is translated."""
    languages = [{each.language for each in sample.conversations} - {""} for sample in (first, second)]
    if not languages[0] or not languages[1] or languages[0] == languages[1]:
        return None
    for own, other in ((languages[0], second), (languages[1], first)):
        for language in sorted(own):
            if len(own) == 1 and all(
                language in turn.translations or each.language == language
                for each in other.conversations
                for turn in each.turns
            ):
                return language
    return None


def _side(sample: Sample, reading: Reading) -> Side:
    def counts(names: Sequence[str]) -> dict[str, int]:
        return {name: names.count(name) for name in sorted(set(names))}

    languages = sorted({each.language for each in sample.conversations} - {""})
    is_translated = reading.language is not None and languages != [reading.language]
    return Side(
        sample.name,
        counts([each.construction.value for each in sample.conversations]),
        len(sample.conversations),
        sample.of,
        len(set(sample.users)),
        counts([each.task for each in sample.conversations]),
        (reading.language or "") if is_translated else ", ".join(languages),
        is_translated,
    )


def _rows(
    first: Sequence[Measured],
    second: Sequence[Measured],
    draws: tuple[UserDraws, UserDraws],
    names: Sequence[str] = ALL,
) -> list[Row]:
    rows = []
    for name in names:
        values = [row[name] for row in first], [row[name] for row in second]
        means = draws[0].mean(values[0]), draws[1].mean(values[1])
        if means[0] is None and means[1] is None:
            continue
        if means[0] is None or means[1] is None:
            rows.append(Row(name, *means, None, None, None, None))
            continue
        between = interval(draws[1].means(values[1]) - draws[0].means(values[0]))
        has_interval = means[0].low is not None and means[1].low is not None
        rows.append(
            Row(
                name,
                *means,
                means[1].value - means[0].value,
                *(between if has_interval else (None, None)),
                cliffs_delta(*([value for value in each if value is not None] for each in values)),
            )
        )
    return rows


def _of_task(
    samples: tuple[Sample, Sample], measured: Sequence[Sequence[Measured]], task: str, draws: int
) -> list[Row]:
    rows, users = [], []
    for sample, values in zip(samples, measured, strict=True):
        at = [i for i, each in enumerate(sample.conversations) if each.task == task]
        rows.append([values[i] for i in at])
        users.append([user_of(sample.conversations[i]) for i in at])
    return _rows(rows[0], rows[1], (UserDraws(users[0], draws), UserDraws(users[1], draws)))


def cliffs_delta(first: Sequence[float], second: Sequence[float]) -> float:
    """P(second > first) - P(second < first) of all pairs."""
    import numpy as np

    one, other = np.sort(np.asarray(first, float)), np.asarray(second, float)
    below = np.searchsorted(one, other, side="left").sum()
    above = (len(one) - np.searchsorted(one, other, side="right")).sum()
    return float((below - above) / (len(one) * len(other)))


def _texts(conversations: Sequence[Conversation], role: Role, reading: Reading) -> list[str]:
    return [text for each in conversations for text in reading.texts(each, role)]


def _diversity(
    samples: tuple[Sample, Sample], reading: Reading, common: Sequence[str]
) -> dict[str, list[DiversityRow]]:
    """By role, and by role and task for tasks of both; key: `user` or `user, recipe planning`."""
    found = {}
    for role in Role:
        for task in (None, *common):
            parts = [
                [c for c in sample.conversations if task is None or c.task == task] for sample in samples
            ]
            one, other = (
                [units(text) for text in _texts(part, role, reading)[:_MOST_TEXTS]] for part in parts
            )
            if rows := compare_diversity(one, other):
                found[role.value if task is None else f"{role.value}, {task}"] = rows
    return found


def _spreads(samples: tuple[Sample, Sample], reading: Reading, embed: Embed) -> dict[str, EmbeddingSpread]:
    found = {}
    for role in Role:
        one, other = (_texts(sample.conversations, role, reading) for sample in samples)
        if spread := compare_spread(one, other, embed):
            found[role.value] = spread
    return found


_DISTANCES: dict[str, Callable[[Measured], float | None]] = {
    name: (lambda row, name=name: row[name])  # type: ignore[misc]
    for name in LENGTHS
}


def _distance(
    what: str,
    samples: tuple[Sample, Sample],
    measured: Sequence[Sequence[Measured]],
    value: Callable[[Measured], float | None],
) -> Distance:
    from scipy.stats import ks_2samp, wasserstein_distance

    values = [[found for row in rows if (found := value(row)) is not None] for rows in measured]
    if not values[0] or not values[1]:
        return Distance(what, float("nan"), float("nan"), (None, None))
    floors = [
        _halves(sample, [value(row) for row in rows], wasserstein_distance)
        for sample, rows in zip(samples, measured, strict=True)
    ]
    return Distance(
        what,
        float(wasserstein_distance(*values)),
        float(ks_2samp(*values).statistic),
        (floors[0], floors[1]),
    )


def _halves(sample: Sample, values: Sequence[float | None], distance: Callable[..., Any]) -> float | None:
    """The mean distance of two halves of a dataset's users, over several ways to halve them."""
    users, found = sample.users, []
    names = ordered_by_digest(users)
    for way in range(20):
        # Other users each time: every name's place in an order of its own.
        half = set(ordered_by_digest(f"{way} {name}" for name in names)[: len(names) // 2])
        parts: tuple[list[float], list[float]] = ([], [])
        for user, value in zip(users, values, strict=True):
            if value is not None:
                parts[f"{way} {user}" in half].append(value)
        if parts[0] and parts[1]:
            found.append(float(distance(*parts)))
    return fmean(found) if found else None
