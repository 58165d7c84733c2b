"""A task is a file of data, `task.yaml`: variables with their options, requirements, scenario numbers.

Every wording is written once per language, `{en: ..., zh: ...}`; reading the file for a language keeps that
language's wording alone, so that an edit of the other one changes nothing. What the file may hold is exactly
the model below; an error names the file and the line.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core.core_schema import ValidationInfo

from engine.errors import BadInput
from engine.scenarios.text_template import read_text
from engine.schema.profile import ASPECTS

LANGUAGES = ("en", "zh")


def _pick_wording(value: object, info: ValidationInfo) -> object:
    language = info.context["language"] if info.context else LANGUAGES[0]
    if isinstance(value, str) and info.context and info.context.get("is_picked"):
        return value
    if not isinstance(value, dict):
        raise ValueError(f"write one wording per language, such as {{{language}: ...}}")
    if unknown := [key for key in value if key not in LANGUAGES]:
        raise ValueError(f"{unknown[0]!r} is no language; known ones: {', '.join(LANGUAGES)}")
    if language not in value:
        raise ValueError(f"the wording for the language {language!r} is missing; add it")
    return value[language]


def _check_aspect(value: str) -> str:
    known = [aspect.key for aspect in ASPECTS]
    if value not in known:
        raise ValueError(f"{value!r} is no aspect of a profile; known ones: {', '.join(known)}")
    return value


NonEmpty = Annotated[str, Field(min_length=1)]
Wording = Annotated[NonEmpty, BeforeValidator(_pick_wording)]
Identifier = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_]*$")]
VariableKey = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Option(_Strict):
    """One value of a variable. `forms` are further wordings that only this task's description uses."""

    id: Identifier
    text: Wording
    forms: dict[VariableKey, Wording] = {}


class Requirement(_Strict):
    """One thing that the conversation has to settle, as a short phrase."""

    id: Identifier
    text: Wording


class ItemSettings(_Strict):
    """A list of candidates: the assistant is shown `shown` of them at a time; what it names is counted.

    `file` and `targets` lie beside the task's file. What the `simulator` is told of its targets: nothing,
    what they are like (`described`), or their names, too (`shown`).
    """

    file: Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w.-]*\.(jsonl|csv)$"), BeforeValidator(_pick_wording)]
    targets: Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w.-]*\.jsonl$")] | None = None
    shown: Annotated[int, Field(strict=True, gt=0, le=500)] = 30
    simulator: Literal["hidden", "described", "shown"] = "hidden"


class TaskFile(_Strict):
    """What a `task.yaml` holds, in one language.

    `name` is the task's name in datasets, the same in every language; `title` is for readers.
    `scenarios` are the numbers that runs use; `merge_aspect` is the profile's aspect that preference
    summaries are merged with; `items` is an external list of what can be recommended.
    """

    name: NonEmpty
    title: Wording
    merge_aspect: Annotated[str, BeforeValidator(_check_aspect)] | None = None
    variables: Annotated[
        dict[VariableKey, Annotated[tuple[Option, ...], Field(min_length=1)]], Field(min_length=1)
    ]
    requirements: tuple[Requirement, ...] = ()
    items: ItemSettings | None = None
    scenarios: Annotated[tuple[Annotated[int, Field(strict=True, ge=0)], ...], Field(min_length=1)]

    @property
    def n_combinations(self) -> int:
        """How many scenario numbers there are: 0 to this, less one."""
        return math.prod(len(options) for options in self.variables.values())

    def combination(self, number: int) -> dict[str, Option]:
        """The options at position `number` of the product, last variable fastest.

        Raises `IndexError` where the number lies outside the product.
        """
        if not 0 <= number < self.n_combinations:
            raise IndexError(number)
        chosen = []
        for options in reversed(self.variables.values()):
            number, position = divmod(number, len(options))
            chosen.append(options[position])
        return dict(zip(self.variables, reversed(chosen), strict=True))

    @model_validator(mode="after")
    def _check_numbers_and_ids(self) -> Self:
        if "requirements" in self.variables:
            raise ValueError("a variable cannot be called 'requirements'; choose another key")
        for key, options in self.variables.items():
            _refuse_repeats(f"option ids of {key!r}", [option.id for option in options])
        _refuse_repeats("requirement ids", [requirement.id for requirement in self.requirements])
        _refuse_repeats("scenario numbers", self.scenarios)
        if max(self.scenarios) >= self.n_combinations:
            raise ValueError(
                f"scenario number {max(self.scenarios)} does not exist: the options give "
                f"{self.n_combinations} combinations, numbered 0 to {self.n_combinations - 1}"
            )
        return self


def read_task_file(path: Path, language: str) -> TaskFile:
    """Read one `task.yaml` for one language. Raises `BadInput` naming the file, the line and the fault."""
    text = read_text(path)
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        data = None if node is None else loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise BadInput(f"{path}:{line}: {error.problem}. Correct the YAML.") from error
    except yaml.YAMLError as error:
        raise BadInput(f"{path}: is not YAML: {error}") from error
    try:
        return TaskFile.model_validate(data, context={"language": language})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        message = first["msg"].removeprefix("Value error, ")
        raise BadInput(f"{path}:{_line_of(node, first['loc'])}: {where}: {message}.") from error


def parse_canonical(text: str, language: str) -> TaskFile:
    """The task file whose canonical JSON, in one language, is `text` (see `Catalog.sources`)."""
    return TaskFile.model_validate_json(text, context={"language": language, "is_picked": True})


class _Loader(yaml.SafeLoader):
    """YAML's safe loader, except that a key written twice is refused, where YAML keeps the last one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[object] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue  # refused below as unhashable
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} is there twice", key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def _line_of(node: yaml.Node | None, location: tuple[int | str, ...]) -> int:
    """The line of the innermost part of `location` that is in the file."""
    line = 1
    for part in location:
        if isinstance(node, yaml.MappingNode):
            pair = next((pair for pair in node.value if pair[0].value == str(part)), None)
            if pair is None:
                break
            line, node = pair[0].start_mark.line + 1, pair[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
    return line


def _refuse_repeats(what: str, values: Sequence[object]) -> None:
    if len(set(values)) < len(values):
        raise ValueError(f"the {what} must differ from each other: {', '.join(map(str, values))}")
