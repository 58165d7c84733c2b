"""Table 2 and Figure 6: the seven ratings of conversations, as means by task and as counts of each score."""

from __future__ import annotations

from collections.abc import Mapping

from engine.analysis.definitions import Definitions
from engine.analysis.distribution import Distribution
from engine.analysis.table1 import merged
from engine.schema.annotation import METRICS, ratings_of
from engine.schema.dataset import Conversation

METRIC_NAMES = tuple(metric.name for metric in METRICS)


class Ratings:
    """Counts scores by task and metric; a conversation may be unrated, or rated in some metrics only."""

    def __init__(self, author: str | None = None) -> None:
        self._author = author
        self._by_task: dict[str, dict[str, Distribution]] = {}

    def __repr__(self) -> str:
        return f"Ratings({', '.join(sorted(self._by_task)) or 'none'})"

    def add(self, conversation: Conversation) -> None:
        """Count the ratings of one conversation."""
        for metric, score in ratings_of(conversation.annotations, self._author).items():
            by_metric = self._by_task.setdefault(conversation.task, {})
            by_metric.setdefault(metric, Distribution()).add(score)

    def table2(self, definitions: Definitions) -> dict[str, dict[str, float]]:
        """Task, under its merged name, to metric, in the paper's order, to plain mean."""
        by_name: dict[str, list[Mapping[str, Distribution]]] = {}
        for task, by_metric in self._by_task.items():
            by_name.setdefault(definitions.merged.get(task, task), []).append(by_metric)
        return {
            name: {metric: scores.mean for metric, scores in _joined(parts).items()}
            for name, parts in sorted(by_name.items())
        }

    def figure6(self) -> dict[str, dict[int, int]]:
        """Metric to score to the number of conversations with it; scores that nobody gave are left out."""
        return {
            metric: dict(sorted(scores.counts.items()))
            for metric, scores in _joined(list(self._by_task.values())).items()
        }


def _joined(
    parts: list[Mapping[str, Distribution]] | list[dict[str, Distribution]],
) -> dict[str, Distribution]:
    names = {metric for part in parts for metric in part}
    ordered = [name for name in METRIC_NAMES if name in names] + sorted(names - set(METRIC_NAMES))
    return {name: merged(part[name] for part in parts if name in part) for name in ordered}
