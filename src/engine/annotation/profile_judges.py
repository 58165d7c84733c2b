"""The profile in fixed labels: mapped from its text, and recovered from the conversation alone.

Both use one closed vocabulary per aspect (`templates/_annotation/profile/vocabulary.yaml`), so that what the
conversation reveals can be held against what the profile says.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from engine.annotation.annotator import Answer, Question
from engine.annotation.context import Room, shorten, show_all
from engine.annotation.prompts import Prompts, find_prompts
from engine.annotation.replies import Unusable, read_list
from engine.config.model_settings import StageName
from engine.errors import BadInput
from engine.scenarios.text_template import read_text
from engine.schema.annotation import Annotation, Kind, Target
from engine.schema.dataset import Conversation
from engine.schema.profile import ASPECTS
from engine.wire.reply_schema import ReplySchema

_STEP = "conversation"
_MOST = 4
Vocabulary = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class ProfileJudge:
    """Gives labels of `vocabulary` (aspect to English label to Chinese label).

    `kind` says from what: PROFILE_MAPPED from the profile's text, PROFILE_RECOVERED from the conversation.
    """

    name: str
    kind: Kind
    vocabulary: Vocabulary = field(default_factory=dict, repr=False)
    role: StageName = "judge"
    version: int = 1

    @property
    def schema(self) -> ReplySchema:
        """An object with a list of labels for each aspect."""
        lists = {
            key: {"type": "array", "items": {"type": "string", "enum": list(labels)}}
            for key, labels in self.vocabulary.items()
        }
        return ReplySchema(
            self.name,
            {
                "type": "object", "properties": lists, "required": list(lists),
                "additionalProperties": False,
            },
        )  # fmt: skip

    def questions(self, conversation: Conversation, prompts: Prompts, room: Room) -> Iterator[Question]:
        """One; none where there is no profile to map, or nothing was said."""
        shown = [{"key": key, "labels": list(labels)} for key, labels in self.vocabulary.items()]
        system = {"vocabulary": shown}
        left = room.less("".join(text for _, text in prompts.messages(system, {}, 1)))
        if self.kind is Kind.PROFILE_MAPPED:
            profile = shorten(conversation.profile.text, left)
            if profile.strip():
                is_cut = int(profile != conversation.profile.text)
                yield Question(_STEP, system, {"profile": profile}, self._check, is_cut)
        elif any(turn.content.strip() for turn in conversation.turns):
            view = show_all(conversation, left)
            yield Question(_STEP, system, {"turns": view.turns}, self._check, view.cut)

    def _check(self, data: Mapping[str, object]) -> tuple[str, ...]:
        self._labels(data)
        return ()

    def _labels(self, data: Mapping[str, object]) -> dict[str, list[dict[str, str]]]:
        found = {}
        for key, labels in self.vocabulary.items():
            said = list(dict.fromkeys(map(str, read_list(data, key))))
            if len(said) > _MOST or any(label not in labels for label in said):
                raise Unusable("unknown_label")
            found[key] = [{"en": label, "zh": labels[label]} for label in said]
        return found

    def facts(self, conversation: Conversation) -> Mapping[str, object]:
        """None."""
        return {}

    def read(
        self, conversation_id: str, answers: Mapping[str, Answer], facts: Mapping[str, object]
    ) -> Iterator[Annotation]:
        """One annotation with the labels of every aspect, in both languages."""
        if (answer := answers.get(_STEP)) is not None:
            yield Annotation(
                self.kind, Target(conversation_id), self._labels(answer.data), details=answer.details
            )


def read_vocabulary(templates: Path | None, config_dir: Path | None) -> Vocabulary:
    """The labels of each aspect. Raises BadInput for a file that says anything else."""
    path = find_prompts("profile", templates, config_dir) / "vocabulary.yaml"
    try:
        data = yaml.safe_load(read_text(path))
    except yaml.YAMLError as error:
        raise BadInput(f"{path}: is not YAML: {error}") from error
    known = {aspect.key for aspect in ASPECTS}
    if not isinstance(data, dict) or not data:
        raise BadInput(f"{path}: has to give each aspect its labels.")
    for key, labels in data.items():
        if key not in known:
            raise BadInput(f"{path}: {key!r} is no aspect; known are {', '.join(sorted(known))}.")
        if not isinstance(labels, dict) or not all(
            isinstance(word, str) for pair in labels.items() for word in pair
        ):
            raise BadInput(f"{path}: {key} has to give each English label its Chinese one.")
    return data
