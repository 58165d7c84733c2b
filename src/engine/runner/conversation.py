"""Holds one conversation: asks what the exchange wants asked, and records how it ended."""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from engine.errors import CallFailed
from engine.journal.journal import Journal
from engine.llm.caller import NO_HISTORY, Caller, History, failure_status
from engine.llm.exchange import Exchange
from engine.llm.pool import Model, Placement
from engine.schema.conversation import STAGE, EndReason, Role


async def hold_conversation(
    exchange: Exchange,
    models: Mapping[Role, Model],
    caller: Caller,
    journal: Journal,
    history: History = NO_HISTORY,
) -> tuple[EndReason, str]:
    """Hold the conversation to its end and journal its outcome; returns the end reason and a failure's note.

    Recorded replies in `history` are used without asking. A failed call ends this conversation alone.
    Raises Draining, leaving the conversation unfinished, when the run is stopping.
    """
    placements = {side: Placement() for side in models}
    try:
        note = await _ask_until_the_end(exchange, models, placements, caller, history)
    finally:
        for placement in placements.values():
            placement.leave()
    dialogue = exchange.dialogue
    reason = dialogue.end_reason or EndReason.FAILED
    await journal.append_outcome(
        STAGE, exchange.job.job_id, result=reason, note=note, rounds=dialogue.rounds, calls=exchange.seqs
    )
    return reason, note


async def _ask_until_the_end(
    exchange: Exchange,
    models: Mapping[Role, Model],
    placements: Mapping[Role, Placement],
    caller: Caller,
    history: History,
) -> str:
    """Ask until nothing more is to be asked; the note of a failure that ended it, or nothing."""
    note = ""
    while (question := exchange.question) is not None:
        try:
            answer = await caller.ask(
                question.key,
                models[question.side],
                question.messages,
                cache_key=question.cache_key,
                history=history,
                placement=placements[question.side],
            )
        except CallFailed as failure:
            is_full = failure.reason == "context_full"
            exchange.end(EndReason.CONTEXT_FULL if is_full else EndReason.FAILED)
            note = orjson.dumps({"step": question.key.step, **failure_status(failure)}).decode()
        else:
            exchange.receive(answer.reply, answer.seq)
    return note
