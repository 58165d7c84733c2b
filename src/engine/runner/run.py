"""One process's work on a run: open, compare, replay, ask what is missing, stop in an orderly way.

A first run is a resume from an empty journal (P2). Everything that could refuse the run happens before
the first request: lock, journal, identity, the replay of unfinished conversations, keys.
"""

from __future__ import annotations

import signal
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path

import anyio
import anyio.lowlevel

from engine.clock import Clock
from engine.config.identity import identity_fields, refuse
from engine.config.settings import EndpointSettings, RunConfig
from engine.errors import EngineError
from engine.journal.inputs import RunInputs, check_plan, differences_from, put_inputs
from engine.journal.journal import Journal
from engine.llm.caller import NO_HISTORY, CallCounts, Caller, History
from engine.llm.drain import Drain
from engine.llm.endpoint import Endpoint
from engine.llm.exchange import Exchange
from engine.llm.pool import Model
from engine.logs import EventLog
from engine.runner.adjust import SIGNAL, LiveSettings
from engine.runner.conversation import hold_conversation, record_end
from engine.runner.endpoints import has_answered, open_models, refill_windows
from engine.runner.first_answers import FirstAnswers
from engine.runner.reservations import Reservations
from engine.runner.run_folder import RunFolder
from engine.runner.scheduler import Concurrency, run_jobs
from engine.runner.served_models import ServedModels
from engine.schema.call import call_seed
from engine.schema.conversation import STAGE, EndReason, Role
from engine.schema.job import Job

_LOOKUP = 500


@dataclass(slots=True)
class RunProgress:
    """Where the run is, for whoever looks; written by the run, sampled by the display."""

    planned: int = 0
    already_done: int = 0
    ended: dict[str, int] = field(default_factory=dict)
    started_at: float = field(default_factory=time.monotonic)
    calls: CallCounts = field(default_factory=CallCounts)
    endpoints: dict[str, Endpoint] = field(default_factory=dict)
    drain: Drain | None = None
    live: LiveSettings | None = None

    @property
    def done(self) -> int:
        """Conversations that have ended, in this process or before."""
        return self.already_done + sum(self.ended.values())


@dataclass(frozen=True, slots=True)
class RunResult:
    """How this process's work ended.

    `stopped_by` is the error to report, the number of the signal, or None when all is done.
    """

    ended: Mapping[str, int]
    stopped_by: EngineError | int | None
    duration_s: float


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
    async with AsyncExitStack() as stack:
        # Before the lock and until after it, since the signal would end a process that does not hear it.
        adjustments = stack.enter_context(anyio.open_signal_receiver(SIGNAL))
        drain = Drain()
        journal = await stack.enter_async_context(
            Journal(folder.path, clock, on_low_space=drain.request if guards_disk else None)
        )
        if differences := differences_from(journal.reader, inputs):
            raise refuse(folder.name, differences)
        check_plan(journal.reader, inputs.plan)
        models = await open_models(stack, config, endpoints, clock, progress.endpoints)
        _check_unfinished(journal, inputs, models)
        folder.write_settings(config, identity_fields(config), config_dir)
        await put_inputs(journal, inputs)
        refill_windows(journal.reader, progress.endpoints, clock)
        session = await journal.begin_session(
            concurrency=config.concurrency, settings=_session_settings(config, endpoints)
        )
        caller = Caller(
            journal,
            clock,
            drain,
            run_seed=config.seed,
            attempts=config.retry_attempts,
            give_up_after_s=config.unreachable_after_s,
        )
        progress.planned, progress.calls, progress.drain = len(inputs.plan), caller.counts, drain
        log.event("run.started", run=folder.name, session=session, planned=len(inputs.plan),
                  concurrency=config.concurrency)  # fmt: skip

        concurrency = Concurrency(config.concurrency)
        reservations = Reservations(journal)
        live = LiveSettings(folder, progress.endpoints, concurrency, journal, reservations, log)
        await journal.put_meta("paused", "no")
        progress.live = live

        served = ServedModels(journal, log)
        first = FirstAnswers(drain, partial(has_answered, journal.reader))

        async def note_end(exchange: Exchange, reason: EndReason, note: str) -> None:
            await served.note(exchange)
            progress.ended[reason.value] = progress.ended.get(reason.value, 0) + 1
            if reason is EndReason.FAILED:
                log.event_sparingly("conversation.failed", job_id=exchange.job.job_id, failure=note)

        async def write_released() -> None:
            for held in first.take_released():
                await note_end(held.exchange, *await record_end(held.exchange, held.note, journal))

        async def hold(job: Job) -> None:
            history = NO_HISTORY
            if retry_failed or journal.has_unfinished(STAGE, job.job_id):
                earlier = journal.reader.outcomes(STAGE, [job.job_id]).get(job.job_id)
                history = History(journal.history(STAGE, job.job_id, retried=earlier))
            exchange = Exchange(job, inputs.prompts(job), inputs.rules(job))
            end = await hold_conversation(
                exchange, models, caller, journal, history, first=first, reservations=reservations
            )
            if end is not None:
                await note_end(exchange, *end)
            await write_released()

        signals_seen: list[int] = []
        async with anyio.create_task_group() as group:
            group.start_soon(_drain_on_signals, drain, group.cancel_scope, signals_seen, log)
            group.start_soon(_apply_on_signals, live, adjustments)
            journal.lock.say_ready()
            await run_jobs(
                _jobs_to_do(journal, inputs, progress, retry_failed=retry_failed),
                hold,
                concurrency=concurrency,
                drain=drain,
                drain_s=config.drain_s,
            )
            if not drain.is_requested:
                first.end()
                await write_released()
            group.cancel_scope.cancel()
        stopped_by: EngineError | int | None = None
        if drain.is_requested:
            stopped_by = drain.cause or signals_seen[0]
        await journal.end_session("done" if stopped_by is None else "stopped")
        duration_s = time.monotonic() - progress.started_at
        log.event("run.ended", run=folder.name, session=session, ended=progress.ended,
                  sent=caller.counts.sent, retries=caller.counts.retries, duration_s=round(duration_s, 3),
                  stopped_by=None if stopped_by is None else str(stopped_by))  # fmt: skip
        return RunResult(dict(progress.ended), stopped_by, duration_s)


async def _jobs_to_do(
    journal: Journal, inputs: RunInputs, progress: RunProgress, *, retry_failed: bool
) -> AsyncIterator[Job]:
    """The plan's jobs that have not ended, in plan order; looked up in batches, so that no set is held."""
    jobs = inputs.plan.jobs()
    while batch := list(islice(jobs, _LOOKUP)):
        outcomes = journal.reader.outcomes(STAGE, [job.job_id for job in batch])
        for job in batch:
            outcome = outcomes.get(job.job_id)
            if outcome is None or (retry_failed and outcome.result == EndReason.FAILED):
                yield job
            else:
                progress.already_done += 1
        await anyio.lowlevel.checkpoint()


def _check_unfinished(journal: Journal, inputs: RunInputs, models: Mapping[Role, Model]) -> None:
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
                question.key, models[question.side].form.digest(question.messages, seed=seed)
            )
            if record is None:
                break
            exchange.replay([record])


async def _drain_on_signals(
    drain: Drain, everything: anyio.CancelScope, seen: list[int], log: EventLog
) -> None:
    """First signal: send no more, let the calls in the air land. Second: cancel them."""
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
        async for number in signals:
            log.event("run.signal", signal=int(number), is_first=not drain.is_requested)
            seen.append(int(number))
            if drain.is_requested:
                everything.cancel()
                return
            drain.request()


async def _apply_on_signals(live: LiveSettings, signals: AsyncIterator[signal.Signals]) -> None:
    async for _ in signals:
        await live.apply()


def _session_settings(config: RunConfig, endpoints: Mapping[str, EndpointSettings]) -> str:
    """What this process used that is not identity; holds no key."""
    shown = config.model_copy(update={"endpoints": dict(endpoints)})
    return shown.model_dump_json(include={"endpoints", "transport", "concurrency", "retry_attempts"})
