"""What a command that asks LLMs has around it: served endpoints, a log of events, progress on screen."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, NamedTuple

import anyio

from engine.cli.serving import serving_endpoints
from engine.config.endpoint_settings import EndpointSettings
from engine.config.settings import RunConfig
from engine.logs import EventLog
from engine.on_use import ModuleOnUse
from engine.runner.progress import RunProgress
from engine.runner.run_folder import RunFolder

if TYPE_CHECKING:
    from engine.cli import display
else:
    display = ModuleOnUse("engine.cli.display")


class AtWork(NamedTuple):
    """Where calls go, and where events are written."""

    endpoints: Mapping[str, EndpointSettings]
    log: EventLog


@asynccontextmanager
async def at_work(
    folder: RunFolder, config: RunConfig, progress: RunProgress, *, is_quiet: bool, title: str | None = None
) -> AsyncIterator[AtWork]:
    """Serve, log and show until the block ends; `title` is what the display calls the work."""
    with EventLog(folder.events) as log:
        async with anyio.create_task_group() as group, serving_endpoints(config, group) as endpoints:
            if not is_quiet:
                group.start_soon(display.Display(title or folder.name, progress).show)
            yield AtWork(endpoints, log)
            group.cancel_scope.cancel()
