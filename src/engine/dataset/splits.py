"""Parts for training and testing, such that no profile is in two of them: by text, by id and by person.

Conversations belong together that share a profile's text (case and spaces aside), its id, or the person who
spoke. The groups are known after one pass; the largest go first, each to the part that lacks most. Memory
grows with the distinct profiles (conversations without any count as one each), never with their texts.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b

import orjson

from engine.errors import BadInput, UsageError
from engine.schema.dataset import Conversation

WHOLE = ""
_NAMES = {2: ("train", "test"), 3: ("train", "validation", "test")}


@dataclass(frozen=True, slots=True)
class Ratio:
    """How large the parts are to be: name to share, in order; one nameless part for no split."""

    shares: Mapping[str, float]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.shares)


NO_SPLIT = Ratio({WHOLE: 1.0})


def parse_ratio(text: str) -> Ratio:
    """`8:1:1` (train, validation, test) or `9:1` (train, test); raises UsageError for anything else."""
    try:
        parts = [float(part) for part in text.split(":")]
    except ValueError:
        parts = []
    if len(parts) not in _NAMES or not all(0 < part < float("inf") for part in parts):
        raise UsageError(
            f"--split: {text!r} is no ratio; write it as 8:1:1 (train, validation, test) or as 9:1 (train "
            "and test)."
        )
    return Ratio({name: part / sum(parts) for name, part in zip(_NAMES[len(parts)], parts, strict=True)})


class Splitter:
    """Tells each conversation's part. One pass of `learn`, then `part_of`."""

    def __init__(self, ratio: Ratio) -> None:
        self.ratio = ratio
        self.groups = 0
        self._part: dict[bytes, str] = {}

    def learn(self, conversations: Iterable[Conversation]) -> None:
        """Look at every conversation once and give each group its part.

        Raises BadInput where there are fewer profiles than parts.
        """
        if self.ratio is NO_SPLIT:
            return
        parent: dict[bytes, bytes] = {}
        counts: Counter[bytes] = Counter()
        for conversation in conversations:
            first, *others = _keys(conversation)
            for key in (first, *others):
                parent.setdefault(key, key)
                _join(parent, first, key)
            counts[first] += 1
        sizes: Counter[bytes] = Counter()
        for key, count in counts.items():
            sizes[_root(parent, key)] += count
        self.groups = len(sizes)
        if 0 < self.groups < len(self.ratio.shares):
            raise BadInput(
                f"--split: the conversations are of {self.groups} profile(s) (those that share a text, an "
                f"id or a person are one), too few for {len(self.ratio.shares)} parts with no profile in "
                "two. Take more conversations, fewer parts, or no split."
            )
        part = self._assign(sizes)
        self._part = {key: part[_root(parent, key)] for key in parent}

    def part_of(self, conversation: Conversation) -> str:
        """The part's name. A profile that came up since `learn` goes into the first part."""
        if self.ratio is NO_SPLIT:
            return WHOLE
        found = (self._part.get(key) for key in _keys(conversation))
        return next((part for part in found if part is not None), self.ratio.names[0])

    def _assign(self, sizes: Counter[bytes]) -> dict[bytes, str]:
        total, filled = sum(sizes.values()), Counter[str]()
        part: dict[bytes, str] = {}
        waiting = list(self.ratio.names)
        for index, key in enumerate(sorted(sizes, key=lambda key: (-sizes[key], key))):
            # No part stays empty: the last groups go to those that have none yet.
            empty = [name for name in waiting if not filled[name]]
            open_ = empty if len(sizes) - index <= len(empty) else waiting
            name = max(open_, key=lambda name: self.ratio.shares[name] * total - filled[name])
            part[key] = name
            filled[name] += sizes[key]
        return part


def _keys(conversation: Conversation) -> list[bytes]:
    profile = conversation.profile
    found = []
    if text := " ".join(unicodedata.normalize("NFKC", profile.text).casefold().split()):
        found.append(f"text {text}")
    elif profile.fields and not conversation.person:
        fields = orjson.dumps(dict(profile.fields), option=orjson.OPT_SORT_KEYS).decode()
        found.append(f"fields {fields}")
    if profile.profile_id:
        found.append(f"id {profile.profile_id}")
    if conversation.person:
        found.append(f"person {conversation.person}")
    return [
        blake2b(key.encode("utf-8", "replace"), digest_size=8).digest()
        for key in found or [f"conversation {conversation.conversation_id}"]
    ]


def _root(parent: dict[bytes, bytes], key: bytes) -> bytes:
    while parent[key] != key:
        parent[key] = parent[parent[key]]
        key = parent[key]
    return key


def _join(parent: dict[bytes, bytes], one: bytes, other: bytes) -> None:
    a, b = _root(parent, one), _root(parent, other)
    if a != b:
        parent[max(a, b)] = min(a, b)
