"""Agreement of judges and people: for each question every pair of authors, and every group of them.

Intervals are of 95 %, by drawing conversations: turns of one conversation resemble each other, so drawing
turns would make the intervals too narrow. A draw in which a coefficient is not defined counts for nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from engine.analysis.coefficients import (
    cohen_kappa,
    coincidences,
    fleiss_kappa,
    krippendorff_alpha,
    percent,
    spearman,
)
from engine.analysis.judgements import Answer, Judgements, Question, Unit, group_of

DRAWS = 1_000
_SEED = 42
# Draws times conversations times 8 bytes that are held at once.
_CHUNK = 4_000_000
# Labels of a question beyond these make a table that nobody reads, and one that grows with the data.
_MOST_CATEGORIES = 60


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its 95 % interval; None where it is not defined."""

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class TaskAgreement:
    """Two authors on the units of one task; `confusion[i][j]`: first said i, second said j."""

    units: int
    percent: float | None
    kappa: float | None
    confusion: list[list[int]]


@dataclass(frozen=True, slots=True)
class PairAgreement:
    """Two authors on the units that both judged. `coefficients` by name, in a fixed order."""

    first: str
    second: str
    relation: str
    units: int
    conversations: int
    coefficients: Mapping[str, Estimate]
    confusion: list[list[int]]
    by_task: Mapping[str, TaskAgreement]


@dataclass(frozen=True, slots=True)
class GroupAgreement:
    """Several authors at once. `everywhere`: the units that all of them judged, which Fleiss' kappa needs."""

    group: str
    authors: list[str]
    units: int
    everywhere: int
    coefficients: Mapping[str, Estimate]


@dataclass(frozen=True, slots=True)
class QuestionAgreement:
    """All that is known of one question. `categories` names the rows and columns of each confusion."""

    question: str
    is_ordinal: bool
    categories: list[Answer]
    pairs: list[PairAgreement]
    groups: list[GroupAgreement]


def agreement(judgements: Judgements, *, draws: int = DRAWS) -> list[QuestionAgreement]:
    """Every question that two authors answered on some unit, in the order of first appearance."""
    found = [_question(question, draws) for question in judgements.questions.values()]
    return [each for each in found if each.pairs]


def _question(question: Question, draws: int) -> QuestionAgreement:
    categories = question.categories()[:_MOST_CATEGORIES]
    place = {category: index for index, category in enumerate(categories)}
    pairs, authors = [], question.authors
    for first, second in combinations(authors, 2):
        both = [
            unit
            for unit in question.units.values()
            if first in unit.answers and second in unit.answers and _is_within(unit, place, (first, second))
        ]
        if both:
            pairs.append(_pair(first, second, both, place, question.is_ordinal, draws))
    groups: list[GroupAgreement] = []
    for name in ("human", "judge", "all"):
        members = [author for author in authors if name in ("all", group_of(author))]
        is_new = name != "all" or (len(members) > 2 and all(each.authors != members for each in groups))
        if len(members) > 1 and is_new:
            groups.append(_group(name, members, question, place, draws))
    return QuestionAgreement(question.name, question.is_ordinal, categories, pairs, groups)


def _is_within(unit: Unit, place: Mapping[Answer, int], authors: Sequence[str]) -> bool:
    return all(unit.answers[author] in place for author in authors)


def _pair(
    first: str, second: str, units: Sequence[Unit], place: Mapping[Answer, int], is_ordinal: bool, draws: int
) -> PairAgreement:
    import numpy as np

    k = len(place)
    rows = {name: i for i, name in enumerate(dict.fromkeys(unit.conversation for unit in units))}
    tables = np.zeros((len(rows), k, k))
    by_task: dict[str, Any] = {}
    for unit in units:
        at = place[unit.answers[first]], place[unit.answers[second]]
        tables[rows[unit.conversation]][at] += 1
        by_task.setdefault(unit.task, np.zeros((k, k)))[at] += 1

    def symmetric(confusion: Any) -> Any:
        return confusion + confusion.swapaxes(-2, -1)

    measures: dict[str, Callable[[Any], Any]] = {
        "percent": percent,
        "Cohen's kappa": cohen_kappa,
        "Krippendorff's alpha": lambda table: krippendorff_alpha(symmetric(table)),
    }
    if is_ordinal:
        measures |= {
            "Cohen's kappa, quadratic": lambda table: cohen_kappa(table, is_quadratic=True),
            "Krippendorff's alpha, ordinal": lambda table: krippendorff_alpha(
                symmetric(table), is_ordinal=True
            ),
            "Spearman": spearman,
        }
    return PairAgreement(
        first,
        second,
        "-".join(sorted((group_of(first), group_of(second)), key=("judge", "human", "dataset").index)),
        len(units),
        len(rows),
        _estimates(tables, measures, draws),
        tables.sum(axis=0).astype(int).tolist(),
        {
            task: TaskAgreement(
                int(table.sum()),
                _number(percent(table)),
                _number(cohen_kappa(table)),
                table.astype(int).tolist(),
            )
            for task, table in sorted(by_task.items())
        },
    )


def _group(
    name: str, authors: Sequence[str], question: Question, place: Mapping[Answer, int], draws: int
) -> GroupAgreement:
    import numpy as np

    given: dict[str, list[list[int]]] = {}
    for unit in question.units.values():
        answers = [unit.answers[author] for author in authors if author in unit.answers]
        known = [place[answer] for answer in answers if answer in place]
        if len(known) > 1:
            given.setdefault(unit.conversation, []).append(known)
    full = {key: [unit for unit in units if len(unit) == len(authors)] for key, units in given.items()}
    measures: dict[str, Callable[[Any], Any]] = {"Krippendorff's alpha": krippendorff_alpha}
    if question.is_ordinal:
        measures["Krippendorff's alpha, ordinal"] = lambda table: krippendorff_alpha(table, is_ordinal=True)
    k = len(place)

    def tables(units: Mapping[str, list[list[int]]]) -> Any:
        return np.array([coincidences(each, k) for each in units.values() if each]).reshape(-1, k, k)

    found = _estimates(tables(full), {"Fleiss' kappa": fleiss_kappa}, draws)
    found |= _estimates(tables(given), measures, draws)
    return GroupAgreement(
        name, list(authors), sum(map(len, given.values())), sum(map(len, full.values())), found
    )


def _estimates(tables: Any, measures: Mapping[str, Callable[[Any], Any]], draws: int) -> dict[str, Estimate]:
    """Each measure of all tables together, with its interval over draws of tables (n, k, k)."""
    import numpy as np

    n = len(tables)
    observed = {name: _number(measure(tables.sum(axis=0))) for name, measure in measures.items()}
    if n < 2 or not draws:
        return {name: Estimate(value) for name, value in observed.items()}
    random = np.random.default_rng(_SEED)
    drawn: dict[str, list[Any]] = {name: [] for name in measures}
    step = max(1, _CHUNK // n)
    flat = tables.reshape(n, -1)
    for start in range(0, draws, step):
        weights = random.multinomial(n, np.full(n, 1 / n), size=min(step, draws - start))
        resampled = (weights @ flat).reshape(-1, *tables.shape[1:])
        for name, measure in measures.items():
            drawn[name].append(measure(resampled))
    found = {}
    for name, value in observed.items():
        values = np.concatenate(drawn[name])
        values = values[~np.isnan(values)]
        if value is None or len(values) < draws / 2:
            found[name] = Estimate(value)
        else:
            low, high = np.percentile(values, [2.5, 97.5])
            found[name] = Estimate(value, float(low), float(high))
    return found


def _number(value: Any) -> float | None:
    number = float(value)
    return None if number != number else number
