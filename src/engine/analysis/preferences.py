"""Figure 5: which preferences come up, task by task.

Phrases are those of the conversations' preference summaries. As in the paper, the mapped aspect of the
profile that belongs to a task (travel habits, dining preferences) is counted with them; how often a phrase
came from there alone is kept apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from engine.schema.annotation import Annotation, Kind, find
from engine.schema.dataset import Conversation

# Task to the aspect of the profile that is about it.
MERGED_ASPECTS: Mapping[str, str] = {
    "travel planning": "travel_habits",
    "new travel planning": "travel_habits",
    "recipe planning": "dining_preferences",
}
# Different phrases of a task that are kept; summaries are free text and would grow with the data.
_MOST_PHRASES = 100_000
# The origin of a phrase that came up in the conversation.
_SAID = "conversation"
# What closed vocabularies call the rest.
_NO_PREFERENCE = ("other", "others", "其他", "其它")


class Preferences:
    """Counts phrases, lower-cased, by task; a phrase counts once a conversation.

    Memory is bounded: of very many different phrases those that have come once are forgotten.
    """

    def __init__(self, author: str | None = None, merged: Mapping[str, str] = MERGED_ASPECTS) -> None:
        self._author = author
        self._merged = merged
        self.by_task: dict[str, Counter[str]] = {}
        self.from_profiles: dict[str, Counter[str]] = {}

    def __repr__(self) -> str:
        return f"Preferences({sum(map(len, self.by_task.values()))} phrases)"

    def add(self, conversation: Conversation) -> None:
        """Count the phrases of one conversation; one without a summary counts nothing."""
        found = find(conversation.annotations, Kind.PREFERENCE_SUMMARY, self._author)
        if found is None or not isinstance(found.value, Sequence) or isinstance(found.value, str):
            return
        phrases, origins = _phrases(found)
        said = {phrase for phrase, origin in zip(phrases, origins, strict=True) if origin == _SAID}
        # An annotation that names origins has been merged with the profile by whoever made it.
        merged = set(phrases) if "origins" in found.details else set(self._labels(conversation))
        mapped = merged - said
        task = conversation.task
        counts = self.by_task.setdefault(task, Counter())
        counts.update(sorted((said | mapped) - {""}))
        if len(counts) > _MOST_PHRASES:
            self.by_task[task] = Counter({phrase: n for phrase, n in counts.items() if n > 1})
        if mapped:
            self.from_profiles.setdefault(task, Counter()).update(sorted(mapped))

    def _labels(self, conversation: Conversation) -> list[str]:
        found = find(conversation.annotations, Kind.PROFILE_MAPPED, self._author)
        aspect = self._merged.get(conversation.task)
        if aspect is None or found is None or not isinstance(found.value, Mapping):
            return []
        labels = found.value.get(aspect)
        named = [label for label in labels if isinstance(label, Mapping)] if isinstance(labels, list) else []
        found_labels = [_clean(str(label.get("en") or label.get("zh") or "")) for label in named]
        return [label for label in found_labels if label not in _NO_PREFERENCE]

    def most_common(self, task: str, n: int) -> list[tuple[str, int]]:
        """The n most frequent phrases of a task; equally frequent ones in alphabetical order."""
        return sorted(self.by_task[task].items(), key=lambda item: (-item[1], item[0]))[:n]


def _phrases(found: Annotation) -> tuple[list[str], list[str]]:
    """(phrases as they were merged with synonyms, where each came from)."""
    value = found.value if isinstance(found.value, list) else []
    merged, origins = found.details.get("merged"), found.details.get("origins")
    phrases = merged if isinstance(merged, list) and len(merged) == len(value) else value
    if not isinstance(origins, list) or len(origins) != len(value):
        origins = [_SAID] * len(value)
    return [_clean(str(phrase)) for phrase in phrases], origins


def _clean(phrase: str) -> str:
    return " ".join(phrase.lower().split()).strip(".,;:")
