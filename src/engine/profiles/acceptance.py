"""Which profiles enter the pool: in batch and session order, each compared with those before it.

The decision on a profile depends on what was accepted before it in that order and on nothing else, so the
pool is the same whatever the concurrency and however often the work was stopped. What comes after the last
wanted profile is in the journal, and discarded.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from engine.profiles.reading import Unread
from engine.profiles.regions import Target, category_of
from engine.profiles.session import Answer
from engine.profiles.similarity import NEAR, Index
from engine.schema.profile import Profile

# Of the last sessions' profiles so few were new: the model has said what it has to say.
_PATIENCE, _LEAST_SHARE = 10, 0.02
_SHOWN = 20
Likeness = Callable[[Mapping[str, str]], str | None]


@dataclass(frozen=True, slots=True)
class Rejected:
    """A profile that did not enter: why, where it was said, and which one it repeats."""

    reason: str
    place: str
    like: str = ""
    similarity: float = 0.0


@dataclass(slots=True)
class Counts:
    """What went by: profiles read, accepted, rejected; pieces unread by reason; replies by their oddities."""

    sessions: int = 0
    replies: int = 0
    read: int = 0
    accepted: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    unread: Counter[str] = field(default_factory=Counter)
    tolerated: Counter[str] = field(default_factory=Counter)


class Acceptance:
    """Takes sessions in order until `wanted` profiles are accepted, or no more are to be expected.

    `keep` gets each accepted profile at once. With a target no more of a category than its share are taken.
    `similar`, where given, names an accepted profile that means the same in other words. What repeats one of
    the `examples` that were shown is a duplicate.
    """

    def __init__(
        self,
        wanted: int,
        keep: Callable[[Profile], None],
        *,
        asked_per_session: int,
        provenance: Mapping[str, str],
        prefix: str = "g",
        near: float = NEAR,
        target: Target | None = None,
        similar: Likeness | None = None,
        examples: Iterable[Mapping[str, str]] = (),
    ) -> None:
        self.wanted = wanted
        self.counts = Counts()
        self.unread: list[tuple[str, Unread]] = []
        self.rejected: list[Rejected] = []
        self.gave_up: str | None = None
        self._keep = keep
        self._asked = asked_per_session
        self._provenance = provenance
        self._prefix = prefix
        self._index = Index(near)
        # Small models hand the example back as a person of their own.
        for number, example in enumerate(examples, 1):
            self._index.add(f"example {number}", example)
        self._similar = similar
        self._target = target
        self._quotas = _quotas(target, wanted)
        self._taken: Counter[tuple[str, str]] = Counter()
        self._recent: deque[int] = deque(maxlen=_PATIENCE)

    def __repr__(self) -> str:
        return f"Acceptance({self.counts.accepted}/{self.wanted}, {self.counts.sessions} sessions)"

    @property
    def is_done(self) -> bool:
        """Whether nothing more is taken."""
        return self.counts.accepted >= self.wanted or self.gave_up is not None

    def is_closed(self, categories: Mapping[str, str]) -> bool:
        """Whether a person of these categories is not wanted any more."""
        return any(self._taken[pair] >= self._quotas.get(pair, self.wanted) for pair in categories.items())

    def take_session(self, name: str, answers: Sequence[Answer]) -> None:
        """Decide on everything that a session brought."""
        if self.is_done:
            return
        counts = self.counts
        before = counts.accepted
        counts.sessions += 1
        for answer in answers:
            counts.replies += 1
            counts.tolerated.update(answer.read.tolerated)
            place = f"{name}/{answer.step}" + (f".{answer.attempt}" if answer.attempt else "")
            for piece in answer.read.unread:
                counts.unread[piece.reason] += 1
                if len(self.unread) < _SHOWN:
                    self.unread.append((place, piece))
            for number, values in enumerate(answer.read.profiles, 1):
                if counts.accepted < self.wanted:
                    counts.read += 1
                    self._take(values, f"{place}/{number}")
        self._recent.append(counts.accepted - before)
        if not self.is_done and len(self._recent) == _PATIENCE:
            expected = _LEAST_SHARE * _PATIENCE * self._asked
            if sum(self._recent) < expected:
                self.gave_up = (
                    f"the last {_PATIENCE} sessions asked for {_PATIENCE * self._asked} profiles and brought "
                    f"{sum(self._recent)} new ones"
                )

    def _take(self, values: Mapping[str, str], place: str) -> None:
        pairs = self._categories(values)
        if pairs is None:
            self._reject(Rejected("not_in_target", place))
            return
        if any(self._taken[pair] >= self._quotas[pair] for pair in pairs):
            self._reject(Rejected("over_target", place))
            return
        name = f"{self._prefix}{self.counts.accepted + 1:06}"
        match = self._index.take(name, values)
        if match is not None:
            reason = "duplicate" if match.is_exact else "near_duplicate"
            self._reject(Rejected(reason, place, match.name, match.similarity))
            return
        if self._similar is not None and (like := self._similar(values)) is not None:
            self._reject(Rejected("similar_meaning", place, like))
            return
        self.counts.accepted += 1
        self._taken.update(pairs)
        self._keep(Profile(name, values, provenance={**self._provenance, "from": place}))

    def _categories(self, values: Mapping[str, str]) -> list[tuple[str, str]] | None:
        """The target's categories that a profile falls into; None where one of its aspects fits none."""
        pairs = []
        for aspect, shares in {} if self._target is None else self._target.shares.items():
            category = category_of(aspect, values.get(aspect, ""), shares)
            if category is None:
                return None
            pairs.append((aspect, category))
        return pairs

    def _reject(self, rejected: Rejected) -> None:
        self.counts.rejected[rejected.reason] += 1
        if len(self.rejected) < _SHOWN:
            self.rejected.append(rejected)


def _quotas(target: Target | None, wanted: int) -> dict[tuple[str, str], int]:
    """How many of each category may enter: shares by largest remainder, so that they add up to `wanted`."""
    quotas: dict[tuple[str, str], int] = {}
    for aspect, shares in {} if target is None else target.shares.items():
        exact = {name: share * wanted for name, share in shares.items()}
        whole = {name: int(value) for name, value in exact.items()}
        left = wanted - sum(whole.values())
        for name in sorted(exact, key=lambda name: whole[name] - exact[name])[:left]:
            whole[name] += 1
        quotas |= {(aspect, name): count for name, count in whole.items()}
    return quotas
