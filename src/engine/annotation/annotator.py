"""What every annotator is: questions about a conversation, and a strict reading of the replies.

A reply that cannot be used, or that a check finds fault with, is asked for again, a bounded number of times;
the outcome's note says which attempt counts where that is not the first, what was found, and how much of the
conversation was cut. So annotations are read from the journal alone, whatever became of the templates.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple, Protocol

import orjson

from engine.annotation.context import Room
from engine.annotation.prompts import Prompts
from engine.annotation.replies import Unusable, read_object
from engine.config.model_settings import ModelSettings, StageName
from engine.errors import CallFailed
from engine.runner.stage import DONE, FAILED, Ask, End, Recorded, Stage, StageItem, Steps
from engine.schema.annotation import Annotation, Target
from engine.schema.call import Reply
from engine.schema.dataset import Conversation
from engine.wire.formats import decode_recorded
from engine.wire.reply_schema import ReplySchema

INCOMPLETE = "incomplete"
ATTEMPTS = 3
OPTION = "option."
_REFUSED = frozenset({"content_filter", "refusal"})


class Question(NamedTuple):
    """One step: what the templates are given, and what is held against the reply's object.

    `check` raises Unusable, and returns what it finds fault with in a reply that can be used at need.
    `cut` counts what of the conversation is not shown.
    """

    step: str
    system: Mapping[str, object]
    material: Mapping[str, object]
    check: Callable[[Mapping[str, object]], tuple[str, ...]]
    cut: int = 0


class Annotator(Protocol):
    """One kind of annotation."""

    @property
    def name(self) -> str:
        """Its name on the command line, and of its templates' folder."""

    @property
    def role(self) -> StageName:
        """The configuration's stage whose model is asked, where there is one; else the judge's."""

    @property
    def version(self) -> int:
        """Goes up when the code asks or reads otherwise than before."""

    @property
    def schema(self) -> ReplySchema: ...

    def questions(self, conversation: Conversation, prompts: Prompts, room: Room) -> Iterator[Question]:
        """What is asked about a conversation, in order; nothing where it holds nothing to annotate."""

    def facts(self, conversation: Conversation) -> Mapping[str, object]:
        """What beside the replies is needed to read them; kept in the outcome."""

    def read(
        self, conversation_id: str, answers: Mapping[str, Answer], facts: Mapping[str, object]
    ) -> Iterator[Annotation]:
        """The annotations that usable answers, by step, stand for; author and rubric are added later."""


class Answer(NamedTuple):
    """A usable reply's object, and what is known about it."""

    data: Mapping[str, object]
    details: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Judge:
    """Who is asked: a name for the author of the annotations, and a model."""

    name: str
    settings: ModelSettings

    @property
    def author(self) -> str:
        return f"judge:{self.name}"


@dataclass(slots=True)
class _Notes:
    """What an outcome's note says; empty where there is nothing out of the ordinary."""

    steps: dict[str, dict[str, object]] = field(default_factory=dict)
    facts: dict[str, object] = field(default_factory=dict)
    usable: int = 0
    unusable: int = 0

    def of(self, step: str) -> dict[str, object]:
        return self.steps.setdefault(step, {})

    def encode(self) -> str:
        note = {key: value for key, value in (("steps", self.steps), ("facts", self.facts)) if value}
        return orjson.dumps(note).decode() if note else ""


def stage_name(annotator: str, judge: str) -> str:
    """The key in the journal of one annotator's work by one judge."""
    return f"{annotator}@{judge}"


def annotation_stage(
    annotator: Annotator,
    judge: Judge,
    prompts: Prompts,
    conversations: Callable[[], Iterable[Conversation]],
    options: Mapping[str, object] | None = None,
) -> Stage:
    """The stage that asks `judge` about each of `conversations`; the annotator's options are identity."""
    settings = judge.settings
    room = Room.of(settings.context_tokens, settings.max_tokens)
    return Stage(
        name=stage_name(annotator.name, judge.name),
        role=annotator.role,
        settings=settings,
        items=lambda: (
            StageItem(each.conversation_id, partial(annotate, annotator, prompts, room, each))
            for each in conversations()
        ),
        identity={
            "annotator.version": annotator.version,
            "annotator.attempts": ATTEMPTS,
            **{f"{OPTION}{name}": value for name, value in (options or {}).items()},
            **{f"template {annotator.name}/{name}": text for name, text in prompts.texts.items()},
        },
        schema=annotator.schema,
        noun="conversations",
    )


def annotate(annotator: Annotator, prompts: Prompts, room: Room, conversation: Conversation) -> Steps:
    """Ask everything about one conversation. A failed call fails it, unless something was answered before."""
    notes = _Notes(facts=dict(annotator.facts(conversation)))
    for question in annotator.questions(conversation, prompts, room):
        yield from _ask(prompts, question, notes)
    return End(INCOMPLETE if notes.unusable else DONE, notes.encode())


def _ask(prompts: Prompts, question: Question, notes: _Notes) -> Generator[Ask, Reply, None]:
    if question.cut:
        notes.of(question.step)["cut"] = question.cut
    best: tuple[int, tuple[str, ...]] | None = None
    reason = ""
    for attempt in range(ATTEMPTS):
        messages = prompts.messages(question.system, question.material, attempt)
        try:
            reply = yield Ask(question.step, messages, attempt)
        except CallFailed as failure:
            if notes.usable == 0:
                raise
            reason = failure.reason
            break
        try:
            found = question.check(read_reply(reply))
        except Unusable as unusable:
            reason = unusable.reason
            continue
        if best is None or len(found) < len(best[1]):
            best = attempt, found
        if not found:
            break
    if best is None:
        notes.of(question.step)["unusable"] = reason
        notes.unusable += 1
        return
    notes.usable += 1
    attempt, found = best
    if attempt:
        notes.of(question.step)["attempt"] = attempt
    if found:
        notes.of(question.step)["flags"] = list(found)


def read_reply(reply: Reply) -> dict[str, object]:
    """The object in a reply; raises Unusable."""
    if reply.finish_reason in _REFUSED:
        raise Unusable("refused")
    return read_object(reply.text)


def read_annotations(
    annotator: Annotator, judge_name: str, version: str, recorded: Recorded
) -> Iterator[Annotation]:
    """What one conversation's outcome and calls of a stage stand for; one that failed brought nothing."""
    if recorded.outcome.result == FAILED:
        return
    note = orjson.loads(recorded.outcome.note) if recorded.outcome.note else {}
    steps = note.get("steps", {})
    answers: dict[str, Answer] = {}
    for call in recorded.calls:
        about = steps.get(call.step, {})
        if call.attempt != about.get("attempt", 0) or "unusable" in about:
            continue
        reply = decode_recorded(call.reply)
        data = read_reply(reply)
        details: dict[str, object] = {"model": reply.served_model}
        details |= {key: about[key] for key in ("attempt", "cut", "flags") if key in about}
        answers[call.step] = Answer(data, details)
    facts = note.get("facts", {})
    author, rubric = f"judge:{judge_name}", f"{annotator.name}@{version}"
    for found in annotator.read(recorded.outcome.item, answers, facts):
        yield Annotation(found.kind, found.target, found.value, author, rubric, found.details)


def turn_step(turn: int) -> str:
    """The step that asks about one turn."""
    return f"turn-{turn}"


def by_turn(conversation_id: str, answers: Mapping[str, Answer]) -> Iterator[tuple[Target, Answer]]:
    """The answers about turns."""
    for step, answer in answers.items():
        if step.startswith("turn-"):
            yield Target(conversation_id, int(step.removeprefix("turn-"))), answer
