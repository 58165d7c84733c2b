"""Prompts of pretrained language models are files: one per family of models, with its label words.

`prompts/` holds ours; another folder may be named. Braces in an utterance mean nothing.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from engine.errors import BadInput

FormT = TypeVar("FormT", bound=BaseModel)
PROMPTS = Path(__file__).parent / "prompts"
_PLACE = re.compile(r"\{(text|answer|examples)\}")


class Family(StrEnum):
    """What a model does with a prompt; also the prompt file's name."""

    MASKED = "masked"
    CAUSAL = "causal"
    SEQ2SEQ = "seq2seq"


class Prompt(BaseModel):
    """A prompt file. `label_words`: intent to the word that stands for it; others stand for themselves."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    answer: Literal["score", "generate"]
    template: str
    example: str
    label_words: Mapping[str, str]

    @model_validator(mode="after")
    def _has_its_places(self) -> Prompt:
        for name, text, wanted in (
            ("template", self.template, ["answer", "examples", "text"]),
            ("example", self.example, ["answer", "text"]),
        ):
            if sorted(_PLACE.findall(text)) != wanted:
                places = ", ".join(f"{{{place}}}" for place in wanted)
                raise ValueError(f"{name} must hold {places}, each once")
        return self

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:16]

    def word(self, label: str) -> str:
        """The word that stands for an intent."""
        return self.label_words.get(label, label.lower())

    def around_answer(self, text: str, examples: Sequence[tuple[str, str]] = ()) -> tuple[str, str]:
        """(before, after) the answer's place; `examples` are (utterance, intent)."""
        shown = "".join(
            _fill(self.example, {"text": each, "answer": self.word(label)}) for each, label in examples
        )
        before, after = self.template.split("{answer}")
        values = {"text": text, "examples": shown}
        # The word brings its own space, as the models' tokenizers want it.
        return _fill(before, values).rstrip(" "), _fill(after, values)


def read_prompt(family: Family, folder: Path = PROMPTS) -> Prompt:
    """The prompt of a family. Raises BadInput where its file is absent or unusable."""
    return read_prompt_file(folder / f"{family}.yaml", Prompt)


def read_prompt_file(path: Path, form: type[FormT]) -> FormT:
    """A prompt file of a form. Raises BadInput where it is absent or unusable."""
    try:
        return form.model_validate(yaml.safe_load(path.read_text("utf-8")))
    except OSError as error:
        raise BadInput(
            f"{path}: cannot be read ({error.strerror}). --prompts names the folder of such files;"
            " without it the engine's own are taken."
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: not YAML ({error}).") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        message = first["msg"].removeprefix("Value error, ")
        raise BadInput(f"{path}: {f'{place}: ' if place else ''}{message}.") from error


def _fill(template: str, values: Mapping[str, str]) -> str:
    return _PLACE.sub(lambda match: values[match[1]], template)
