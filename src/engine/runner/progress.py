"""Where the work on a run is, for whoever looks; written by the work, sampled by the display."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from engine.errors import EngineError
from engine.llm.budget import Budget
from engine.llm.caller import CallCounts
from engine.llm.drain import Drain
from engine.llm.endpoint import Endpoint
from engine.runner.adjust import LiveSettings


@dataclass(slots=True)
class RunProgress:
    """What is planned and done of conversations, or of another stage's items, which `noun` names."""

    planned: int = 0
    already_done: int = 0
    ended: dict[str, int] = field(default_factory=dict)
    started_at: float = field(default_factory=time.monotonic)
    calls: CallCounts = field(default_factory=CallCounts)
    endpoints: dict[str, Endpoint] = field(default_factory=dict)
    drain: Drain | None = None
    live: LiveSettings | None = None
    budget: Budget | None = None
    noun: str = "conversations"

    @property
    def done(self) -> int:
        """Items that have ended, in this process or before."""
        return self.already_done + sum(self.ended.values())

    def count(self, result: str) -> None:
        """One more has ended."""
        self.ended[result] = self.ended.get(result, 0) + 1


@dataclass(frozen=True, slots=True)
class RunResult:
    """How this process's work ended.

    `stopped_by` is the error to report, the number of the signal, or None when all is done.
    """

    ended: Mapping[str, int]
    stopped_by: EngineError | int | None
    duration_s: float
