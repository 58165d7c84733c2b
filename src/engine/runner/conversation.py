"""Holds one conversation: asks what the exchange wants asked, and records how it ended."""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from engine.config.matrix import Cell
from engine.errors import CallFailed
from engine.journal.journal import Journal
from engine.llm.caller import Caller, failure_status, reserved_tokens
from engine.llm.exchange import Exchange
from engine.llm.history import NO_HISTORY, History
from engine.llm.pool import Model, Placement
from engine.runner.first_answers import FirstAnswers
from engine.runner.reservations import Reservations
from engine.schema.conversation import STAGE, EndReason, Role


async def hold_conversation(
    exchange: Exchange,
    models: Mapping[Role, Model],
    caller: Caller,
    journal: Journal,
    history: History = NO_HISTORY,
    *,
    first: FirstAnswers[Exchange] | None = None,
    reservations: Reservations | None = None,
    cell: Cell | None = None,
) -> tuple[EndReason, str] | None:
    """Hold the conversation to its end and journal its outcome; returns the end reason and a failure's note.

    Recorded replies in `history` are used without asking. A failed call ends this conversation alone. None:
    `first` holds the outcome back, since the endpoint may refuse all conversations alike. Raises Draining,
    leaving the conversation unfinished, when the run is stopping. `cell` says by which names the sides are
    on record; by default those of a run without a matrix.
    """
    keys = {side: side.value if cell is None else cell.sides[side].key for side in models}
    placements = {side: Placement() for side in models}
    note, is_held_back = "", False
    try:
        while (question := exchange.question) is not None:
            side, model = question.side, models[question.side]
            if reservations is not None:
                tokens = reserved_tokens(question.messages, model.form.max_tokens)
                if reservations.is_most(keys[side], tokens):
                    await reservations.note(keys[side], tokens)
            try:
                answer = await caller.ask(
                    question.key, model, question.messages, cache_key=question.cache_key, history=history,
                    placement=placements[side],
                )  # fmt: skip
            except CallFailed as failure:
                # A conversation that has not begun did not fill its context: its prompts do not fit.
                is_full = failure.reason == "context_full" and bool(exchange.dialogue.turns)
                exchange.end(EndReason.CONTEXT_FULL if is_full else EndReason.FAILED)
                note = orjson.dumps({"step": question.key.step, **failure_status(failure)}).decode()
                if first is not None and (at := placements[side].endpoint) is not None:
                    is_held_back = first.holds_back(exchange, keys[side], at, model.pool, failure, note)
            else:
                exchange.receive(answer.reply, answer.seq)
                if first is not None and (at := placements[side].endpoint) is not None:
                    first.answered(at, keys[side])
    finally:
        for placement in placements.values():
            placement.leave()
    return None if is_held_back else await record_end(exchange, note, journal)


async def record_end(exchange: Exchange, note: str, journal: Journal) -> tuple[EndReason, str]:
    """Journal how a conversation that has ended did so; the end reason and the note."""
    dialogue = exchange.dialogue
    reason = dialogue.end_reason or EndReason.FAILED
    await journal.append_outcome(
        STAGE, exchange.job.job_id, result=reason, note=note, rounds=dialogue.rounds, calls=exchange.seqs
    )
    return reason, note
