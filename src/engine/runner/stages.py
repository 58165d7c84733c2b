"""Several stages of one run in one process, one after the other: one lock, one set of endpoints and limits.

All stages are looked at before the first call, so that what is refused is refused while nothing is paid. A
later stage may ask about what an earlier one brought: its items are read when its turn comes.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.clock import Clock
from engine.config.endpoint_settings import EndpointSettings
from engine.config.settings import RunConfig
from engine.errors import EngineError
from engine.logs import EventLog
from engine.runner.progress import RunProgress
from engine.runner.session import open_session
from engine.runner.stage import Stage, StageResult, open_stage, work_on_stage


@dataclass(frozen=True, slots=True)
class StagesResult:
    """One result per stage that was begun. `stopped_by` is as in `RunResult`."""

    stages: tuple[StageResult, ...]
    stopped_by: EngineError | int | None
    duration_s: float


async def work_on_stages(
    folder: Path,
    config: RunConfig,
    endpoints: Mapping[str, EndpointSettings],
    stages: Sequence[Stage],
    *,
    clock: Clock,
    progress: RunProgress,
    log: EventLog,
    retry_failed: bool = False,
    limit: int | None = None,
    guards_disk: bool = True,
) -> StagesResult:
    """Do what has not ended of `stages`, in order, with the run in `folder`; `limit` items of each at most.

    Raises IdentityChanged, RunLocked, ConfigError before any call; a dead journal at any time. A stop, by
    signal or by a used-up quota, is a result, and the same call later goes on.
    """
    results = []
    async with open_session(
        folder, config, endpoints, clock=clock, progress=progress, log=log, guards_disk=guards_disk
    ) as session:
        opened = [await open_stage(session, stage) for stage in stages]
        async with session.at_work():
            for each in opened:
                if not session.drain.is_requested:
                    results.append(await work_on_stage(session, each, retry_failed=retry_failed, limit=limit))
        return StagesResult(tuple(results), session.stopped_by, time.monotonic() - progress.started_at)
