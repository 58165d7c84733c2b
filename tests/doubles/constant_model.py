"""A model that costs nothing: one answer, whatever the question."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from engine.experiments.cells import CannotRun, Predictions
from engine.experiments.splits import SplitSamples


@dataclass(frozen=True)
class Constant:
    """Answers one label always, and counts how often it was asked to; may be killed, or be unable to run."""

    name: str = "Constant"
    group: str = "traditional"
    mode: str = ""
    is_seeded: bool = True
    answer: str = "Planning"
    params: Mapping[str, object] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    asked: list[int] = field(default_factory=list)
    killed_at: int | None = None
    confidence: float | None = None
    cannot: str | None = None

    def run(self, samples: SplitSamples, seed: int, folder: Path) -> Predictions:
        self.asked.append(seed)
        if seed == self.killed_at:
            raise KeyboardInterrupt
        if self.cannot is not None:
            raise CannotRun(self.cannot)
        count = len(samples.test)
        confidence = None if self.confidence is None else (self.confidence,) * count
        return Predictions((self.answer,) * count, confidence, notes={"seed": seed})
