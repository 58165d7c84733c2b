"""Bounded samples of datasets, and draws that respect who said what.

A sample holds the conversations whose ids have the smallest digests: it does not depend on the order, is the
same each time, and grows by keeping what it has. Conversations of one user (person, else profile) resemble
each other, so intervals and splits draw users, not conversations.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any

from engine.schema.dataset import Conversation

DRAWS = 1_000
_SEED = 42


@dataclass(frozen=True, slots=True)
class Sample:
    """Some conversations of a dataset, ordered by digest, and how many there were to choose from."""

    name: str
    conversations: tuple[Conversation, ...]
    of: int

    @property
    def users(self) -> list[str]:
        """The user of each conversation."""
        return [user_of(conversation) for conversation in self.conversations]


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean with its 95 % interval, None where there are too few users for one, and how many values."""

    value: float
    low: float | None
    high: float | None
    n: int


def draw_sample(name: str, conversations: Iterable[Conversation], size: int) -> Sample:
    """A sample of at most `size`; memory holds no more than that."""
    heap: list[tuple[int, int, Conversation]] = []
    n = 0
    for conversation in conversations:
        entry = (-digest(conversation.conversation_id), -n, replace(conversation, source_bytes=b""))
        n += 1
        if len(heap) < size:
            heapq.heappush(heap, entry)
        else:
            heapq.heappushpop(heap, entry)
    return Sample(name, tuple(entry[2] for entry in sorted(heap, reverse=True)), n)


def user_of(conversation: Conversation) -> str:
    """Who speaks for the user: the person, else the profile, else nobody but this conversation."""
    profile = conversation.profile
    if conversation.person:
        return f"person {conversation.person}"
    if profile.text or profile.profile_id:
        return f"profile {profile.text or profile.profile_id}"
    return f"conversation {conversation.conversation_id}"


def ordered_by_digest(names: Iterable[str]) -> list[str]:
    """Distinct names in an order that nobody chose and that is always the same."""
    return sorted(set(names), key=lambda name: (digest(name), name))


class UserDraws:
    """Draws of users with replacement, for the means of values that belong to them."""

    def __init__(self, users: Sequence[str], draws: int = DRAWS) -> None:
        import numpy as np

        names = {name: row for row, name in enumerate(dict.fromkeys(users))}
        self._rows = np.array([names[user] for user in users], dtype=int)
        self._n = len(names)
        random = np.random.default_rng(_SEED)
        self._weights = random.multinomial(self._n, np.full(self._n, 1 / self._n), size=draws)

    @property
    def n(self) -> int:
        """How many users there are to draw."""
        return self._n

    def means(self, values: Sequence[float | None]) -> Any:
        """(draws,) mean of the values of the users drawn; NaN where they have none."""
        import numpy as np

        there = np.array([value is not None for value in values])
        numbers = np.array([0.0 if value is None else value for value in values])
        sums = np.bincount(self._rows, weights=numbers, minlength=self._n)
        counts = np.bincount(self._rows, weights=there.astype(float), minlength=self._n)
        totals = self._weights @ counts
        return np.divide(self._weights @ sums, totals, out=np.full(len(totals), np.nan), where=totals > 0)

    def mean(self, values: Sequence[float | None]) -> Mean | None:
        """The mean of all values that are there, None of none."""
        there = [value for value in values if value is not None]
        if not there:
            return None
        low, high = interval(self.means(values)) if self._n > 1 else (None, None)
        return Mean(sum(there) / len(there), low, high, len(there))


def interval(values: Any) -> tuple[float | None, float | None]:
    """The 2.5th and 97.5th percentile of draws that are no NaN."""
    import numpy as np

    values = values[~np.isnan(values)]
    if len(values) < 2:
        return None, None
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def digest(name: str) -> int:
    """A number that orders names as nobody chose, always the same."""
    return int.from_bytes(blake2b(name.encode("utf-8", "replace"), digest_size=8).digest())
