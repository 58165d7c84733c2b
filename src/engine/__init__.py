"""Generate task-based recommendation conversations with two LLMs.

These names are the package's surface; everything else may move. They are looked up on first use, so
that importing a part of the engine does not load the whole of it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from engine.version import __version__

if TYPE_CHECKING:
    from engine.config.load import load_config
    from engine.config.settings import RunConfig
    from engine.dataset.build import stream_records
    from engine.errors import EngineError
    from engine.journal.inputs import read_inputs
    from engine.journal.reader import Reader
    from engine.runner.prepare import prepare
    from engine.runner.run import work_on_run

_HOMES = {
    "EngineError": "engine.errors",
    "Reader": "engine.journal.reader",
    "RunConfig": "engine.config.settings",
    "load_config": "engine.config.load",
    "prepare": "engine.runner.prepare",
    "read_inputs": "engine.journal.inputs",
    "stream_records": "engine.dataset.build",
    "work_on_run": "engine.runner.run",
}

__all__ = [
    "EngineError",
    "Reader",
    "RunConfig",
    "__version__",
    "load_config",
    "prepare",
    "read_inputs",
    "stream_records",
    "work_on_run",
]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'engine' has no attribute {name!r}")
