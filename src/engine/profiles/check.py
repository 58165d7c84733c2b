"""What is wrong and what is lacking in a pool: one pass over its lines.

Memory grows with the pool by what finds duplicates, about 1.5 KB a profile; lists of findings are kept to
their first so many, counts are whole.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from engine.errors import BadInput
from engine.profiles.contradictions import Contradiction, Rules
from engine.profiles.coverage import Categories, Tally, distance
from engine.profiles.pool_file import Fault
from engine.profiles.regions import Target, category_of
from engine.profiles.similarity import NEAR, Index, Match
from engine.schema.profile import Profile

KEPT = 1000


FoundT = TypeVar("FoundT")


@dataclass(slots=True)
class Found(Generic[FoundT]):
    """How many, and the first of them."""

    count: int = 0
    first: list[FoundT] = field(default_factory=list)

    def add(self, each: FoundT) -> None:
        """One more."""
        self.count += 1
        if len(self.first) < KEPT:
            self.first.append(each)


@dataclass(slots=True)
class PoolCheck:
    """The findings: faults by line; profiles that repeat an earlier one; contradictions; what was counted."""

    tally: Tally
    faults: Found[Fault] = field(default_factory=Found)
    duplicates: Found[tuple[str, str]] = field(default_factory=Found)
    near: Found[tuple[str, Match]] = field(default_factory=Found)
    contradictions: Found[tuple[str, Contradiction]] = field(default_factory=Found)
    targets: list[TargetRow] = field(default_factory=list)
    references: list[ReferenceRow] = field(default_factory=list)
    like_reference: Found[tuple[str, Match]] = field(default_factory=Found)

    @property
    def profiles(self) -> int:
        """How many could be read."""
        return self.tally.n


@dataclass(frozen=True, slots=True)
class TargetRow:
    """A category of the target: the wished-for share, the pool's, and how many profiles that is."""

    aspect: str
    category: str
    wanted: float
    share: float
    count: int


@dataclass(frozen=True, slots=True)
class ReferenceRow:
    """One aspect beside a reference pool: entropies in bits, and the distance of the categories' shares."""

    aspect: str
    evenness: float | None
    reference_evenness: float | None
    mean_words: float
    reference_mean_words: float
    distance: float


def check_pool(
    pool: Iterable[Profile | Fault],
    categories: Categories,
    rules: Rules,
    *,
    near: float = NEAR,
    target: Target | None = None,
    reference: Iterable[Profile | Fault] | None = None,
) -> PoolCheck:
    """Look at everything. A profile that repeats several earlier ones counts once, beside the nearest.

    Raises BadInput where the reference holds no profile.
    """
    check = PoolCheck(Tally(categories))
    theirs, against = (None, None) if reference is None else _reference(reference, categories, near)
    index = Index(near)
    in_target: Counter[tuple[str, str]] = Counter()
    for each in pool:
        if isinstance(each, Fault):
            check.faults.add(each)
            continue
        _look(each, check, index, rules)
        if against is not None and (match := against.like(each.aspects)) is not None:
            check.like_reference.add((each.profile_id, match))
        for aspect, shares in {} if target is None else target.shares.items():
            category = category_of(aspect, each.aspects.get(aspect, ""), shares)
            in_target[aspect, category or "neither"] += 1
    n = check.profiles
    for aspect, shares in {} if target is None else target.shares.items():
        for name, share in [*shares.items(), ("neither", 0.0)]:
            count = in_target[aspect, name]
            if share or count:
                check.targets.append(TargetRow(aspect, name, share, count / max(1, n), count))
    if theirs is not None:
        check.references = _beside(check.tally, theirs)
    return check


def _look(profile: Profile, check: PoolCheck, index: Index, rules: Rules) -> None:
    check.tally.add(profile.aspects)
    matches = index.add(profile.profile_id, profile.aspects)
    exact = next((match for match in matches if match.is_exact), None)
    if exact is not None:
        check.duplicates.add((profile.profile_id, exact.name))
    elif matches:
        check.near.add((profile.profile_id, max(matches, key=lambda match: match.similarity)))
    for found in rules.broken_by(profile.aspects):
        check.contradictions.add((profile.profile_id, found))


def _reference(
    reference: Iterable[Profile | Fault], categories: Categories, near: float
) -> tuple[Tally, Index]:
    tally, index, is_empty = Tally(categories), Index(near), True
    for each in reference:
        if isinstance(each, Profile):
            is_empty = False
            tally.add(each.aspects)
            index.add(each.profile_id, each.aspects)
    if is_empty:
        raise BadInput("the reference holds no profile, so there is nothing to compare with.")
    return tally, index


def _beside(own: Tally, theirs: Tally) -> list[ReferenceRow]:
    other = {row.aspect: row for row in theirs.coverage()}
    return [
        ReferenceRow(
            row.aspect, row.evenness, other[row.aspect].evenness, row.mean_words,
            other[row.aspect].mean_words, distance(own.shares(row.aspect), theirs.shares(row.aspect)),
        )
        for row in own.coverage()
        if row.aspect in other
    ]  # fmt: skip


def document_of(check: PoolCheck) -> Mapping[str, object]:
    """All findings for a script to read."""
    return {
        "profiles": check.profiles,
        "faults": {
            "count": check.faults.count,
            "first": [[each.line, each.what] for each in check.faults.first],
        },
        "duplicates": {"count": check.duplicates.count, "first": check.duplicates.first},
        "near_duplicates": {
            "count": check.near.count,
            "first": [[name, match.name, round(match.similarity, 4)] for name, match in check.near.first],
        },
        "contradictions": {
            "count": check.contradictions.count,
            "first": [[name, each.rule, each.says, each.also] for name, each in check.contradictions.first],
        },
        "coverage": [
            {
                "aspect": row.aspect, "distinct": row.distinct, "mean_words": row.mean_words,
                "vocabulary": row.vocabulary, "categories": dict(row.categories), "uncoded": row.uncoded,
                "entropy_bits": row.entropy, "evenness": row.evenness,
            }
            for row in check.tally.coverage()
        ],
        "associations": [
            {
                "demographic": each.demographic, "aspect": each.aspect, "category": each.category,
                "v": each.v, "p": each.p, "shares": dict(each.shares),
            }
            for each in check.tally.associations()
        ],
        "target": [
            {
                "aspect": row.aspect, "category": row.category, "wanted": row.wanted, "share": row.share,
                "count": row.count,
            }
            for row in check.targets
        ],
        "reference": {
            "aspects": [
                {
                    "aspect": row.aspect, "evenness": row.evenness,
                    "reference_evenness": row.reference_evenness, "mean_words": row.mean_words,
                    "reference_mean_words": row.reference_mean_words, "distance": row.distance,
                }
                for row in check.references
            ],
            "like": {
                "count": check.like_reference.count,
                "first": [[n, m.name, round(m.similarity, 4)] for n, m in check.like_reference.first],
            },
        },
    }  # fmt: skip
