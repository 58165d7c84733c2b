"""A session asks one model for profiles, batch after batch, within a bounded context.

The paper's way: ask for many, go on asking, and when the context is full begin anew with the requirements
in short. A session is a function of its number alone: its region, its wording and its own earlier replies.
What a reply holds is read as it comes; one without any profile is asked for again under another seed.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import takewhile

import orjson

from engine.config.model_settings import ModelSettings
from engine.errors import CallFailed
from engine.profiles.prompts import Prompts
from engine.profiles.reading import Read, read_reply
from engine.profiles.regions import Person, Space
from engine.runner.stage import Ask, End, Recorded, Stage, StageItem, Steps
from engine.schema.call import CallKind, Reply
from engine.wire.formats import decode_recorded
from engine.wire.reply_schema import ReplySchema

STAGE_NAME = "profiles"
INCOMPLETE = "incomplete"
ATTEMPTS = 3
# Goes up when sessions ask otherwise than before.
VERSION = 1
# Where a model's context is not named: what any model of today has.
_CONTEXT_TOKENS = 8192
_BYTES_PER_TOKEN = 3  # of JSON: the bound that calls are reserved by
_SAID = 30


@dataclass(frozen=True, slots=True)
class Answer:
    """What one reply of a session holds, and where it was said."""

    step: str
    attempt: int
    read: Read


@dataclass(frozen=True, slots=True)
class SessionPlan:
    """How sessions ask: wording, regions, and how many profiles in how many batches."""

    prompts: Prompts
    space: Space
    settings: ModelSettings
    batch: int = 10
    batches: int = 3

    @property
    def size(self) -> int:
        """The profiles that a session asks for."""
        return self.batch * self.batches

    def persons(self, number: int) -> list[Person]:
        """Who is asked for in session `number`."""
        first = (number - 1) * self.size + 1
        return [self.space.person(position) for position in range(first, first + self.size)]

    @property
    def context_tokens(self) -> int:
        return self.settings.context_tokens or _CONTEXT_TOKENS


def session_id(number: int) -> str:
    """The item of session `number` (from 1) in the journal."""
    return f"session-{number:06}"


def profiles_schema(keys: Sequence[str]) -> ReplySchema:
    """What a structured reply has to look like."""
    one = {
        "type": "object",
        "properties": {key: {"type": "string"} for key in keys},
        "required": list(keys),
        "additionalProperties": False,
    }
    return ReplySchema(
        "profiles",
        {
            "type": "object",
            "properties": {"profiles": {"type": "array", "items": one}},
            "required": ["profiles"],
            "additionalProperties": False,
        },
    )


def session_stage(
    plan: SessionPlan,
    numbers: Sequence[int],
    finish: Callable[[int, Sequence[Answer]], None],
    is_wanted: Callable[[], bool],
) -> Stage:
    """The stage of these sessions, begun while `is_wanted`.

    `finish` is told of each that ends, before its outcome is recorded.
    """
    prompts = plan.prompts
    return Stage(
        name=STAGE_NAME,
        role="profiles",
        settings=plan.settings,
        items=lambda: (
            StageItem(session_id(n), partial(_told, plan, n, finish))
            for n in takewhile(lambda _: is_wanted(), numbers)
        ),
        identity={
            "profiles.version": VERSION,
            "profiles.language": prompts.version.language,
            "profiles.batch": plan.batch,
            "profiles.batches": plan.batches,
            "profiles.attempts": ATTEMPTS,
            "profiles.regions": plan.space.identity,
            **prompts.identity,
        },
        schema=profiles_schema(prompts.version.keys),
        noun="sessions",
    )


def _told(plan: SessionPlan, number: int, finish: Callable[[int, Sequence[Answer]], None]) -> Steps:
    answers: list[Answer] = []
    try:
        end = yield from ask_session(plan, number, answers)
    except CallFailed:
        finish(number, answers)
        raise
    finish(number, answers)
    return end


def ask_session(plan: SessionPlan, number: int, answers: list[Answer]) -> Steps:
    """Ask for all batches; what is read goes into `answers`. One that brought something does not fail."""
    prompts, people = plan.prompts, plan.space.region(number)
    persons = [person.line for person in plan.persons(number)]
    room = (plan.context_tokens - plan.settings.max_tokens) * _BYTES_PER_TOKEN
    messages: list[tuple[str, str]] = []
    said: list[str] = []
    for position in range(plan.batches):
        first = position * plan.batch
        asked = persons[first : first + plan.batch]
        anew = [("user", prompts.reminder(first + 1, people, asked, said[-_SAID:]))]
        if not messages:
            messages = [("user", prompts.request(people, asked))]
        else:
            messages.append(("user", prompts.more(first + 1, asked)))
            if size_of(messages) > room:
                messages = anew
        try:
            text = yield from _ask_batch(plan, f"batch-{position + 1}", messages, anew, answers)
        except CallFailed as failure:
            if not any(answer.read.profiles for answer in answers):
                raise
            return End(INCOMPLETE, _note(position, failure.reason))
        if text is None:
            return End(INCOMPLETE, _note(position, "unread"))
        said.extend(map(_in_short, answers[-1].read.profiles))
        messages.append(("assistant", text))
    return End()


def _ask_batch(
    plan: SessionPlan,
    step: str,
    messages: list[tuple[str, str]],
    anew: list[tuple[str, str]],
    answers: list[Answer],
) -> Generator[Ask, Reply, str | None]:
    """One batch, asked again while nothing can be read; the reply's text, or None where nothing ever could.

    Where the server says that the context is full, the next attempt begins anew.
    """
    for attempt in range(ATTEMPTS):
        try:
            reply = yield Ask(step, tuple(messages), attempt)
        except CallFailed as failure:
            if failure.reason != "context_full" or messages[0] == anew[0] or attempt == ATTEMPTS - 1:
                raise
            messages[:] = anew
            continue
        read = read_reply(reply, plan.prompts.version.aspects)
        answers.append(Answer(step, attempt, read))
        if read.profiles:
            return reply.text
    return None


def recorded_answers(plan: SessionPlan, recorded: Recorded) -> list[Answer]:
    """What an ended session's journalled replies hold, in the order of asking."""
    return [
        Answer(call.step, call.attempt, read_reply(decode_recorded(call.reply), plan.prompts.version.aspects))
        for call in recorded.calls
        if call.kind == CallKind.REPLY
    ]


def size_of(messages: Iterable[tuple[str, str]]) -> int:
    """Bytes of the messages' contents as JSON."""
    return sum(len(orjson.dumps(content)) for _, content in messages)


def _in_short(profile: Mapping[str, str]) -> str:
    """A person in a few words, for the reminder."""
    words = [profile[key] for key in ("gender", "age", "occupation") if key in profile]
    return ", ".join(words or list(profile.values())[:2])[:80]


def _note(position: int, reason: str) -> str:
    return orjson.dumps({"batches": position, "reason": reason}).decode()
