"""Examples made with a person: generate, decide on each profile, show the accepted ones as the next examples.

    DIR/version-1/aspects.yaml          the list of aspects, a copy that may be edited
    DIR/version-1/examples.en.jsonl     the examples that were shown; none at the start
    DIR/version-1/pool.jsonl            what came of them
    DIR/version-1/decisions.jsonl       what a person said to each profile
    DIR/version-2/...                   the same aspects, with the accepted profiles as examples

Nothing is overwritten, so every version stays to be looked at and compared. The functions know no terminal.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError

from engine.dataset.build import replacing
from engine.errors import BadInput
from engine.profiles.check import PoolCheck
from engine.profiles.pool_file import read_pool
from engine.profiles.reading import problem_of
from engine.profiles.version import Version, read_version
from engine.schema.profile import Profile

Verdict = Literal["accept", "edit", "reject"]


class Decision(BaseModel):
    """What a person said to a profile; `aspects` are the texts that an edit changes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    decision: Verdict
    aspects: Mapping[str, str] = {}
    version: int | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One version of a refinement. `number` counts from 1."""

    folder: Path
    number: int
    version: Version

    @property
    def pool(self) -> Path:
        return self.folder / "pool.jsonl"

    @property
    def decisions(self) -> Path:
        return self.folder / "decisions.jsonl"

    def profiles(self) -> list[Profile]:
        """The pool's profiles; none where it is not generated yet."""
        if not self.pool.exists():
            return []
        return [each for each in read_pool(self.pool, self.version.keys) if isinstance(each, Profile)]


def steps_of(folder: Path, language: str) -> list[Step]:
    """The versions in `folder`, in order."""
    found = []
    number = 1
    while (folder / f"version-{number}" / "aspects.yaml").is_file():
        place = folder / f"version-{number}"
        found.append(Step(place, number, read_version(place, language)))
        number += 1
    return found


def begin(folder: Path, start: Path, language: str) -> Step:
    """The first version: the aspects of the folder `start`, without any example. Raises CannotWrite."""
    _copy_aspects(start, folder / "version-1")
    return steps_of(folder, language)[0]


def go_on(step: Step, decisions: Sequence[Decision], language: str) -> Step:
    """Keep what was decided, and make the next version of it.

    Raises BadInput for a decision on a profile that is not in the pool, an edit that no profile could have,
    and where nothing was accepted.
    """
    examples = [*step.version.examples, *accepted(step, decisions)]
    if len(examples) == len(step.version.examples):
        raise BadInput(f"{step.folder}: nothing was accepted, so there is no example for a next version.")
    with replacing(step.decisions) as file:
        for each in decisions:
            file.write(orjson.dumps(each.model_dump(exclude_none=True), option=orjson.OPT_APPEND_NEWLINE))
    following = step.folder.parent / f"version-{step.number + 1}"
    following.mkdir(parents=True, exist_ok=True)
    with replacing(following / f"examples.{language}.jsonl") as file:
        for example in examples:
            file.write(orjson.dumps(dict(example), option=orjson.OPT_APPEND_NEWLINE))
    _copy_aspects(step.folder, following)  # last: it is what makes the folder a version
    return steps_of(step.folder.parent, language)[-1]


def accepted(step: Step, decisions: Iterable[Decision]) -> list[Mapping[str, str]]:
    """The texts that a person accepted, edits made, in the order of deciding."""
    pool = {profile.profile_id: profile for profile in step.profiles()}
    found: list[Mapping[str, str]] = []
    for each in decisions:
        if each.id not in pool:
            raise BadInput(f"{step.pool}: there is no profile {each.id!r} to decide on.")
        unknown = [key for key in each.aspects if key not in step.version.keys]
        problem = next((p for value in each.aspects.values() if (p := problem_of(value))), None)
        if unknown or problem:
            what = f"there is no aspect {unknown[0]!r}" if unknown else str(problem).replace("_", " ")
            raise BadInput(f"{step.pool}: the edit of {each.id} cannot be used: {what}.")
        if each.decision != "reject":
            found.append({**pool[each.id].aspects, **each.aspects})
    return found


def read_decisions(path: Path, number: int) -> list[Decision]:
    """The decisions of a file on version `number`; one that names no version is on any. Raises BadInput."""
    found = []
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise BadInput(f"{path}: the decisions cannot be read: {error.strerror}.") from error
    for position, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            each = Decision.model_validate_json(line)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            place = ".".join(map(str, first["loc"])) or "the line"
            raise BadInput(f"{path}:{position}: {place}: {first['msg']}. See docs/profiles.md.") from error
        if each.version in (None, number):
            found.append(each)
    return found


@dataclass(frozen=True, slots=True)
class Sample:
    """A pool in figures, for comparing. Means are per profile; `evenness` is of the aspect's categories."""

    name: str
    profiles: int
    examples: int
    words: float
    vocabulary: int
    aspects: Mapping[str, tuple[float, int, float | None]] = field(default_factory=dict)

    @classmethod
    def of(cls, name: str, check: PoolCheck, examples: int) -> Sample:
        """From a checked pool: aspect to (mean words, distinct texts, evenness)."""
        rows = check.tally.coverage()
        return cls(
            name, check.profiles, examples, sum(row.mean_words for row in rows),
            sum(row.vocabulary for row in rows),
            {row.aspect: (row.mean_words, row.distinct, row.evenness) for row in rows},
        )  # fmt: skip


def _copy_aspects(start: Path, folder: Path) -> None:
    text = (start / "aspects.yaml").read_bytes()
    with replacing(folder / "aspects.yaml") as file:
        file.write(text)
