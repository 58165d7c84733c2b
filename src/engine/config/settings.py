"""What a run can be told. One frozen value, built once and passed down.

Every field that decides content is part of the run's identity (see `engine.config.identity`); the rest
(URLs, keys, limits, concurrency, transport) may change between a start and a resume.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import SplitResult, urlsplit

import orjson
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)
from pydantic_core import PydanticCustomError

from engine.config.suggestion import name_endpoint
from engine.schema.gate import GateName

Language = Literal["en", "zh"]
TransportKind = Literal["asyncio", "httpx"]
FormatName = Literal["openai", "anthropic", "gemini"]
STREAMED_FORMATS: tuple[FormatName, ...] = ("openai", "anthropic")
StageName = Literal[
    "profiles", "simulator", "assistant", "preference", "judge", "intent", "hallucination", "translator"
]


_REFERENCE = re.compile(r"\s*(?:[A-Za-z]+ )?\$\{[A-Za-z_][A-Za-z0-9_]*\}\s*")
# What keys look like: sk-..., and the three parts of a signed token.
_KEY = re.compile(r"\b(?:sk|pk|rk|gsk|xai|key)[-_][A-Za-z0-9_-]{12,}|\beyJ[\w-]{8,}\.[\w-]{8,}\.", re.ASCII)
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_SECRET_FIELD = re.compile(r"api[-_]?key|authorization|secret|password", re.IGNORECASE)
SECRET_HEADER = re.compile(r"auth|key|token|secret|cookie|password", re.IGNORECASE)


# What a request says already, or what would change the form of its reply.
_OWN_PARAMETERS = frozenset(
    {"model", "messages", "max_tokens", "temperature", "top_p", "stop", "seed", "stream", "n"}
    | {"prompt_cache_key", "stream_options", "system", "contents", "systemInstruction"}
)


def looks_like_key(text: str) -> bool:
    """Whether `text` holds what keys look like, and so must not be shown or copied."""
    return bool(_KEY.search(text))


def _has_no_nul(path: Path) -> Path:
    if "\0" in str(path):
        raise ValueError("a path cannot hold the character NUL")
    return path


FilePath = Annotated[Path, AfterValidator(_has_no_nul)]


def _names_a_run(name: str) -> str:
    if not is_run_name(name):
        raise ValueError(f"{name[:80]!r} is no name of a run: {RUN_NAME_RULE}")
    return name


RUN_NAME_RULE = "letters, digits, dots, dashes and underscores, 64 at most"
RunName = Annotated[str, AfterValidator(_names_a_run)]


def is_run_name(name: str) -> bool:
    """Whether a run, and so its folder, may be called `name`."""
    return re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", name) is not None


class Settings(BaseModel):
    """Base of every section: frozen, and an unknown key is an error."""

    # An infinity would not survive the JSON of a run's journal: it has none.
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=(), allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _is_no_boolean(cls, value: object, info: ValidationInfo) -> object:
        # `seed: yes` would count as 1, and `drop: 1` as true.
        annotation = str(cls.model_fields[info.field_name or ""].annotation)
        if "bool" in annotation and isinstance(value, int) and not isinstance(value, bool):
            raise PydanticCustomError("bool_type", "this is a number, and neither true nor false")
        if isinstance(value, bool) and re.search(r"\b(int|float)\b", annotation):
            raise PydanticCustomError("number_not_boolean", "this is true or false, and no number")
        return value

    @field_validator("*", mode="after")
    @classmethod
    def _fits_into_the_journal(cls, value: object) -> object:
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise ValueError("this number is too large: write a smaller one")
        return value


class ModelLimitSettings(Settings):
    """What may be asked of one model; null means no limit of that kind."""

    requests_per_min: Annotated[int, Field(gt=0)] | None = None
    tokens_per_min: Annotated[int, Field(gt=0)] | None = None
    input_tokens_per_min: Annotated[int, Field(gt=0)] | None = None
    output_tokens_per_min: Annotated[int, Field(gt=0)] | None = None
    max_in_flight: Annotated[int, Field(gt=0)] | None = None


class LimitSettings(ModelLimitSettings):
    """What may be asked of an endpoint: of all its models together, and of single ones beside that."""

    per_model: dict[Annotated[str, Field(min_length=1)], ModelLimitSettings] = {}

    def of(self, model: str | None) -> dict[str, int | None]:
        """The limits of one model alone, or of the endpoint as a whole (None), by kind."""
        limits = self if model is None else self.per_model.get(model, ModelLimitSettings())
        return {kind: getattr(limits, kind) for kind in ModelLimitSettings.model_fields}


class EndpointSettings(Settings):
    """A base URL with a key and limits. `base_url` is everything before the format's own path.

    That path is `/chat/completions`, `/messages` or `/models/MODEL:generateContent`; `{model}` in the base
    URL stands for the stage's model. `query` is added to the address, `key_header` carries the key instead
    of the format's own.

    With `stream` replies come as event streams, and a call ends too where nothing has come for
    `idle_timeout_s`, counted from its sending and from each piece; without it that key does nothing.
    """

    base_url: str
    key_env: str | None = None
    key_file: FilePath | None = None
    format: FormatName = "openai"
    query: dict[str, str] = {}
    key_header: str | None = None
    headers: dict[str, str] = {}
    limits: LimitSettings = LimitSettings()
    transport: TransportKind | None = None
    ca_file: FilePath | None = None
    proxy: str | None = None
    connect_timeout_s: Annotated[float, Field(gt=0)] = 10.0
    call_timeout_s: Annotated[float, Field(gt=0)] = 600.0
    stream: bool = False
    idle_timeout_s: Annotated[float, Field(gt=0)] = 120.0
    cache_hint: bool = True

    @field_validator("base_url")
    @classmethod
    def _is_http(cls, value: str) -> str:
        parts = _http_url(value)
        if "@" in parts.netloc or "?" in value or "#" in value:
            raise ValueError("a base URL holds no user, key or query: keys go under key_env or key_file")
        return value.rstrip("/").removesuffix("/chat/completions").removesuffix("/messages")

    @field_validator("query")
    @classmethod
    def _asks_no_key(cls, value: dict[str, str]) -> dict[str, str]:
        for name, text in value.items():
            if _SECRET_FIELD.search(name) or name.lower() in ("key", "token") or _KEY.search(text):
                raise ValueError(
                    f"{name!r} looks like a key, and this file is copied into the run: name it under "
                    "key_env, and under key_header the header that carries it"
                )
        return value

    @field_validator("key_header")
    @classmethod
    def _is_a_header(cls, value: str | None) -> str | None:
        if value is not None and not _HEADER_NAME.fullmatch(value):
            raise ValueError("this is no name of a header: letters, digits and dashes")
        return value

    @field_validator("proxy")
    @classmethod
    def _has_no_password(cls, value: str | None) -> str | None:
        if value is not None and "@" in _http_url(value).netloc:
            raise ValueError(
                "a proxy's user and password cannot stand here: this file is copied into the run"
            )
        return value

    @field_validator("headers")
    @classmethod
    def _holds_no_key(cls, value: dict[str, str]) -> dict[str, str]:
        for header, text in value.items():
            if not _HEADER_NAME.fullmatch(header):
                raise ValueError(f"{header!r} is no name of a header: letters, digits and dashes")
            if (SECRET_HEADER.search(header) and not _REFERENCE.fullmatch(text)) or _KEY.search(text):
                raise ValueError(
                    f"header {header!r} looks like a key, and this file is copied into the run: write "
                    '"${NAME}" and set the environment variable NAME'
                )
        return value

    @model_validator(mode="after")
    def _can_stream(self) -> EndpointSettings:
        if self.stream and self.format not in STREAMED_FORMATS:
            raise ValueError(
                f"replies in the format {self.format} cannot be streamed here, only those in "
                f"{' and '.join(STREAMED_FORMATS)}: leave `stream` away for this endpoint"
            )
        return self

    @model_validator(mode="after")
    def _has_one_key(self) -> EndpointSettings:
        if self.key_env and self.key_file:
            raise ValueError("give key_env or key_file, not both")
        return self


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
        if _KEY.search(encoded) or any(_SECRET_FIELD.search(name) for name in value):
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


class DebriefQuestion(Settings):
    """A question put to one side after the conversation; its answer is not a turn."""

    side: Literal["user", "assistant"]
    question: Annotated[str, Field(min_length=1)]


class ConversationSettings(Settings):
    """How a conversation is held; see docs/design.md, the dialogue message by message."""

    setup: Literal["modern", "paper"] = "modern"
    opener: Literal["user", "assistant"] = "user"
    max_rounds: Annotated[int, Field(gt=0, le=1000)] = 10
    end_check: Literal["strict", "paper"] = "strict"
    assistant_prompt: bool = True
    debrief: tuple[DebriefQuestion, ...] = ()


class GateSettings(Settings):
    """What a simulator's reply has to pass to become a turn; one that does not is asked for again.

    After `regenerate` more attempts the last reply stays, flagged. Without gates nothing is asked twice.
    """

    use: tuple[GateName, ...] = ()
    regenerate: Annotated[int, Field(gt=0, le=10)] = 2


class ValidationSettings(Settings):
    """What happens after generation: with `drop` false every rule only flags (the paper's raw set)."""

    enabled: bool = True
    drop: bool = True


class OutputSettings(Settings):
    """Where runs are written and what this one is called; null means what the command line says of it."""

    runs: FilePath | None = None
    name: RunName | None = None


class RehearsalSection(Settings):
    """The embedded endpoint, used where no endpoint is named.

    Rates of what goes wrong on purpose: conversations with a defect, wrong judgements.
    """

    defect_rate: Annotated[float, Field(ge=0, le=1)] = 0.13
    judge_error_rate: Annotated[float, Field(ge=0, le=1)] = 0.1
    latency_s: Annotated[float, Field(ge=0)] = 0.0


class LocalSection(Settings):
    """A real model on this machine, served for the time of the run; needs the extra `[local]`.

    `model` is a GGUF file; without it the small model that the extra fetches. Each of `slots` replies that
    are written at a time has `context_tokens` of its own.
    """

    model: FilePath | None = None
    slots: Annotated[int, Field(gt=0, le=256)] = 2
    context_tokens: Annotated[int, Field(ge=512)] = 4096
    exact: bool = False


class PriceSettings(Settings):
    """What a model costs, in USD per million tokens.

    `cached_input` is for the part of a prompt that the provider's cache held, `cache_write` for what it did
    not and now holds, where that costs more; null means as `input`.
    """

    # At most 1 USD a token: what is more is a slip, and sums of it leave the range of whole numbers.
    input: Annotated[float, Field(ge=0, le=1e6)]
    cached_input: Annotated[float, Field(ge=0, le=1e6)] | None = None
    cache_write: Annotated[float, Field(ge=0, le=1e6)] | None = None
    output: Annotated[float, Field(ge=0, le=1e6)]


class BudgetSettings(Settings):
    """What a run may spend in all, over its stages and sessions; null means no such limit."""

    max_cost_usd: Annotated[float, Field(gt=0)] | None = None
    max_tokens: Annotated[int, Field(gt=0)] | None = None

    @property
    def is_set(self) -> bool:
        """Whether there is any limit."""
        return self.max_cost_usd is not None or self.max_tokens is not None


class RunConfig(Settings):
    """Everything that a run is told."""

    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] = 0
    language: Language = "en"
    tasks: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    templates: FilePath | None = None
    profiles: FilePath | None = None
    jobs: FilePath | None = None
    repeat: Annotated[int, Field(gt=0, le=1_000_000)] = 1
    limit: Annotated[int, Field(gt=0, lt=2**53)] | None = None
    concurrency: Annotated[int, Field(gt=0, le=100_000)] = 64
    transport: TransportKind = "asyncio"
    adaptive: bool = True
    endpoints: dict[str, EndpointSettings] = {}
    stages: dict[StageName, ModelSettings] = {}
    matrix: MatrixSettings | None = None
    conversation: ConversationSettings = ConversationSettings()
    gates: GateSettings = GateSettings()
    validation: ValidationSettings = ValidationSettings()
    prices: dict[str, PriceSettings] = {}
    budget: BudgetSettings = BudgetSettings()
    output: OutputSettings = OutputSettings()
    rehearsal: RehearsalSection = RehearsalSection()
    local: LocalSection | None = None
    retry_attempts: Annotated[int, Field(gt=0, le=100)] = 8
    unreachable_after_s: Annotated[float, Field(ge=0)] = 900.0
    drain_s: Annotated[float, Field(ge=0)] = 60.0
    # A command and its arguments, run without a shell when a session has ended.
    on_end: Annotated[tuple[str, ...], Field(min_length=1)] | None = None

    @field_validator("on_end")
    @classmethod
    def _holds_no_secret(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if value is not None and any(map(looks_like_key, value)):
            raise ValueError(
                "a word looks like a key, and this list is copied into the run: let the command read it "
                "from a file or a variable of its own"
            )
        return value

    @model_validator(mode="after")
    def _stages_name_known_endpoints(self) -> RunConfig:
        for stage, settings in self._asking():
            unknown = [name for name in settings.endpoint_names if name not in self.endpoints]
            if self.endpoints and unknown:
                is_named = "endpoint" in settings.model_fields_set
                words = name_endpoint(f"stage {stage}", unknown[0], self.endpoints, is_named=is_named)
                raise PydanticCustomError("unknown_endpoint", "{words}", {"stage": stage, "words": words})
        return self

    def _asking(self) -> Iterator[tuple[str, ModelSettings]]:
        """Stages, and what of the matrix names endpoints of its own."""
        yield from self.stages.items()
        if self.matrix is not None:
            for side in ("simulator", "assistant"):
                for name, variant in getattr(self.matrix, f"{side}s").items():
                    if "endpoint" in variant.model_fields_set or side not in self.stages:
                        yield f"{side} {name} of the matrix", variant

    @property
    def is_adaptive(self) -> bool:
        """True where the limits of endpoints that name none are found by trying."""
        return self.adaptive and not self.is_rehearsal

    @property
    def is_rehearsal(self) -> bool:
        """True where neither an endpoint nor a local model is named, so that the embedded one answers."""
        return not self.endpoints and self.local is None


def _http_url(value: str) -> SplitResult:
    try:
        parts = urlsplit(value)
        is_url = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # an unclosed bracket, a port that is none
        is_url = False
    if not is_url or not value.isprintable() or " " in value:
        raise ValueError("this is not the URL of a server, such as http://127.0.0.1:8000/v1")
    return parts
