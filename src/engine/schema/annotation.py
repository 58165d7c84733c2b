"""An annotation is what somebody said about a conversation or one of its turns: who, by which rubric, what.

Labels that came with a dataset, people's and judges' all have this one form, so that agreement, statistics
and exports read them alike. Values are plain JSON; `Kind` lists the shape of each.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

# The author of labels that came with the data. Others are `human:<name>` and `judge:<name>`.
DATASET = "dataset"


class Kind(StrEnum):
    """What is annotated, and the JSON shape of its value. On a turn or on a conversation as said."""

    # Turn of the user: list of labels, in the annotator's order; one where the label set is not multi.
    INTENT = "intent"
    # Turn of the assistant: {"hallucination": true | false | null (cannot tell), "memo": reason}.
    HALLUCINATION = "hallucination"
    # Turn of the user: whole number 1-5.
    SATISFACTION = "satisfaction"
    # Turn: {"language": code, "text": the utterance}. Conversation: {"language", "scenario", "profile"}.
    TRANSLATION = "translation"
    # Conversation: {metric: whole number}; a judge may rate some of `METRICS` only.
    RATING = "rating"
    # Conversation: list of phrases.
    PREFERENCE_SUMMARY = "preference_summary"
    # Conversation: {aspect key of `schema.profile.ASPECTS`: list of {language code: label}}.
    PROFILE_MAPPED = "profile_mapped"
    # The same, as far as the conversation alone reveals it.
    PROFILE_RECOVERED = "profile_recovered"
    # Turn of the user: {"contradicts": "nothing" | "profile" | "itself", "memo": reason}.
    CONSISTENCY = "consistency"
    # Conversation: list of {"requirement": text, "turn": number of the turn that met it, or null}.
    GOAL = "goal"
    # Conversation: list of {"query", "summary", "option"}.
    QUESTIONNAIRE = "questionnaire"
    # Conversation: {version of the scheme: {"final" or round number: {dimension: value}}}.
    STRATEGY = "strategy"


class Metric(NamedTuple):
    """One of the seven ratings (the paper, 4.2): whole numbers from 0 to `most`."""

    name: str
    most: int


METRICS: tuple[Metric, ...] = (
    Metric("Preference Alignment", 2),
    Metric("Additional Preferences", 1),
    Metric("Role-Playing Completeness", 2),
    Metric("Memorization", 1),
    Metric("Detail Level", 2),
    Metric("Practical Usefulness", 2),
    Metric("Diversity", 2),
)


@dataclass(frozen=True, slots=True)
class LabelSet:
    """The closed set of labels that a dataset uses for one kind; `is_multi` where a turn may have several."""

    name: str
    labels: tuple[str, ...]
    is_multi: bool = False


PAPER_INTENTS = LabelSet(
    "paper-intents-en", ("Search", "Recommendation", "Search & Recommendation", "Planning", "Others")
)
HUMAN_INTENTS = LabelSet("human-intents-zh", ("推荐", "规划", "评估", "其它"), is_multi=True)


@dataclass(frozen=True, slots=True)
class Target:
    """What an annotation is about: a conversation, or its turn number `turn`, counted from 0."""

    conversation_id: str
    turn: int | None = None


@dataclass(frozen=True, slots=True)
class Annotation:
    """One statement. `rubric` names the rubric or prompt with its version, empty where unknown.

    `details` holds what belongs to it beside the value: a judge's model and reason, a phrase's origin.
    """

    kind: str
    target: Target
    value: object
    author: str = DATASET
    rubric: str = ""
    details: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Hallucination:
    """A verdict on an assistant's utterance; None is "cannot tell". `memo` gives the reason."""

    is_hallucinated: bool | None
    memo: str = ""


def find(annotations: Iterable[Annotation], kind: str, author: str | None = None) -> Annotation | None:
    """The first annotation of a kind, by anybody or by one author."""
    return next((a for a in annotations if a.kind == kind and author in (None, a.author)), None)


def intents_of(annotations: Iterable[Annotation], author: str | None = None) -> tuple[str, ...]:
    """The intent labels of a turn's annotations; empty where there are none."""
    found = find(annotations, Kind.INTENT, author)
    return tuple(map(str, found.value)) if found and isinstance(found.value, Sequence) else ()


def hallucination_of(annotations: Iterable[Annotation], author: str | None = None) -> Hallucination | None:
    """The hallucination verdict of a turn's annotations; None where nobody judged it."""
    found = find(annotations, Kind.HALLUCINATION, author)
    if found is None or not isinstance(found.value, Mapping):
        return None
    verdict = found.value.get("hallucination")
    return Hallucination(verdict if isinstance(verdict, bool) else None, str(found.value.get("memo", "")))


def ratings_of(annotations: Iterable[Annotation], author: str | None = None) -> dict[str, int]:
    """Metric to rating, of a conversation's annotations; empty where there are none."""
    found = find(annotations, Kind.RATING, author)
    if found is None or not isinstance(found.value, Mapping):
        return {}
    return {str(name): score for name, score in found.value.items() if isinstance(score, int)}
