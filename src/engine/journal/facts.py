"""What a journal's reader tells besides its records: sums, sessions, and rows without their weight."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over the calls of one stage, each paid reply counted once."""

    replies: int = 0
    failed: int = 0
    possibly_paid: int = 0
    tries: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Session:
    """One process's work on the run."""

    session: int
    started_at: float
    ended_at: float | None
    ended_as: str | None
    concurrency: int
    settings: str


class CallFacts(NamedTuple):
    """A call row without its reply; `note` says what went wrong where there was none."""

    seq: int
    item: str
    step: str
    kind: str
    endpoint: str
    sent_at: float
    latency_s: float
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    note: bytes | None


class OutcomeFacts(NamedTuple):
    """An outcome row without its calls."""

    seq: int
    item: str
    result: str
    note: str
    as_of: int
    ended_at: float
