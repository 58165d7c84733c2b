"""The annotators whose reply is a verdict: intent, hallucination and satisfaction per turn, seven ratings.

Each asks about one thing at a time and shows as much of the conversation as that needs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from engine.annotation.annotator import Annotator, Answer, Question, by_turn, turn_step
from engine.annotation.context import Room, shorten, show_all, show_before
from engine.annotation.prompts import Prompts
from engine.annotation.replies import read_flag, read_labels, read_text, read_whole
from engine.config.model_settings import StageName
from engine.schema.annotation import METRICS, PAPER_INTENTS, Annotation, Kind, LabelSet, Target
from engine.schema.conversation import Role
from engine.schema.dataset import Conversation
from engine.wire.reply_schema import ReplySchema

# An intent shows in the utterance; what came just before tells what "that one" refers to.
_NEAR = 4
_MEANINGS = {
    "Search": "looks for facts or for options that match a description, without asking which to take",
    "Recommendation": "asks which option to take, or for suggestions",
    "Search & Recommendation": "both at once: facts about options, and which of them to take",
    "Planning": "asks for a plan, an order of steps, a schedule or an itinerary",
    "Others": "anything else, such as thanks, small talk or an answer to a question",
}
_DONE = "conversation"
CONTRADICTED = ("nothing", "profile", "itself")
Read = Callable[[Mapping[str, object]], object]


def strict_object(**properties: object) -> dict[str, object]:
    """The JSON Schema of an object that has all of these and nothing else."""
    return {
        "type": "object", "properties": properties, "required": list(properties),
        "additionalProperties": False,
    }  # fmt: skip


@dataclass(frozen=True, slots=True)
class TurnJudge:
    """A verdict on each turn of one speaker. `near` is how many turns before it are shown; None: all.

    With `shows_profile` profile and scenario are shown too, and a conversation without them is not judged.
    """

    name: str
    role: StageName
    kind: Kind
    speaker: Role
    schema: ReplySchema
    near: int | None
    verdict: Callable[[Mapping[str, object], LabelSet], object]
    shows_profile: bool = False
    version: int = 1

    def questions(self, conversation: Conversation, prompts: Prompts, room: Room) -> Iterator[Question]:
        """One per turn of the speaker that says something."""
        labels = labels_of(conversation)
        system = {
            "labels": [{"name": label, "meaning": _MEANINGS.get(label, "")} for label in labels.labels],
            "is_multi": labels.is_multi,
        }
        about: dict[str, object] = {}
        if self.shows_profile:
            if not conversation.profile.text.strip():
                return
            about = {"profile": conversation.profile.text, "scenario": conversation.scenario.text}
        base = "".join(text for _, text in prompts.messages(system, about, 1))
        left = room.less(base)
        for number, turn in enumerate(conversation.turns):
            if turn.role is not self.speaker or not turn.content.strip():
                continue
            text = shorten(turn.content, Room(None if left.bytes is None else left.bytes * 2 // 3))
            view = show_before(conversation, number, left.less(text), most=self.near)
            shown = number - 1 - view.turns[-1].number if view.turns else number
            yield Question(
                turn_step(number),
                system,
                {**about, "turns": view.turns, "text": text, "left_out": shown},
                partial(self._check, labels=labels),
                view.cut + (text != turn.content),
            )

    def _check(self, data: Mapping[str, object], *, labels: LabelSet) -> tuple[str, ...]:
        self.verdict(data, labels)
        return ()

    def facts(self, conversation: Conversation) -> Mapping[str, object]:
        """The label set, where it is not the usual one."""
        labels = labels_of(conversation)
        if self.kind is not Kind.INTENT or labels == PAPER_INTENTS:
            return {}
        return {"labels": [labels.name, list(labels.labels), labels.is_multi]}

    def read(
        self, conversation_id: str, answers: Mapping[str, Answer], facts: Mapping[str, object]
    ) -> Iterator[Annotation]:
        """One annotation per answer."""
        stored = facts.get("labels")
        labels = PAPER_INTENTS
        if isinstance(stored, list):
            labels = LabelSet(str(stored[0]), tuple(stored[1]), bool(stored[2]))
        for target, answer in by_turn(conversation_id, answers):
            yield Annotation(self.kind, target, self.verdict(answer.data, labels), details=answer.details)


_RATINGS = ReplySchema(
    "ratings",
    strict_object(**{m.name: {"type": "integer", "enum": list(range(m.most + 1))} for m in METRICS}),
)


@dataclass(frozen=True, slots=True)
class RatingJudge:
    """The seven ratings of a conversation."""

    name: str = "ratings"
    role: StageName = "judge"
    version: int = 1
    schema: ReplySchema = _RATINGS

    def questions(self, conversation: Conversation, prompts: Prompts, room: Room) -> Iterator[Question]:
        """One, about the whole conversation."""
        if not any(turn.content.strip() for turn in conversation.turns):
            return
        system = {"metrics": METRICS}
        given = {"profile": conversation.profile.text, "scenario": conversation.scenario.text}
        base = "".join(text for _, text in prompts.messages(system, given, 1))
        view = show_all(conversation, room.less(base))
        yield Question(_DONE, system, {**given, "turns": view.turns}, self._check, view.cut)

    def _check(self, data: Mapping[str, object]) -> tuple[str, ...]:
        _ratings(data)
        return ()

    def facts(self, conversation: Conversation) -> Mapping[str, object]:
        """None."""
        return {}

    def read(
        self, conversation_id: str, answers: Mapping[str, Answer], facts: Mapping[str, object]
    ) -> Iterator[Annotation]:
        """One annotation with all ratings."""
        if (answer := answers.get(_DONE)) is not None:
            yield Annotation(
                Kind.RATING, Target(conversation_id), _ratings(answer.data), details=answer.details
            )


def labels_of(conversation: Conversation) -> LabelSet:
    """The intents that a dataset distinguishes; the paper's where it names none."""
    return conversation.label_sets.get(Kind.INTENT, PAPER_INTENTS)


def _ratings(data: Mapping[str, object]) -> dict[str, int]:
    return {metric.name: read_whole(data, metric.name, 0, metric.most) for metric in METRICS}


def _intent(data: Mapping[str, object], labels: LabelSet) -> object:
    return list(read_labels(data, "intent", labels.labels, is_multi=labels.is_multi))


def _hallucination(data: Mapping[str, object], _: LabelSet) -> object:
    verdict = read_flag(data, "hallucination")
    # A verdict of none needs no reason.
    return {"hallucination": verdict, "memo": read_text(data, "reason", may_be_empty=not verdict)}


def _satisfaction(data: Mapping[str, object], _: LabelSet) -> object:
    return read_whole(data, "satisfaction", 1, 5)


def _consistency(data: Mapping[str, object], _: LabelSet) -> object:
    [what] = read_labels(data, "contradicts", CONTRADICTED, is_multi=False)
    return {"contradicts": what, "memo": read_text(data, "reason", may_be_empty=what == CONTRADICTED[0])}


INTENT: Annotator = TurnJudge(
    "intent", "intent", Kind.INTENT, Role.USER,
    # Labels differ between datasets, so the schema leaves them to the prompt and the reading.
    ReplySchema("intent", strict_object(intent={"type": ["string", "array"], "items": {"type": "string"}})),
    _NEAR, _intent,
)  # fmt: skip
HALLUCINATION: Annotator = TurnJudge(
    "hallucination", "hallucination", Kind.HALLUCINATION, Role.ASSISTANT,
    ReplySchema(
        "hallucination", strict_object(hallucination={"type": "boolean"}, reason={"type": "string"})
    ),
    None, _hallucination,
)  # fmt: skip
SATISFACTION: Annotator = TurnJudge(
    "satisfaction", "judge", Kind.SATISFACTION, Role.USER,
    ReplySchema("satisfaction", strict_object(satisfaction={"type": "integer", "enum": [1, 2, 3, 4, 5]})),
    None, _satisfaction,
)  # fmt: skip
CONSISTENCY: Annotator = TurnJudge(
    "consistency", "judge", Kind.CONSISTENCY, Role.USER,
    ReplySchema(
        "consistency",
        strict_object(
            contradicts={"type": "string", "enum": list(CONTRADICTED)}, reason={"type": "string"}
        ),
    ),
    None, _consistency, shows_profile=True,
)  # fmt: skip
RATINGS: Annotator = RatingJudge()
