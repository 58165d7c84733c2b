"""One process's work on a run: it holds the run's lock, and its stages share endpoints, limits and drain.

First everything that could refuse is looked at, with nothing sent: the session is open and quiet. Then it is
`at_work`, which the journal knows as a session with a number: signals stop it in an orderly way, and calls
that earlier processes sent within the last minute count against the limits.
"""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import anyio
from anyio.abc import TaskGroup

from engine.clock import Clock
from engine.config.endpoint_settings import EndpointSettings
from engine.config.model_settings import ModelSettings, StageName
from engine.config.settings import RunConfig
from engine.errors import EngineError
from engine.journal.journal import Journal
from engine.llm.caller import Caller
from engine.llm.drain import Drain
from engine.llm.pool import Model
from engine.logs import SECRETS, EventLog
from engine.runner.collecting import rare_collections
from engine.runner.endpoints import open_model, refill_windows
from engine.runner.progress import RunProgress
from engine.runner.reservations import Reservations
from engine.runner.scheduler import Concurrency, run_jobs
from engine.runner.spending import open_budget
from engine.wire.reply_schema import ReplySchema

# In the journal's `meta`: the words in which the last session said why it stopped; empty where it did not.
STOPPED_BECAUSE = "stopped_because"

JobT = TypeVar("JobT")


@dataclass(slots=True)
class Session:
    """The run is held; made by `open_session`. `signals` lists what stopped it, the first one first."""

    journal: Journal
    config: RunConfig
    endpoints: Mapping[str, EndpointSettings]
    clock: Clock
    drain: Drain
    caller: Caller
    progress: RunProgress
    log: EventLog
    stack: AsyncExitStack
    concurrency: Concurrency
    reservations: Reservations
    again: str
    asked: list[ModelSettings] = field(default_factory=list)
    signals: list[int] = field(default_factory=list)

    async def open_model(
        self, stage: StageName, settings: ModelSettings | None = None, schema: ReplySchema | None = None
    ) -> Model:
        """The model of a stage, on this session's endpoints; by default with the configured settings."""
        settings = settings or self.config.stages.get(stage)
        if settings is not None:
            self.asked.append(settings)
        return await open_model(
            self.stack, stage, settings, self.config, self.endpoints,
            self.clock, self.progress.endpoints, schema,
        )  # fmt: skip

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[TaskGroup]:
        """Within the block calls may be sent. What it raises comes in an exception group.

        The task group is for whatever else listens meanwhile; it is cancelled at the end of the block.
        """
        refill_windows(self.journal.reader, self.config, self.progress.endpoints, self.clock)
        self.caller.budget = self.progress.budget = await open_budget(
            self.journal, self.config, self.asked, self.endpoints, again=self.again
        )
        await self.journal.begin_session(
            concurrency=self.concurrency.wanted, settings=_session_settings(self.config, self.endpoints)
        )
        with rare_collections():
            async with anyio.create_task_group() as group:
                await group.start(self._drain_on_signals)
                yield group
                group.cancel_scope.cancel()
        stop = self.stopped_by
        # For whoever looks at the run in the morning: nothing else of it says why it stopped.
        why = SECRETS.hide(str(stop)) if isinstance(stop, EngineError) else ""
        await self.journal.put_meta(STOPPED_BECAUSE, why)
        await self.journal.end_session("done" if stop is None else "stopped")

    async def run_jobs(self, jobs: AsyncIterator[JobT], work: Callable[[JobT], Awaitable[None]]) -> None:
        """Do `work` for each of `jobs`, as `scheduler.run_jobs`; ended early by a stop."""
        await run_jobs(
            jobs, work, concurrency=self.concurrency, drain=self.drain, drain_s=self.config.drain_s
        )

    @property
    def stopped_by(self) -> EngineError | int | None:
        """The error or the signal's number that stopped the work; None where nothing did."""
        if not self.drain.is_requested:
            return None
        return self.drain.cause or self.signals[0]

    async def _drain_on_signals(
        self, *, task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED
    ) -> None:
        """First signal: send no more, let the calls in the air land. Second: cancel them."""
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
            task_status.started()
            async for number in signals:
                self.log.event("run.signal", signal=int(number), is_first=not self.drain.is_requested)
                self.signals.append(int(number))
                if self.drain.is_requested:
                    self.drain.cut.set()
                    return
                self.drain.request()

    def __repr__(self) -> str:
        return f"Session({self.journal!r}, {self.progress.done}/{self.progress.planned}, {self.drain!r})"


@asynccontextmanager
async def open_session(
    folder: Path,
    config: RunConfig,
    endpoints: Mapping[str, EndpointSettings],
    *,
    clock: Clock,
    progress: RunProgress,
    log: EventLog,
    guards_disk: bool = True,
    again: str = "the same command with",
) -> AsyncIterator[Session]:
    """Hold the run in `folder` and open its journal. Raises RunLocked; nothing is written or sent yet.

    `again` is the command that goes on after a stop for money.
    """
    drain = Drain()
    async with AsyncExitStack() as stack:
        journal = await stack.enter_async_context(
            Journal(folder, clock, on_low_space=drain.request if guards_disk else None)
        )
        caller = Caller(
            journal,
            clock,
            drain,
            run_seed=config.seed,
            attempts=config.retry_attempts,
            give_up_after_s=config.unreachable_after_s,
        )
        progress.calls, progress.drain = caller.counts, drain
        yield Session(
            journal, config, endpoints, clock, drain, caller, progress, log, stack,
            Concurrency(config.concurrency), Reservations(journal), again,
        )  # fmt: skip


def _session_settings(config: RunConfig, endpoints: Mapping[str, EndpointSettings]) -> str:
    """What this process used that is not identity; holds no key."""
    shown = config.model_copy(update={"endpoints": dict(endpoints)})
    return shown.model_dump_json(include={"endpoints", "transport", "concurrency", "retry_attempts"})
