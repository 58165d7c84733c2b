"""Which conversations an export takes: kept ones, tasks, ratings, and those that a language has texts for.

A selection never changes a conversation, except to give it in one language; what it leaves out is counted by
reason, and the card says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from engine.dataset.utterance import languages_of, text_in
from engine.schema.annotation import METRICS, Annotation, Kind, ratings_of
from engine.schema.dataset import Conversation, ConversationTurn, ProfileText, ScenarioText

Language = Literal["both", "en", "zh"]


@dataclass(frozen=True, slots=True)
class Selection:
    """What to take. `tasks` are names or slugs, none for all; `min_ratings` maps a metric to its least score.

    A conversation that lacks a rating asked for is left out. `author` says whose ratings count.
    """

    only_kept: bool = True
    tasks: tuple[str, ...] = ()
    min_ratings: Mapping[str, int] = field(default_factory=dict)
    language: Language = "both"
    author: str | None = None

    @property
    def is_everything(self) -> bool:
        """Whether nothing but dropped conversations could be left out, and nothing changed."""
        return not self.tasks and not self.min_ratings and self.language == "both"

    def take(self, conversations: Iterable[Conversation], left_out: Counter[str]) -> Iterator[Conversation]:
        """The conversations that are wanted, in order; the others are counted by reason in `left_out`."""
        for conversation in conversations:
            reason = self._against(conversation)
            if reason:
                left_out[reason] += 1
            elif self.language == "both":
                yield with_translations(conversation)
            elif (given := in_language(conversation, self.language)) is not None:
                yield given
            else:
                left_out[f"no text in {self.language}"] += 1

    def _against(self, conversation: Conversation) -> str:
        if self.only_kept and not conversation.is_kept:
            return "dropped by validation"
        if self.tasks and not {conversation.task, conversation.extra.get("task")} & set(self.tasks):
            return "another task"
        if self.min_ratings:
            ratings = ratings_of(conversation.annotations, self.author)
            if any(ratings.get(metric, -1) < least for metric, least in self.min_ratings.items()):
                return "rated lower, or not rated"
        return ""


def metric_named(name: str) -> str:
    """The metric of the seven that `name` means, in any case, or `name` itself: data may have its own."""
    known = {metric.name.casefold(): metric.name for metric in METRICS}
    return known.get(name.strip().casefold(), name.strip())


def in_language(conversation: Conversation, language: str) -> Conversation | None:
    """The conversation as it reads in one language; None where an utterance has no text in it.

    Scenario and profile are given in that language where there is such a text, else as they are.
    """
    own = languages_of(conversation)
    turns: list[ConversationTurn] = []
    for turn in conversation.turns:
        text = text_in(turn, language, own)
        if text is None:
            return None
        turns.append(replace(turn, content=text, translations={}, annotations=_told(turn.annotations)))
    conversation = with_translations(conversation)
    scenario, profile = conversation.scenario, conversation.profile
    return replace(
        conversation,
        turns=tuple(turns),
        scenario=ScenarioText(
            number=scenario.number,
            text=scenario.translations.get(language) or scenario.text,
            variables=scenario.variables,
        ),
        profile=ProfileText(
            profile_id=profile.profile_id,
            text=profile.translations.get(language) or profile.text,
            fields=profile.fields,
        ),
        language=language,
        annotations=_told(conversation.annotations),
        source_bytes=b"",  # no longer what came
    )


def with_translations(conversation: Conversation) -> Conversation:
    """The conversation with what annotations say of its scenario and profile in another language."""
    scenario, profile = conversation.scenario, conversation.profile
    for each in conversation.annotations:
        if each.kind != Kind.TRANSLATION or not isinstance(each.value, Mapping):
            continue
        told = {key: text for key, text in each.value.items() if isinstance(text, str) and text}
        language = told.get("language", "")
        if "scenario" in told:
            translations = {language: told["scenario"]} | dict(scenario.translations)
            scenario = replace(scenario, translations=translations)
        if "profile" in told:
            translations = {language: told["profile"]} | dict(profile.translations)
            profile = replace(profile, translations=translations)
    return replace(conversation, scenario=scenario, profile=profile)


def _told(annotations: tuple[Annotation, ...]) -> tuple[Annotation, ...]:
    return tuple(each for each in annotations if each.kind != Kind.TRANSLATION)
