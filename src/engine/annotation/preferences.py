"""The preference summary: three to five phrases of a conversation, merged with one aspect of the profile.

Which aspect that is, is a field of the task (`merge_aspect` in its task.yaml; none for most). The aspect's
text is divided at its commas, without a model. Each phrase keeps its origin: `conversation`, or
`profile:<aspect>`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from engine.annotation.annotator import Answer, Question
from engine.annotation.context import Room, show_all
from engine.annotation.judgements import strict_object
from engine.annotation.prompts import Prompts
from engine.annotation.replies import read_phrases
from engine.config.model_settings import StageName
from engine.schema.annotation import Annotation, Kind, Target
from engine.schema.dataset import Conversation
from engine.wire.reply_schema import ReplySchema

FEWEST, MOST = 3, 5
CONVERSATION = "conversation"
_DIVIDERS = re.compile(r"[,;，；、。]|\.(?=\s|$)")
_AND = re.compile(r"^(?:and|or|but)\s+", re.IGNORECASE)


_SCHEMA = ReplySchema("preferences", strict_object(phrases={"type": "array", "items": {"type": "string"}}))


@dataclass(frozen=True, slots=True)
class PreferenceJudge:
    """Summarises what the user turned out to prefer. `merge_aspects`: a task's name to its aspect."""

    merge_aspects: Mapping[str, str] = field(default_factory=dict)
    name: str = "preferences"
    role: StageName = "preference"
    version: int = 1
    schema: ReplySchema = _SCHEMA

    def questions(self, conversation: Conversation, prompts: Prompts, room: Room) -> Iterator[Question]:
        """One, about the whole conversation."""
        if not any(turn.content.strip() for turn in conversation.turns):
            return
        system = {"fewest": FEWEST, "most": MOST, "labels": conversation.task}
        base = "".join(text for _, text in prompts.messages(system, {"turns": ()}, 1))
        view = show_all(conversation, room.less(base))
        yield Question(CONVERSATION, system, {"turns": view.turns}, self._check, view.cut)

    def _check(self, data: Mapping[str, object]) -> tuple[str, ...]:
        read_phrases(data, "phrases", FEWEST, MOST)
        return ()

    def facts(self, conversation: Conversation) -> Mapping[str, object]:
        """The task, and the phrases of the profile's aspect that its summaries are merged with."""
        facts: dict[str, object] = {"task": conversation.task}
        aspect = self.merge_aspects.get(conversation.task)
        text = conversation.profile.fields.get(aspect, "") if aspect else ""
        if aspect and (phrases := divide(text)):
            facts |= {"aspect": aspect, "phrases": list(phrases)}
        return facts

    def read(
        self, conversation_id: str, answers: Mapping[str, Answer], facts: Mapping[str, object]
    ) -> Iterator[Annotation]:
        """One annotation: all phrases, and in its details the origin of each."""
        answer = answers.get(CONVERSATION)
        if answer is None:
            return
        said = read_phrases(answer.data, "phrases", FEWEST, MOST)
        own = facts.get("phrases")
        profile = [str(phrase) for phrase in own] if isinstance(own, list) else []
        added = [phrase for phrase in profile if phrase.casefold() not in {each.casefold() for each in said}]
        origins = [CONVERSATION] * len(said) + [f"profile:{facts.get('aspect')}"] * len(added)
        yield Annotation(
            Kind.PREFERENCE_SUMMARY,
            Target(conversation_id),
            [*said, *added],
            details={**answer.details, "origins": origins, "task": facts.get("task", "")},
        )


def divide(text: str) -> tuple[str, ...]:
    """An aspect's text as phrases: what stands between commas and full stops."""
    parts = (_AND.sub("", part.strip()).strip() for part in _DIVIDERS.split(text))
    return tuple(dict.fromkeys(part for part in parts if part))
