"""What a run can be told. One frozen value, built once and passed down.

Every field that decides content is part of the run's identity (see `engine.config.identity`); the rest
(URLs, keys, limits, concurrency, transport) may change between a start and a resume.
"""

# pydantic copies defaults.
# ruff: noqa: RUF012

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from engine.config.endpoint_settings import EndpointSettings, TransportKind
from engine.config.model_settings import MatrixSettings, ModelSettings, StageName
from engine.config.run_name import RunName
from engine.config.secret_text import looks_like_key
from engine.config.section import FilePath, Settings
from engine.config.suggestion import name_endpoint
from engine.schema.gate import GateName

Language = Literal["en", "zh"]


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
