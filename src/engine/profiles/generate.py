"""Generates a pool: sessions side by side, accepted in order, in rounds until enough profiles are there.

A round holds the sessions that should bring what is still missing, by what sessions brought so far; it ends
early when enough is accepted. Rounds after the first are small. Which sessions a round holds follows from
what was accepted before it, so a run that is stopped and goes on asks the same sessions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path

from engine.clock import Clock
from engine.config.endpoint_settings import EndpointSettings
from engine.config.settings import RunConfig
from engine.errors import EngineError
from engine.journal.reader import Reader
from engine.logs import EventLog
from engine.profiles.acceptance import Acceptance
from engine.profiles.session import (
    STAGE_NAME,
    Answer,
    SessionPlan,
    recorded_answers,
    session_id,
    session_stage,
)
from engine.runner.progress import RunProgress
from engine.runner.session import open_session
from engine.runner.stage import DONE, open_stage, recorded_items, work_on_stage

# What sessions are expected to bring before any has been seen, of what they are asked for.
_FIRST_SHARE = 0.8
_MARGIN = 1.1
# A round this many times as long as its share would have it says that sessions bring next to nothing.
_LONGEST_ROUND = 4
_LOOK_AHEAD = 10_000
# Sessions that wait in memory for an earlier one.
_MOST_WAITING = 256


@dataclass(frozen=True, slots=True)
class Generated:
    """How the work ended: `stopped_by` an error or a signal's number, or None when it is over."""

    sessions_asked: int
    stopped_by: EngineError | int | None


async def generate(
    folder: Path,
    plan: SessionPlan,
    acceptance: Acceptance,
    config: RunConfig,
    endpoints: Mapping[str, EndpointSettings],
    *,
    clock: Clock,
    progress: RunProgress,
    log: EventLog,
    retry_failed: bool = False,
    guards_disk: bool = True,
) -> Generated:
    """Ask until `acceptance` is done. Raises as `work_on_stages`; after a stop the same call goes on."""
    asked = 0
    async with open_session(
        folder, config, endpoints, clock=clock, progress=progress, log=log, guards_disk=guards_disk
    ) as session:
        queue = _InOrder(plan, acceptance, session.journal.reader, retry_failed=retry_failed)
        opened = await open_stage(session, session_stage(plan, (), queue.finish, lambda: False))
        async with session.at_work():
            while not acceptance.is_done and not session.drain.is_requested:
                numbers = queue.begin_round()
                if not numbers:
                    acceptance.gave_up = "every category of the target that sessions are asked for is full"
                    break
                progress.planned += len(numbers)
                stage = session_stage(plan, numbers, queue.finish, lambda: not acceptance.is_done)
                result = await work_on_stage(session, replace(opened, stage=stage), retry_failed=retry_failed)
                asked += sum(result.ended.values())
                queue.advance()
                if not session.drain.is_requested:
                    queue.end_round()
        return Generated(asked, session.stopped_by)


class _InOrder:
    """Hands sessions to the acceptance in their order: as they end, or from the journal where they had."""

    def __init__(
        self, plan: SessionPlan, acceptance: Acceptance, reader: Reader, *, retry_failed: bool
    ) -> None:
        self._plan = plan
        self._acceptance = acceptance
        self._reader = reader
        self._retries = retry_failed
        self._round: list[int] = []
        self._next = 0
        self._last = 0
        self._ended: dict[int, Sequence[Answer]] = {}

    def begin_round(self) -> list[int]:
        """The numbers of the next round's sessions; those that had ended are taken already."""
        acceptance, plan = self._acceptance, self._plan
        missing = acceptance.wanted - acceptance.counts.accepted
        seen = acceptance.counts.sessions
        share = acceptance.counts.accepted / (seen * plan.size) if seen else _FIRST_SHARE
        most = ceil(missing / plan.size) * _LONGEST_ROUND
        size = min(most, ceil(_MARGIN * missing / (max(share, 1e-6) * plan.size)))
        self._round, self._next = [], 0
        for number in range(self._last + 1, self._last + _LOOK_AHEAD):
            if len(self._round) == size:
                break
            if not all(acceptance.is_closed(each.categories) for each in plan.persons(number)):
                self._round.append(number)
        if self._round:
            self._last = self._round[-1]
        self.advance()
        return self._round

    def finish(self, number: int, answers: Sequence[Answer]) -> None:
        """Session `number` has ended. Where many wait for a late one, the journal keeps the others."""
        is_next = self._next < len(self._round) and self._round[self._next] == number
        if is_next or self._retries or len(self._ended) < _MOST_WAITING:
            self._ended[number] = answers
        self.advance()

    def advance(self) -> None:
        """Take every session whose turn has come and that has ended."""
        while self._next < len(self._round) and not self._acceptance.is_done:
            number = self._round[self._next]
            answers = self._ended.pop(number, None)
            if answers is None:
                answers = self._recorded(number)
            if answers is None:
                return
            self._acceptance.take_session(session_id(number), answers)
            self._next += 1

    def end_round(self) -> None:
        """What is left of the round has failed without an outcome, or is not wanted any more."""
        self._ended.clear()

    def _recorded(self, number: int) -> Sequence[Answer] | None:
        for found in recorded_items(self._reader, STAGE_NAME, [session_id(number)]):
            if self._retries and found.outcome.result != DONE:
                return None
            return recorded_answers(self._plan, found)
        return None
