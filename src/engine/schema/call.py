"""A call is one LLM request and its reply; its key says which question it answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class CallKey(NamedTuple):
    """Identity of a call: a step is one question to one model, an attempt one way of asking it."""

    stage: str
    item: str
    step: str
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one or more calls, as the provider reported them."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.cached_tokens + other.cached_tokens,
        )


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model answered, decoded from the reply's bytes and from nothing else."""

    text: str
    finish_reason: str
    usage: Usage
    served_model: str
    reasoning: str = ""
