"""A script says which requests meet which fault; all others are answered by the rehearsal LLM.

    quote_key: false     whether error texts repeat the request's key
    seed: 0
    rules:               the first one that fits a request decides
      - fault: 429-seconds
        requests: [3, 4]            by number, from 1
      - fault: reset-in-body
        every: 10                   the 10th, 20th, ...
      - fault: "500"
        share: 0.02                 at random, the same each time
      - fault: stalled
        conversation: travel-11-p001-0   a part of the request's prompt_cache_key
        after: 2                    the first two that fit pass
        times: 3                    and then at most so many meet it

All conditions of a rule must hold; a rule without any holds for each request.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Annotated

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from engine.config.document import read_document
from engine.config.regular_file import refuse_special
from engine.errors import BadInput, ConfigError
from engine.rehearsal.faults import catalogue
from engine.rehearsal.faults_body import FAULTS as BODIES
from engine.rehearsal.faults_status import FAULTS as STATUSES
from engine.rehearsal.faults_stream import FAULTS as STREAMS
from engine.rehearsal.faults_wire import FAULTS as CONNECTIONS

FAULTS = catalogue(STATUSES, CONNECTIONS, BODIES, STREAMS)


class Rule(BaseModel):
    """One rule: which requests meet `fault`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fault: str
    requests: tuple[Annotated[int, Field(gt=0)], ...] | None = None
    every: Annotated[int, Field(gt=0)] | None = None
    share: Annotated[float, Field(ge=0, le=1)] | None = None
    conversation: str | None = None
    after: Annotated[int, Field(ge=0)] = 0
    times: Annotated[int, Field(ge=0)] | None = None

    @field_validator("fault", mode="before")
    @classmethod
    def _is_known(cls, value: object) -> str:
        name = str(value)  # YAML reads 500 as a number
        if name not in FAULTS:
            raise ValueError(f"there is no fault {name!r}; `engine rehearse --list-faults` names them all")
        return name


class Script(BaseModel):
    """The rules, and how the server is to behave beside them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rules: tuple[Rule, ...]
    quote_key: bool = False
    seed: int = 0


def read_script(path: Path) -> Script:
    """The script in a YAML file. Raises BadInput naming what is wrong with it."""
    refuse_special(path, BadInput)
    try:
        document = read_document(path.read_text("utf-8"), source=str(path))
        return Script.model_validate(dict(document.data))
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: the script cannot be read: {error}.") from error
    except ConfigError as error:
        raise BadInput(str(error)) from error
    except ValidationError as error:
        told = "; ".join(
            f"{'.'.join(map(str, item['loc'])) or 'the file'}: {item['msg']}"
            for item in error.errors(include_url=False, include_context=False)
        )
        raise BadInput(f"{path}: {told}. docs/faults.md shows what a script may say.") from None


@dataclass(slots=True)
class _Count:
    """How many requests fitted a rule, and how many of them met its fault."""

    fitted: int = 0
    met: int = 0


@dataclass(slots=True)
class Director:
    """Goes through a script as requests come."""

    script: Script
    requests: int = 0
    _counts: list[_Count] = field(default_factory=list)
    _random: Random = field(default_factory=Random)

    def __post_init__(self) -> None:
        self._counts = [_Count() for _ in self.script.rules]
        self._random = Random(self.script.seed)

    def next(self, raw: bytes) -> str | None:
        """The name of the fault that the next request, with the body `raw`, meets."""
        self.requests += 1
        met = None
        for rule, count in zip(self.script.rules, self._counts, strict=True):
            # Drawn for each request and rule, so that one rule's luck does not depend on another's.
            is_lucky = rule.share is None or self._random.random() < rule.share
            if met is not None or not is_lucky or not self._fits(rule, raw):
                continue
            count.fitted += 1
            if count.fitted > rule.after and (rule.times is None or count.met < rule.times):
                count.met += 1
                met = rule.fault
        return met

    def _fits(self, rule: Rule, raw: bytes) -> bool:
        return (
            (rule.requests is None or self.requests in rule.requests)
            and (rule.every is None or self.requests % rule.every == 0)
            and (rule.conversation is None or rule.conversation in conversation_of(raw))
        )

    def __repr__(self) -> str:
        return f"Director({self.requests} requests, {sum(count.met for count in self._counts)} met a fault)"


def conversation_of(raw: bytes) -> str:
    """The request's `prompt_cache_key`: the engine's name for a conversation's side."""
    try:
        body = orjson.loads(raw)
    except ValueError:
        return ""
    key = body.get("prompt_cache_key") if isinstance(body, dict) else None
    return key if isinstance(key, str) else ""
