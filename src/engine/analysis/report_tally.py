"""All that a report shows of a dataset, counted in one pass and in memory that does not grow with it."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

from engine.analysis.definitions import Definitions
from engine.analysis.draws import digest
from engine.analysis.intent_flow import IntentFlow
from engine.analysis.preferences import Preferences
from engine.analysis.statistics import Statistics
from engine.schema.dataset import Conversation

GALLERY = 2
_MOST_TASKS = 20


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What a run of the engine cost. `ended`: when conversations ended, seconds since the first call."""

    calls: int
    failed_calls: int
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    sessions: int
    duration_s: float
    ended: tuple[float, ...] = ()
    cost_usd: float | None = None


class ReportTally:
    """Counts conversations; `gallery` keeps some of each task, chosen by their ids' digests."""

    def __init__(
        self, count_tokens: Callable[[str], int], definitions: Definitions, gallery: int = GALLERY
    ) -> None:
        self.statistics = Statistics(count_tokens, definitions)
        self.preferences = Preferences(definitions.author)
        self.flow = IntentFlow(definitions.author)
        self.end_reasons: dict[str, Counter[str]] = {}
        self.dropped_because: Counter[str] = Counter()
        self.flags: dict[str, Counter[str]] = {}
        self.models: dict[str, Counter[str]] = {}
        self._each = gallery
        self._shown: dict[str, list[tuple[int, int, Conversation]]] = {}
        self._n = 0

    def __repr__(self) -> str:
        return f"ReportTally({self._n} conversations)"

    def add(self, conversation: Conversation) -> None:
        """Count one conversation."""
        self._n += 1
        self.statistics.add(conversation)
        task = conversation.task
        self.end_reasons.setdefault(conversation.end_reason or "not recorded", Counter())[task] += 1
        self.dropped_because.update(set(conversation.dropped_because))
        for flag in set(conversation.flags):
            self.flags.setdefault(flag, Counter())[task] += 1
        for side, model in conversation.models.items():
            self.models.setdefault(side, Counter())[model] += 1
        if conversation.is_kept:
            self.preferences.add(conversation)
            self.flow.add(conversation)
            self._show(conversation)

    @property
    def gallery(self) -> list[Conversation]:
        """The chosen conversations, task by task."""
        return [
            conversation
            for _, shown in sorted(self._shown.items())
            for _, _, conversation in sorted(shown, reverse=True)
        ]

    def _show(self, conversation: Conversation) -> None:
        if conversation.task not in self._shown and len(self._shown) >= _MOST_TASKS:
            return
        shown = self._shown.setdefault(conversation.task, [])
        entry = (-digest(conversation.conversation_id), -self._n, conversation)
        if len(shown) < self._each:
            heapq.heappush(shown, (*entry[:2], replace(conversation, source_bytes=b"")))
        elif self._each and entry[:2] > shown[0][:2]:
            heapq.heapreplace(shown, (*entry[:2], replace(conversation, source_bytes=b"")))
