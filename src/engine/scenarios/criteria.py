"""What a set of scenarios is judged by, from its own texts: the paper's criteria for templates.

A scenario has to name standing requirements, so that a conversation has something to settle in more than one
round, and to draw on the user's profile. Which aspects a text draws on is told by words that are data
(`_scenarios/aspects.yaml`): it says what the text asks for, not what a conversation will bring up.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import RootModel, ValidationError, field_validator

from engine.config.document import read_document
from engine.errors import BadInput, ConfigError
from engine.scenarios.catalog import Catalog, Task
from engine.scenarios.places import find_folder
from engine.scenarios.text_template import read_text
from engine.schema.profile import ASPECTS

FOLDER = "_scenarios"
FEW_REQUIREMENTS = 2
"""With fewer standing requirements one round may settle everything."""
_KEYS = tuple(aspect.key for aspect in ASPECTS)


class _AspectFile(RootModel[dict[str, str]]):
    @field_validator("root")
    @classmethod
    def _compiles(cls, value: dict[str, str]) -> dict[str, str]:
        if unknown := sorted(value.keys() - set(_KEYS)):
            raise ValueError(f"{unknown[0]!r} is no aspect of a profile; known ones: {', '.join(_KEYS)}")
        for key, pattern in value.items():
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"{key}: {pattern!r} is no regular expression ({error})") from error
        return value


class AspectWords:
    """Tells which aspects of a profile a scenario's text draws on."""

    def __init__(self, patterns: Mapping[str, str]) -> None:
        self._patterns = {key: re.compile(text, re.IGNORECASE) for key, text in patterns.items()}

    def __repr__(self) -> str:
        return f"AspectWords({len(self._patterns)} aspects)"

    def drawn_on(self, text: str) -> tuple[str, ...]:
        """The aspects' keys, in the profile's order."""
        return tuple(key for key in _KEYS if key in self._patterns and self._patterns[key].search(text))


def load_aspect_words(templates: Path) -> AspectWords:
    """The words of this templates folder, or the shipped ones. Raises BadInput naming the file."""
    path = templates / FOLDER / "aspects.yaml"
    if not path.is_file():
        path = find_folder(f"templates/{FOLDER}") / path.name
    try:
        return AspectWords(
            _AspectFile.model_validate(read_document(read_text(path), source=str(path)).data).root
        )
    except ValidationError as error:
        message = error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
        raise BadInput(f"{path}: {message}. See docs/scenarios.md.") from error
    except ConfigError as error:
        raise BadInput(str(error)) from error


@dataclass(frozen=True, slots=True)
class TaskCriteria:
    """One task's figures. `by_scenario`: number to the aspects that its text draws on.

    `stated` is the aspect that the task itself names (`merge_aspect`). `unused` are (variable, option) pairs
    that none of its scenarios has.
    """

    slug: str
    title: str
    combinations: int
    requirements: tuple[str, ...]
    stated: str | None
    by_scenario: Mapping[int, tuple[str, ...]]
    unused: tuple[tuple[str, str], ...]

    @property
    def aspects(self) -> tuple[str, ...]:
        """All that any of its scenarios draws on, in the profile's order."""
        drawn = {key for keys in self.by_scenario.values() for key in keys} | {self.stated}
        return tuple(key for key in _KEYS if key in drawn)

    @property
    def flags(self) -> tuple[str, ...]:
        """What the paper's criteria ask for and the task does not have."""
        found = []
        if len(self.requirements) < FEW_REQUIREMENTS:
            found.append(f"{len(self.requirements)} standing requirements: one round may settle them")
        if not self.aspects:
            found.append("draws on no aspect of the profile")
        return tuple(found)


def judge_tasks(catalog: Catalog, words: AspectWords) -> list[TaskCriteria]:
    """The criteria of every loaded task, by slug."""
    return [_judge(catalog, task, words) for task in catalog.tasks.values()]


def _judge(catalog: Catalog, task: Task, words: AspectWords) -> TaskCriteria:
    scenarios = [catalog.scenario(task.slug, number) for number in task.numbers]
    used = {pair for scenario in scenarios for pair in scenario.variables.items()}
    return TaskCriteria(
        slug=task.slug,
        title=task.title,
        combinations=task.file.n_combinations,
        requirements=task.requirements,
        stated=task.merge_aspect,
        by_scenario={scenario.number: words.drawn_on(scenario.text) for scenario in scenarios},
        unused=tuple(
            (key, option.id)
            for key, options in task.file.variables.items()
            for option in options
            if (key, option.id) not in used
        ),
    )


def never_drawn_on(found: Sequence[TaskCriteria]) -> tuple[str, ...]:
    """The aspects that no task draws on."""
    drawn = {key for task in found for key in task.aspects}
    return tuple(key for key in _KEYS if key not in drawn)
