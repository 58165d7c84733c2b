"""All of the paper's statistics of a dataset, counted in one pass: Tables 1 to 3, Figure 6, hallucinations.

Table 1 has two rows, raw (all conversations) and kept (those that passed validation); everything else is of
the kept ones. Memory grows with the tasks, scenarios and profiles, not with the conversations.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict

from engine.analysis.definitions import Definitions
from engine.analysis.distribution import Distribution
from engine.analysis.hallucinations import Hallucinations
from engine.analysis.intents import Intents
from engine.analysis.ratings import Ratings
from engine.analysis.table1 import LAST_POSITION, Table1
from engine.schema.dataset import Conversation


class Statistics:
    """Counts conversations; `as_dict` gives everything as plain JSON."""

    def __init__(
        self,
        count_tokens: Callable[[str], int],
        definitions: Definitions | None = None,
        split: Mapping[str, str] | None = None,
    ) -> None:
        self.definitions = definitions or Definitions()
        author = self.definitions.author
        self._count_tokens = count_tokens
        self.kept = Table1(count_tokens)
        self.dropped = Table1(count_tokens)
        self.ratings = Ratings(author)
        self.intents = Intents(author, split)
        self.hallucinations = Hallucinations(author)
        self.construction: Counter[str] = Counter()
        self.flags: Counter[str] = Counter()
        self.end_reasons: Counter[str] = Counter()
        self._profiles: set[int] = set()
        self._people: set[str] = set()

    def __repr__(self) -> str:
        return f"Statistics({sum(self.construction.values())} conversations)"

    def add(self, conversation: Conversation) -> None:
        """Count one conversation."""
        self.construction[conversation.construction.value] += 1
        self.end_reasons[conversation.end_reason or "not recorded"] += 1
        self.flags.update(set(conversation.flags))
        if not conversation.is_kept:
            self.dropped.add(conversation)
            return
        self.kept.add(conversation)
        self.ratings.add(conversation)
        self.intents.add(conversation)
        self.hallucinations.add(conversation)
        if conversation.profile.text or conversation.profile.profile_id:
            self._profiles.add(hash(conversation.profile.text or conversation.profile.profile_id))
        if conversation.person:
            self._people.add(conversation.person)

    def raw(self) -> Table1:
        """Table 1 of all conversations, kept and dropped."""
        table = Table1(self._count_tokens)
        table.merge(self.kept)
        table.merge(self.dropped)
        return table

    def as_dict(self) -> dict[str, object]:
        """Every figure as plain JSON, under the paper's names; means unrounded."""
        tables = {"raw": self.raw(), "kept": self.kept}
        definitions = self.definitions
        return {
            "definitions": {
                "averages_without": sorted(definitions.averages_without),
                "utterances": definitions.utterances,
                "merged": dict(definitions.merged),
                "author": definitions.author,
            },
            "table1": {name: asdict(table.row(definitions)) for name, table in tables.items()},
            "table1_by_task": {
                name: {task: asdict(table.row(definitions, task)) for task in sorted(table.by_task)}
                for name, table in tables.items()
            },
            "rounds": {name: _counts(table.rounds()) for name, table in tables.items()},
            "rounds_by_task": {
                task: _counts(lengths.rounds) for task, lengths in sorted(self.kept.by_task.items())
            },
            "tokens_by_position": {
                role.value: {
                    str(position) if position < LAST_POSITION else f"{position}+": tokens.as_dict()
                    for position, tokens in positions.items()
                }
                for role, positions in self.kept.tokens_by_position().items()
            },
            "table2": self.ratings.table2(definitions),
            "figure6": {
                metric: {str(score): count for score, count in scores.items()}
                for metric, scores in self.ratings.figure6().items()
            },
            "table3": self._table3(),
            "hallucinated_replies": {
                "hallucinated": self.hallucinations.hallucinated,
                "judged": self.hallucinations.judged,
                "cannot_tell": self.hallucinations.cannot_tell,
                "replies": self.hallucinations.replies,
                "conversations_with_any": self.hallucinations.conversations_with_any,
                "by_task": dict(sorted(self.hallucinations.by_task.items())),
            },
            "distinct_profiles": len(self._profiles),
            "people": len(self._people),
            "construction": dict(sorted(self.construction.items())),
            "end_reasons": dict(sorted(self.end_reasons.items())),
            "flags": dict(self.flags.most_common()),
        }

    def _table3(self) -> dict[str, object]:
        intents = self.intents
        return {
            "user_utterances": intents.utterances,
            "labelled": intents.labelled,
            "with_several_labels": intents.several,
            "label_sets": {
                name: {"labels": list(each.labels), "is_multi": each.is_multi}
                for name, each in sorted(intents.label_sets.items())
            },
            "totals": intents.ordered(intents.totals),
            "by_task": {task: intents.ordered(counts) for task, counts in sorted(intents.by_task.items())},
            "by_position": {
                position: intents.ordered(counts) for position, counts in intents.by_position.items()
            },
            "split": {
                part: {"utterances": intents.utterances_by_part[part], "labels": intents.ordered(counts)}
                for part, counts in sorted(intents.by_part.items())
            },
        }


def _counts(distribution: Distribution) -> dict[str, int]:
    return {str(value): count for value, count in sorted(distribution.counts.items())}
