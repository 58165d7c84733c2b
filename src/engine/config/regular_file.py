"""Files that people name must be regular ones: to open a pipe that nobody writes to would wait for ever."""

from __future__ import annotations

import stat
from pathlib import Path

from engine.errors import EngineError

_KINDS = {
    stat.S_IFIFO: "a named pipe", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}  # fmt: skip


def refuse_special(path: Path, error: type[EngineError]) -> None:
    """Raise `error` where `path` is there and is no regular file; a folder is left to whoever opens it."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return  # whoever opens it says so
    if (kind := _KINDS.get(stat.S_IFMT(mode))) is not None:
        raise error(f"{path}: is {kind}, not a regular file: write its content to a file, and name that.")
