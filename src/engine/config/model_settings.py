"""Which model each stage asks and how, and the variants of a matrix, which differ from it in some keys."""

# pydantic copies defaults.
# ruff: noqa: RUF012

from __future__ import annotations

import re
from typing import Annotated, Literal

import orjson
from pydantic import (
    AfterValidator,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from engine.config.secret_text import SECRET_FIELD, looks_like_key
from engine.config.section import Settings

StageName = Literal[
    "profiles", "simulator", "assistant", "preference", "judge", "intent", "hallucination", "translator"
]

# What a request says already, or what would change the form of its reply.
_OWN_PARAMETERS = frozenset(
    {"model", "messages", "max_tokens", "temperature", "top_p", "stop", "seed", "stream", "n"}
    | {"prompt_cache_key", "stream_options", "system", "contents", "systemInstruction"}
)


class ModelSettings(Settings):
    """Which model a stage asks, and how. `extra` is added to each request body as it is.

    `endpoint` is a name, or several of endpoints that serve the same model. For stages that ask about
    conversations: `structured` says what the endpoint's requests can ask for beside the prompt's words,
    `context_tokens` how many tokens a request and its reply may have; longer conversations are cut.
    """

    endpoint: str | Annotated[tuple[str, ...], Field(min_length=1)] = "default"
    model: Annotated[str, Field(min_length=1)]
    temperature: Annotated[float, Field(ge=0, le=2)] | None = 0.5
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    max_tokens: Annotated[int, Field(gt=0)] = 1024
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    stop: tuple[str, ...] = ()
    send_seed: bool = True
    extra: dict[str, object] = {}
    structured: Literal["none", "json_object", "json_schema"] = "none"
    context_tokens: Annotated[int, Field(ge=512)] | None = None

    @property
    def endpoint_names(self) -> tuple[str, ...]:
        """The endpoints that calls may go to."""
        return (self.endpoint,) if isinstance(self.endpoint, str) else tuple(dict.fromkeys(self.endpoint))

    @field_validator("endpoint", mode="before")
    @classmethod
    def _names_endpoints(cls, value: object) -> object:
        names = [value] if isinstance(value, str) else value
        if not isinstance(names, list | tuple) or not all(isinstance(name, str) and name for name in names):
            names = []
        if not names:
            raise ValueError("write the name of an endpoint, such as `lab`, or of several: `[lab, other]`")
        return value

    @field_validator("extra")
    @classmethod
    def _is_json_beside_ours(cls, value: dict[str, object]) -> dict[str, object]:
        ours = sorted(_OWN_PARAMETERS & value.keys())
        if ours:
            raise ValueError(f"{', '.join(ours)} cannot stand here: the engine sets it in each request")
        try:
            encoded = orjson.dumps(value).decode()
        except TypeError as error:
            raise ValueError(f"a value is not JSON ({error})") from None
        if looks_like_key(encoded) or any(SECRET_FIELD.search(name) for name in value):
            raise ValueError("a key cannot stand here, since it is copied into the run: use key_env")
        return value


def _is_plain(name: str) -> str:
    # It becomes a part of ids, file names and the words of a table.
    if not re.fullmatch(r"[a-z][a-z0-9_-]{0,23}", name):
        raise ValueError("a name here is lower-case letters, digits, - and _, 24 at most, the first a letter")
    return name


PlainName = Annotated[str, AfterValidator(_is_plain)]


class VariantSettings(ModelSettings):
    """One simulator or assistant of a matrix: keys of a stage; what is not said is the stage's own.

    With several `temperatures` it is one variant for each of them. `prompt` names the text that this
    assistant is told in place of the usual one (`templates/_assistants`).
    """

    model: str = ""
    temperatures: tuple[Annotated[float, Field(ge=0, le=2)], ...] = ()
    prompt: PlainName | None = None

    @model_serializer(mode="wrap")
    def _as_it_was_said(self, handler: SerializerFunctionWrapHandler) -> dict[str, object]:
        # A default that was written out would win over the stage when it is read again.
        return {name: value for name, value in handler(self).items() if name in self.model_fields_set}

    @model_validator(mode="after")
    def _has_one_temperature_or_a_list(self) -> VariantSettings:
        if self.temperatures and "temperature" in self.model_fields_set:
            raise ValueError("give temperature or temperatures, not both")
        if len(set(self.temperatures)) < len(self.temperatures):
            raise ValueError("temperatures names one of them twice")
        if "model" in self.model_fields_set and not self.model:
            raise ValueError("model cannot be empty: leave it out for the stage's own")
        return self

    def over(self, stage: ModelSettings | None) -> ModelSettings:
        """The settings that calls are made with; raises ValueError where nobody names a model."""
        said = {
            name: getattr(self, name) for name in self.model_fields_set & ModelSettings.model_fields.keys()
        }
        if stage is None:
            if not self.model:
                raise ValueError("names no model")
            return ModelSettings.model_validate(said)
        return stage.model_copy(update=said)


class MatrixSettings(Settings):
    """Several simulators and assistants, all combined, over the same jobs; see docs/matrix.md."""

    simulators: dict[PlainName, VariantSettings] = {}
    assistants: dict[PlainName, VariantSettings] = {}

    @model_validator(mode="after")
    def _has_cells(self) -> MatrixSettings:
        if not self.simulators and not self.assistants:
            raise ValueError("name simulators or assistants, each with the keys in which it differs")
        for name, variant in self.simulators.items():
            if variant.prompt is not None:
                raise ValueError(f"simulator {name} cannot have a prompt: it is for assistants")
        return self
