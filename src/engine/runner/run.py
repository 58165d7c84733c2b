"""One process's work on a run's conversations: compare, replay, ask what is missing, stop in an orderly way.

A first run is a resume from an empty journal (P2). Everything that could refuse the run happens before
the first request: lock, journal, identity, the replay of unfinished conversations, keys.
"""

from __future__ import annotations

import signal
import time
from collections.abc import AsyncIterator, Mapping
from functools import partial
from itertools import islice
from pathlib import Path

import anyio
import anyio.lowlevel
import orjson

from engine.clock import Clock
from engine.config.endpoint_settings import EndpointSettings
from engine.config.identity import identity_fields, refuse
from engine.config.matrix import cells_of, variants_of
from engine.config.run_address import run_address
from engine.journal.inputs import RunInputs, check_plan, differences_from, put_inputs
from engine.journal.journal import Journal
from engine.llm.exchange import Exchange
from engine.llm.history import NO_HISTORY, History
from engine.llm.pool import Model
from engine.logs import EventLog
from engine.runner.adjust import SIGNAL, LiveSettings
from engine.runner.conversation import hold_conversation, record_end
from engine.runner.endpoints import has_answered, open_models
from engine.runner.first_answers import FirstAnswers
from engine.runner.progress import RunProgress, RunResult
from engine.runner.run_folder import RunFolder
from engine.runner.served_models import ServedModels
from engine.runner.session import Session, open_session
from engine.schema.call import call_seed
from engine.schema.conversation import STAGE, EndReason, Role
from engine.schema.job import Job

_LOOKUP = 500


async def work_on_run(
    folder: RunFolder,
    inputs: RunInputs,
    endpoints: Mapping[str, EndpointSettings],
    *,
    clock: Clock,
    progress: RunProgress,
    log: EventLog,
    config_dir: Path | None = None,
    retry_failed: bool = False,
    guards_disk: bool = True,
) -> RunResult:
    """Hold every conversation of the plan that has not ended yet.

    Raises IdentityChanged, RunLocked, ConfigError and their kin before any call; a dead journal (DiskFull,
    CannotWrite) at any time. A stop, by signal or by a used-up quota, is a result.
    """
    config = inputs.config
    # Heard before the lock is taken and until after it, since the signal would end a process that does not.
    with anyio.open_signal_receiver(SIGNAL) as adjustments:
        async with open_session(
            folder.path, config, endpoints,
            clock=clock, progress=progress, log=log, guards_disk=guards_disk,
            again=f"engine resume {run_address(folder.path)}",
        ) as session:  # fmt: skip
            journal = session.journal
            if differences := differences_from(journal.reader, inputs):
                raise refuse(folder.name, differences)
            check_plan(journal.reader, inputs.plan)
            models = await open_models(session.stack, config, endpoints, clock, progress.endpoints)
            session.asked += [each.settings for each in variants_of(config)]
            _check_unfinished(journal, inputs, models)
            folder.write_settings(config, identity_fields(config), config_dir)
            await put_inputs(journal, inputs)
            progress.planned = len(inputs.plan)
            async with session.at_work() as group:
                log.event("run.started", run=folder.name, session=journal.session,
                          planned=progress.planned, concurrency=config.concurrency)  # fmt: skip
                live = LiveSettings(
                    folder, progress.endpoints, session.concurrency, journal, session.reservations, log,
                    session.caller.budget,
                )  # fmt: skip
                await journal.put_meta("paused", "no")
                progress.live = live
                group.start_soon(_apply_on_signals, live, adjustments)
                journal.lock.say_ready()
                await _hold_all(session, inputs, models, retry_failed=retry_failed)
            stopped_by = session.stopped_by
            duration_s = time.monotonic() - progress.started_at
            counts = session.caller.counts
            log.event("run.ended", run=folder.name, session=journal.session, ended=progress.ended,
                      sent=counts.sent, retries=counts.retries, duration_s=round(duration_s, 3),
                      stopped_by=None if stopped_by is None else str(stopped_by))  # fmt: skip
            return RunResult(dict(progress.ended), stopped_by, duration_s)


async def _hold_all(
    session: Session,
    inputs: RunInputs,
    models: Mapping[str, Mapping[Role, Model]],
    *,
    retry_failed: bool,
) -> None:
    """Hold what has not ended, and journal how each conversation did."""
    journal, progress, log = session.journal, session.progress, session.log
    served = ServedModels(journal, log)
    answered = partial(has_answered, cells_of(inputs.config), journal.reader)
    first: FirstAnswers[Exchange] = FirstAnswers(session.drain, answered)

    async def note_end(exchange: Exchange, reason: EndReason, note: str) -> None:
        await served.note(exchange, inputs.cell(exchange.job))
        progress.count(reason.value)
        if reason is EndReason.FAILED:
            log.event_sparingly("conversation.failed", job_id=exchange.job.job_id, failure=note)

    async def write_released() -> None:
        for released in first.take_released():
            await note_end(released.held, *await record_end(released.held, released.note, journal))

    async def hold(job: Job) -> None:
        history = NO_HISTORY
        if retry_failed or journal.has_unfinished(STAGE, job.job_id):
            earlier = journal.reader.outcomes(STAGE, [job.job_id]).get(job.job_id)
            history = History(journal.history(STAGE, job.job_id, retried=earlier))
        exchange = Exchange(job, inputs.prompts(job), inputs.rules(job))
        end = await hold_conversation(
            exchange,
            models[job.cell],
            session.caller,
            journal,
            history,
            first=first,
            reservations=session.reservations,
            cell=inputs.cell(job),
        )
        if end is not None:
            await note_end(exchange, *end)
        await write_released()

    await session.run_jobs(_jobs_to_do(journal, inputs, progress, retry_failed=retry_failed), hold)
    if not session.drain.is_requested:
        first.end()
        await write_released()


async def _jobs_to_do(
    journal: Journal, inputs: RunInputs, progress: RunProgress, *, retry_failed: bool
) -> AsyncIterator[Job]:
    """The plan's jobs that have not ended, in plan order; looked up in batches, so that no set is held."""
    jobs = inputs.plan.jobs()
    while batch := list(islice(jobs, _LOOKUP)):
        ids = [job.job_id for job in batch]
        endings = journal.reader.endings(STAGE, ids)
        for job, job_id in zip(batch, ids, strict=True):
            ending = endings.get(job_id)
            if ending is None or (retry_failed and _has_failed(*ending)):
                yield job
            else:
                progress.already_done += 1
        await anyio.lowlevel.checkpoint()


def _has_failed(result: str, note: str) -> bool:
    """Whether a call failed that may succeed now: of the conversation, or of what was asked after its end."""
    if result == EndReason.FAILED:
        return True
    return bool(note) and orjson.loads(note)["reason"] != "context_full"


def _check_unfinished(
    journal: Journal, inputs: RunInputs, models: Mapping[str, Mapping[Role, Model]]
) -> None:
    """Replay every unfinished conversation without a call; raises IdentityChanged at the first difference."""
    index = inputs.plan.index()
    for item in journal.unfinished_items(STAGE):
        job = index.find(item)
        if job is None:
            continue  # outside the plan of this time
        earlier = journal.reader.outcomes(STAGE, [item]).get(item)
        history = History(journal.history(STAGE, item, retried=earlier))
        exchange = Exchange(job, inputs.prompts(job), inputs.rules(job))
        while (question := exchange.question) is not None:
            seed = call_seed(inputs.config.seed, question.key)
            record = history.find(
                question.key, models[job.cell][question.side].form.digest(question.messages, seed=seed)
            )
            if record is None:
                break
            exchange.replay([record])


async def _apply_on_signals(live: LiveSettings, signals: AsyncIterator[signal.Signals]) -> None:
    async for _ in signals:
        await live.apply()
