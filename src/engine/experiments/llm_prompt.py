"""The prompt of LLMs is a file, and so is the rule by which a reply is an answer: nothing is guessed.

A reply answers where it holds one JSON object whose `intent` is a label, or is a label and nothing else;
case, quotes, a fence or a full stop around it do not matter. A reply that goes on about labels is no answer.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import orjson
from pydantic import BaseModel, ConfigDict, model_validator

from engine.experiments.plm_prompt import PROMPTS, read_prompt_file

FILE = "llm.yaml"
_PLACE = re.compile(r"\{(labels|examples|text|answer)\}")
_AROUND = " \t\r\n\"'`*.,:;"
_FENCE = re.compile(r"^```\w*\n(.*)\n```$", re.DOTALL)


class LlmPrompt(BaseModel):
    """A prompt file. `meanings`: intent to what it means; others are shown by their name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    system: str
    user: str
    example: str
    meanings: Mapping[str, str] = {}

    @model_validator(mode="after")
    def _has_its_places(self) -> LlmPrompt:
        for name, text, wanted in (
            ("system", self.system, ["labels"]),
            ("user", self.user, ["examples", "text"]),
            ("example", self.example, ["answer", "text"]),
        ):
            if sorted(_PLACE.findall(text)) != wanted:
                places = ", ".join(f"{{{place}}}" for place in wanted)
                raise ValueError(f"{name} must hold {places}, each once")
        return self

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:16]

    def messages(
        self, text: str, labels: Sequence[str], examples: Sequence[tuple[str, str]] = ()
    ) -> tuple[tuple[str, str], ...]:
        """The (role, content) messages about an utterance; all but its end is the same for each."""
        listed = "\n".join(
            f"- {label}: {self.meanings[label]}" if label in self.meanings else f"- {label}"
            for label in labels
        )
        shown = "".join(_fill(self.example, {"text": each, "answer": label}) for each, label in examples)
        return (
            ("system", _fill(self.system, {"labels": listed})),
            ("user", _fill(self.user, {"examples": shown, "text": text})),
        )


def read_llm_prompt(folder: Path = PROMPTS) -> LlmPrompt:
    """The prompt in `folder`. Raises BadInput where its file is absent or unusable."""
    return read_prompt_file(folder / FILE, LlmPrompt)


def read_answer(reply: str, labels: Sequence[str]) -> str | None:
    """The label that `reply` gives; None where it is no answer."""
    known = {label.casefold(): label for label in labels}
    text = reply.strip()
    if (fenced := _FENCE.match(text)) is not None:
        text = fenced[1].strip()
    start, end = text.find("{"), text.rfind("}")
    if 0 <= start < end:
        try:
            data = orjson.loads(text[start : end + 1])
        except ValueError:
            return None
        value = data.get("intent")
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        return known.get(value.strip(_AROUND).casefold()) if isinstance(value, str) else None
    return known.get(text.strip(_AROUND).casefold())


def _fill(template: str, values: Mapping[str, str]) -> str:
    return _PLACE.sub(lambda match: values[match[1]], template)
