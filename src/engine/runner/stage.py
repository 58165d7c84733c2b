"""A stage asks LLMs about items: the same journal, caller, limits, drain and resume for whatever is asked.

An item is a generator: it yields questions and is sent replies, so that it holds no I/O and a replay drives
the same code as the first run. A call that fails is thrown into it as CallFailed; an item that lets it
through has failed, alone. Every stage of a run has a name, an identity and an order of items of its own in
the run's journal; what is done is looked up in batches along it, so memory grows with the concurrency.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import islice
from typing import NamedTuple

import anyio.lowlevel
import orjson

from engine.config.identity import canonical, compare, model_fields, refuse
from engine.config.model_settings import ModelSettings, StageName
from engine.errors import CallFailed
from engine.journal.journal import Journal
from engine.journal.reader import Reader
from engine.llm.caller import Answer, failure_status, reserved_tokens
from engine.llm.history import NO_HISTORY, History
from engine.llm.pool import Model, Placement
from engine.runner.first_answers import FirstAnswers
from engine.runner.session import Session
from engine.schema.call import CallKey, CallKind, CallRecord, OutcomeRecord, Reply
from engine.wire.formats import decode_recorded
from engine.wire.message_log import MessageLog
from engine.wire.reply_schema import ReplySchema

DONE, FAILED = "done", "failed"
# Items wait in memory with what they ask about, so fewer are looked up at a time than conversations.
_LOOKUP = 64
_PLAIN = re.compile(r"[A-Za-z0-9_.:/@-]{1,120}")


class Ask(NamedTuple):
    """One question: (role, content) messages. An attempt above 0 asks a step again, under another seed."""

    step: str
    messages: Sequence[tuple[str, str]]
    attempt: int = 0


class End(NamedTuple):
    """How an item ended, for its outcome row: a word, and a note (JSON) for whoever reads the results."""

    result: str = DONE
    note: str = ""


Steps = Generator[Ask, Reply, End]


@dataclass(frozen=True, slots=True)
class StageItem:
    """One item: `start` begins it anew each time. It is a function of the item alone (P8)."""

    item_id: str
    start: Callable[[], Steps] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Stage:
    """What is asked, of whom, and what decides it.

    `name` is the stage's key in the journal, unique within the run, such as `intent@judge-a`. `role` says
    which of the configuration's stages the model belongs to. `items` gives all items in the stage's
    order, anew at each call; a later session may have more of them. `identity` holds whatever
    decides content beside the model's parameters and the seed: digests of templates, versions, options.
    """

    name: str
    role: StageName
    settings: ModelSettings
    items: Callable[[], Iterable[StageItem]] = field(repr=False)
    identity: Mapping[str, object]
    schema: ReplySchema | None = None
    noun: str = "items"


@dataclass(slots=True)
class StageResult:
    """What came of a stage in this session; `already_done` had ended before."""

    name: str
    already_done: int = 0
    ended: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OpenStage:
    """A stage that nothing speaks against: it may be worked on."""

    stage: Stage
    model: Model
    fields: Mapping[str, str]


async def open_stage(session: Session, stage: Stage) -> OpenStage:
    """Look for whatever would refuse the stage. Raises IdentityChanged or ConfigError; nothing was sent."""
    fields = identity_of(stage, session.config.seed)
    check_identity(session.journal.reader, stage.name, fields)
    model = await session.open_model(stage.role, stage.settings, stage.schema)
    return OpenStage(stage, model, fields)


def identity_of(stage: Stage, seed: int) -> dict[str, str]:
    """Everything that decides the stage's content, field by field."""
    return canonical({"seed": seed, **model_fields(stage.settings), **stage.identity})


def check_identity(reader: Reader, name: str, fields: Mapping[str, str]) -> None:
    """Raise IdentityChanged, with each difference, where the run has done this stage with other content."""
    stored = reader.identity(name)
    if stored and (differences := compare(stored, fields, kind=f"{name}: ")):
        raise refuse(reader.path.parent.name, differences)


async def work_on_stage(
    session: Session, opened: OpenStage, *, retry_failed: bool = False, limit: int | None = None
) -> StageResult:
    """Do every item that has not ended, or the first `limit` items; within `session.at_work()`.

    Stopped by a drain it returns with what has ended; the rest is taken up by the next session.
    """
    stage, journal, progress = opened.stage, session.journal, session.progress
    await journal.put_identity(stage.name, opened.fields)
    result = StageResult(stage.name)
    first: FirstAnswers[tuple[str, End, list[int]]] = FirstAnswers(
        session.drain, lambda endpoint, _: _has_answered(journal.reader, stage.name, endpoint)
    )

    async def record(item_id: str, end: End, seqs: Sequence[int]) -> None:
        await journal.append_outcome(
            stage.name, item_id, result=end.result, note=end.note, rounds=0, calls=seqs
        )
        result.ended[end.result] = result.ended.get(end.result, 0) + 1
        progress.count(end.result)
        if end.result == FAILED:
            session.log.event_sparingly("stage.failed", stage=stage.name, item=item_id, failure=end.note)

    async def write_released() -> None:
        for released in first.take_released():
            await record(*released.held)

    async def work(item: StageItem) -> None:
        history = NO_HISTORY
        if retry_failed or journal.has_unfinished(stage.name, item.item_id):
            earlier = journal.reader.outcomes(stage.name, [item.item_id]).get(item.item_id)
            history = History(journal.history(stage.name, item.item_id, retried=earlier))
        held = await _ask_item(session, opened, item, history, first)
        if held is not None:
            await record(*held)
        await write_released()

    session.log.event("stage.started", stage=stage.name, session=journal.session)
    await session.run_jobs(
        _items_to_do(journal, stage, session, result, retry_failed=retry_failed, limit=limit), work
    )
    if not session.drain.is_requested:
        first.end()
        await write_released()
    session.log.event("stage.ended", stage=stage.name, ended=result.ended)
    return result


async def _ask_item(
    session: Session,
    opened: OpenStage,
    item: StageItem,
    history: History,
    first: FirstAnswers[tuple[str, End, list[int]]],
) -> tuple[str, End, list[int]] | None:
    """Ask what the item wants asked; what its outcome row says, or None where it is held back."""
    stage, model = opened.stage, opened.model
    placement = Placement()
    cache_key = _cache_key(stage.name, item.item_id)
    steps, seqs = item.start(), list[int]()

    async def ask(question: Ask) -> Answer:
        messages = MessageLog()
        messages.extend(question.messages)
        key = CallKey(stage.name, item.item_id, question.step, question.attempt)
        await session.reservations.note(stage.name, reserved_tokens(messages, stage.settings.max_tokens))
        return await session.caller.ask(
            key, model, messages, cache_key=cache_key, history=history, placement=placement
        )

    question: Ask | None = None
    try:
        question = next(steps)
        while True:
            try:
                answer = await ask(question)
            except CallFailed as failure:
                endpoint = placement.endpoint
                try:
                    question = steps.throw(failure)
                except CallFailed as unhandled:
                    note = {"step": question.step, **failure_status(unhandled)}
                    held = (item.item_id, End(FAILED, orjson.dumps(note).decode()), seqs)
                    is_held_back = endpoint is not None and first.holds_back(
                        held, stage.role, endpoint, model.pool, failure, held[1].note
                    )
                    return None if is_held_back else held
            else:
                seqs.append(answer.seq)
                if placement.endpoint is not None:
                    first.answered(placement.endpoint, stage.role)
                question = steps.send(answer.reply)
    except StopIteration as stop:
        end: End = stop.value
        return item.item_id, end, seqs
    finally:
        steps.close()
        placement.leave()


async def _items_to_do(
    journal: Journal,
    stage: Stage,
    session: Session,
    result: StageResult,
    *,
    retry_failed: bool,
    limit: int | None,
) -> AsyncIterator[StageItem]:
    items = islice(stage.items(), limit)
    while batch := list(islice(items, _LOOKUP)):
        outcomes = journal.reader.outcomes(stage.name, [item.item_id for item in batch])
        for item in batch:
            outcome = outcomes.get(item.item_id)
            if outcome is None or (retry_failed and outcome.result != DONE):
                yield item
            else:
                result.already_done += 1
                session.progress.already_done += 1
        await anyio.lowlevel.checkpoint()


class Recorded(NamedTuple):
    """An item of a stage as the journal has it: its outcome, and its replies in the order of asking."""

    outcome: OutcomeRecord
    calls: list[CallRecord]


def recorded_items(reader: Reader, stage: str, items: Iterable[str]) -> Iterator[Recorded]:
    """What the journal holds of those of `items` that have ended, in their order; looked up in batches."""
    names = iter(items)
    while batch := list(islice(names, _LOOKUP)):
        outcomes = reader.outcomes(stage, batch)
        for name in batch:
            if (outcome := outcomes.get(name)) is not None:
                yield Recorded(outcome, reader.calls(outcome.calls))


def replay_item(item: StageItem, calls: Iterable[CallRecord]) -> End:
    """Drive the item from its recorded replies, without asking. A step without one fails, as it did then."""
    replies = {(call.step, call.attempt): call for call in calls if call.kind == CallKind.REPLY}
    steps = item.start()
    try:
        question = next(steps)
        while True:
            record = replies.get((question.step, question.attempt))
            if record is None:
                question = steps.throw(CallFailed("unanswered", f"{item.item_id}: {question.step}"))
            else:
                question = steps.send(decode_recorded(record.reply))
    except StopIteration as stop:
        end: End = stop.value
        return end
    except CallFailed as failure:
        return End(FAILED, str(failure))
    finally:
        steps.close()


def _has_answered(reader: Reader, stage: str, endpoint: str) -> bool:
    return any(
        call.kind == CallKind.REPLY and call.endpoint == endpoint for call in reader.call_facts_from(stage, 1)
    )


def _cache_key(stage: str, item_id: str) -> str:
    """What names the item to a provider's cache: it stands in the request as it is, without escaping."""
    key = f"{item_id}/{stage}"
    if _PLAIN.fullmatch(key):
        return key
    return blake2b(key.encode("utf-8", "replace"), digest_size=16).hexdigest()
