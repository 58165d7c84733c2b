"""The endpoints that a command's calls go to, and the event loop that it runs on.

The configured ones, or else one of the engine's own, served for as long as the command works.
"""

from __future__ import annotations

import importlib.util
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from anyio import to_thread
from anyio.abc import TaskGroup

from engine.config.endpoint_settings import EndpointSettings, LimitSettings
from engine.config.matrix import variants_of
from engine.config.settings import RunConfig
from engine.on_use import ModuleOnUse

# A run that asks a server needs neither of these.
if TYPE_CHECKING:
    from engine.local import server as local_server
    from engine.local import weights as local_weights
    from engine.rehearsal import server as rehearsal_server
    from engine.rehearsal import settings as rehearsal_settings
else:
    local_server = ModuleOnUse("engine.local.server")
    local_weights = ModuleOnUse("engine.local.weights")
    rehearsal_server = ModuleOnUse("engine.rehearsal.server")
    rehearsal_settings = ModuleOnUse("engine.rehearsal.settings")


@asynccontextmanager
async def serving_endpoints(
    config: RunConfig, group: TaskGroup
) -> AsyncIterator[Mapping[str, EndpointSettings]]:
    """The configured endpoints, or one of the engine's own under every name that a stage uses."""
    asking = [*config.stages.values(), *(variant.settings for variant in variants_of(config))]
    names = {name for settings in asking for name in settings.endpoint_names}
    if config.endpoints:
        yield config.endpoints
    elif config.local is not None:
        local = config.local
        model = (
            local.model if local.model is not None else await to_thread.run_sync(local_weights.ensure_weights)
        )
        async with local_server.serve_local(
            model, slots=local.slots, context_tokens=local.context_tokens, exact=local.exact
        ) as server:
            group.start_soon(server.watch)
            # Requests beyond the slots would only wait in the server's queue, against their deadline.
            limits = LimitSettings(max_in_flight=local.slots)
            settings = EndpointSettings(base_url=server.base_url, limits=limits)
            yield dict.fromkeys(names, settings)
            group.cancel_scope.cancel()
    else:
        section = config.rehearsal
        rehearsed = rehearsal_settings.RehearsalSettings(
            defect_rate=section.defect_rate, judge_error_rate=section.judge_error_rate,
            delay=rehearsal_settings.Fixed(section.latency_s), run_seed=config.seed,
        )  # fmt: skip
        async with rehearsal_server.serve(rehearsed) as embedded:
            yield dict.fromkeys(names, EndpointSettings(base_url=embedded.base_url))


def loop_options() -> dict[str, object]:
    """What `anyio.run` is given: uvloop where it is installed."""
    return {"use_uvloop": importlib.util.find_spec("uvloop") is not None}
