"""Goal: which of the scenario's standing requirements was met, and at which turn of the assistant first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from engine.annotation.annotator import Answer, Question
from engine.annotation.context import Room, show_all
from engine.annotation.judgements import strict_object
from engine.annotation.prompts import Prompts
from engine.annotation.replies import Unusable, read_list
from engine.config.model_settings import StageName
from engine.schema.annotation import Annotation, Kind, Target
from engine.schema.conversation import Role
from engine.schema.dataset import Conversation
from engine.wire.reply_schema import ReplySchema

_STEP = "conversation"
_SCHEMA = ReplySchema("goal", strict_object(met={"type": "array", "items": {"type": ["integer", "null"]}}))


@dataclass(frozen=True, slots=True)
class GoalJudge:
    """Conversations whose dataset names no requirements are asked nothing."""

    name: str = "goal"
    role: StageName = "judge"
    version: int = 1
    schema: ReplySchema = _SCHEMA

    def questions(self, conversation: Conversation, prompts: Prompts, room: Room) -> Iterator[Question]:
        """One, about the whole conversation."""
        requirements = requirements_of(conversation)
        if not requirements or not any(turn.content.strip() for turn in conversation.turns):
            return
        given = {"requirements": requirements, "scenario": conversation.scenario.text}
        base = "".join(text for _, text in prompts.messages({}, given, 1))
        view = show_all(conversation, room.less(base))
        turns = frozenset(n for n, turn in enumerate(conversation.turns) if turn.role is Role.ASSISTANT)
        check = partial(_check, count=len(requirements), turns=turns)
        yield Question(_STEP, {}, {**given, "turns": view.turns}, check, view.cut)

    def facts(self, conversation: Conversation) -> Mapping[str, object]:
        """The requirements, in the order of the answer."""
        requirements = requirements_of(conversation)
        return {"requirements": list(requirements)} if requirements else {}

    def read(
        self, conversation_id: str, answers: Mapping[str, Answer], facts: Mapping[str, object]
    ) -> Iterator[Annotation]:
        """One annotation: each requirement and the turn that met it, or none."""
        requirements = facts.get("requirements")
        if (answer := answers.get(_STEP)) is not None and isinstance(requirements, list):
            value = [
                {"requirement": requirement, "turn": turn}
                for requirement, turn in zip(requirements, read_list(answer.data, "met"), strict=False)
            ]
            yield Annotation(Kind.GOAL, Target(conversation_id), value, details=answer.details)


def requirements_of(conversation: Conversation) -> tuple[str, ...]:
    """The standing requirements of the conversation's scenario."""
    listed = conversation.extra.get("requirements")
    return tuple(map(str, listed)) if isinstance(listed, list | tuple) else ()


def _check(data: Mapping[str, object], *, count: int, turns: frozenset[int]) -> tuple[str, ...]:
    met = read_list(data, "met")
    if len(met) != count:
        raise Unusable("number_of_requirements")
    if any(turn is not None and (type(turn) is not int or turn not in turns) for turn in met):
        raise Unusable("no_such_turn")
    return ()
