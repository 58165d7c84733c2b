"""Splits 8:1:1 into train, validation and test; who may appear in two parts is the split's name.

`utterance` is the paper's: samples in their fixed order, `train_test_split(test_size=0.2)`, the second part
halved, both with the same seed (42 there), not stratified. Utterances of one conversation then lie in
different parts. `conversation` and `profile` split whole groups the same way, so that nothing leaks. `file`
takes the parts from a file, which is how the paper's own assignment is used on a part of its data.
"""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from engine.errors import BadInput
from engine.experiments.samples import IntentData, Sample

PAPER_SEED = 42
_PARTS = {"t": 0, "v": 1, "e": 2}


class SplitKind(StrEnum):
    """What a split keeps together."""

    UTTERANCE = "utterance"
    CONVERSATION = "conversation"
    PROFILE = "profile"
    FILE = "file"


@dataclass(frozen=True, slots=True)
class Split:
    """Positions into the samples, for each part. `seed` is None where a file gave the parts."""

    kind: SplitKind
    seed: int | None
    train: tuple[int, ...]
    validation: tuple[int, ...]
    test: tuple[int, ...]

    @property
    def digest(self) -> str:
        """Names the assignment itself, however it was made."""
        text = repr((self.train, self.validation, self.test))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def parts(self) -> dict[str, tuple[int, ...]]:
        return {"train": self.train, "validation": self.validation, "test": self.test}


@dataclass(frozen=True, slots=True)
class SplitSamples:
    """What a model is given: the samples of each part, and all labels in their order."""

    train: tuple[Sample, ...]
    validation: tuple[Sample, ...]
    test: tuple[Sample, ...]
    labels: tuple[str, ...]


class _SplitFile(BaseModel):
    """One letter per user turn of each conversation: t train, v validation, e test."""

    model_config = ConfigDict(extra="ignore")
    split: dict[str, str]


def make_split(data: IntentData, kind: SplitKind, seed: int) -> Split:
    """Split by scikit-learn's own shuffling, so that the paper's parts come out for its seed."""
    groups: Mapping[SplitKind, Callable[[Sample], str]] = {
        SplitKind.CONVERSATION: lambda sample: sample.conversation_id,
        SplitKind.PROFILE: lambda sample: sample.profile,
    }
    if kind is SplitKind.UTTERANCE:
        parts = _two_stages(range(len(data.samples)), seed)
    else:
        parts = _by_group([groups[kind](sample) for sample in data.samples], seed, kind)
    return _checked(data, Split(kind, seed, *parts), f"the split by {kind} with seed {seed}")


def read_split_file(data: IntentData, path: Path) -> Split:
    """The parts that `path` gives: JSON, {"split": {conversation id: letters t, v, e by user turn}}.

    Conversations that only the file has are no error. Raises BadInput for any that only the data has.
    """
    try:
        letters = _SplitFile.model_validate_json(path.read_bytes()).split
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror}). Name a split file.") from error
    except ValidationError as error:
        raise BadInput(
            f"{path}: not a split file ({error.errors()[0]['msg']}). It is JSON like"
            ' {"split": {"gifts-1": "tve"}}.'
        ) from error
    parts: tuple[list[int], list[int], list[int]] = ([], [], [])
    for index, sample in enumerate(data.samples):
        given = letters.get(sample.conversation_id, "")
        letter = given[sample.turn] if sample.turn < len(given) else None
        if letter not in _PARTS:
            raise BadInput(
                f"{path}: says nothing usable about user turn {sample.turn + 1} of {sample.conversation_id}"
                f" ({letter!r}; t, v or e is wanted). Complete the file or take a split by seed."
            )
        parts[_PARTS[letter]].append(index)
    return _checked(data, Split(SplitKind.FILE, None, *map(tuple, parts)), str(path))


def take(data: IntentData, split: Split) -> SplitSamples:
    """The samples of each part."""
    train, validation, test = (tuple(data.samples[i] for i in part) for part in split.parts().values())
    return SplitSamples(train, validation, test, data.labels)


def with_fewer_tests(split: Split, most: int) -> Split:
    """The split with `most` samples of its test part; the first ones of a larger number are the same."""
    shuffled = list(split.test)
    random.Random(f"{split.digest}/tests").shuffle(shuffled)
    return replace(split, test=tuple(shuffled[:most]))


def table3(data: IntentData, split: Split) -> list[tuple[str, dict[str, int]]]:
    """Rows of the paper's Table 3: (part, count of each intent and `total`)."""
    rows = []
    for name, part in (*split.parts().items(), ("all", range(len(data.samples)))):
        counts = Counter(data.samples[i].intent for i in part)
        rows.append((name, {label: counts[label] for label in data.labels} | {"total": len(part)}))
    return rows


def _two_stages(items: Sequence[int], seed: int) -> tuple[tuple[int, ...], ...]:
    from sklearn.model_selection import train_test_split

    train, rest = train_test_split(items, test_size=0.2, random_state=seed)
    validation, test = train_test_split(rest, test_size=0.5, random_state=seed)
    return tuple(train), tuple(validation), tuple(test)


def _by_group(groups: Sequence[str], seed: int, kind: SplitKind) -> tuple[tuple[int, ...], ...]:
    names = list(dict.fromkeys(groups))
    if len(names) < 10:
        raise BadInput(f"a split by {kind} needs at least 10 of them, and the data has {len(names)}.")
    part_of = {names[i]: n for n, part in enumerate(_two_stages(range(len(names)), seed)) for i in part}
    return tuple(tuple(i for i, group in enumerate(groups) if part_of[group] == n) for n in range(3))


def _checked(data: IntentData, split: Split, name: str) -> Split:
    empty = [part for part, indices in split.parts().items() if not indices]
    if empty:
        raise BadInput(f"{name}: {' and '.join(empty)} would be empty. More data is needed.")
    if len({data.samples[i].intent for i in split.train}) < 2:
        raise BadInput(
            f"{name}: train has one intent alone, so there is nothing to learn. Add data of others."
        )
    return split
