"""The lock of a run's folder: one process at a time works on it, and others learn which.

The lock is a `flock` on `run.lock`, which the system takes away with its process, however that ends, and one
on the folder itself, which holds where somebody removes the file as a stale one. The file's text says who
holds it: the process id, and `ready` once that process hears SIGUSR1 and has written its settings. The text
may be older than the lock, so nobody is sent a signal who has not the file open.
"""

from __future__ import annotations

import fcntl
import os
import stat
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from engine.config.run_address import run_address
from engine.errors import CannotWrite, RunLocked

LOCK_NAME = "run.lock"
_READY = "ready"
# A reader's look holds the lock for microseconds; it must not look like a worker.
_LOOKS = 5
_BETWEEN_LOOKS_S = 0.01


class RunLock:
    """The right to work on the run in `folder`; raises RunLocked where another process has it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: int | None = None
        self._on_folder: int | None = None

    def take(self) -> None:
        """Take the lock, making the folder where it is missing. Raises RunLocked or CannotWrite."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _sync_folder(self._folder.parent)
            on_folder = os.open(self._folder, os.O_RDONLY | os.O_CLOEXEC)
            file = os.open(self._folder / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise CannotWrite(
                f"{self._folder}: cannot be written ({error.strerror}). Choose another folder "
                "or mend its rights."
            ) from error
        if not _lock_exclusively(file) or not _lock_exclusively(on_folder):
            holder = os.pread(file, 32, 0).decode("ascii", "replace").partition("\n")[0]
            os.close(file)
            os.close(on_folder)
            raise RunLocked(
                f"run {self._folder.name} is being worked on by another process"
                f"{f' (pid {holder})' if holder else ''}; a second one would pay for its calls again. "
                f"`engine status {run_address(self._folder)}` shows how far it is."
            )
        self._file, self._on_folder = file, on_folder
        self._say(f"{os.getpid()}\n")

    def say_ready(self) -> None:
        """Say that this process hears SIGUSR1 and that what it finds in `run.yaml` then is what counts."""
        self._say(f"{os.getpid()}\n{_READY}\n")

    def release(self) -> None:
        """Give the lock back. Safe to call twice."""
        for held in (self._file, self._on_folder):
            if held is not None:
                os.close(held)
        self._file = self._on_folder = None

    def _say(self, text: str) -> None:
        assert self._file is not None
        os.truncate(self._file, 0)
        os.pwrite(self._file, text.encode(), 0)

    def __repr__(self) -> str:
        return f"RunLock({self._folder.name}, {'not ' if self._file is None else ''}held)"


@dataclass(frozen=True, slots=True)
class Holder:
    """The process that works on a run. `pid` is None where it cannot be told for certain."""

    pid: int | None
    is_ready: bool


def is_held(folder: Path) -> bool:
    """Whether a process works on the run at this moment."""
    return _is_locked(folder / LOCK_NAME) or _is_locked(folder)


def find_holder(folder: Path) -> Holder | None:
    """Who works on the run; None where nobody does."""
    if not is_held(folder):
        return None
    try:
        lines = (folder / LOCK_NAME).read_text("ascii", "replace").splitlines()
    except FileNotFoundError:  # somebody removed it
        return Holder(None, False)
    pid = int(lines[0]) if lines and lines[0].isdigit() else None
    if pid is not None and not _has_open(pid, folder / LOCK_NAME):
        pid = None
    return Holder(pid, _READY in lines[1:])


def _has_open(pid: int, path: Path) -> bool:
    """Whether process `pid` has this very file open; where the system does not tell, whether it lives."""
    descriptors = Path(f"/proc/{pid}/fd")
    if not Path("/proc/self/fd").is_dir():
        with suppress(OSError):
            os.kill(pid, 0)
            return True
        return False
    wanted = path.stat()
    try:
        names = list(descriptors.iterdir())
    except OSError:  # gone, or another user's
        return False
    for name in names:
        with suppress(OSError):
            if os.path.samestat(name.stat(), wanted):
                return True
    return False


def _sync_folder(folder: Path) -> None:
    """Put a new run's name on disk: SQLite syncs the run's folder, and nobody else the one above it."""
    with suppress(OSError):  # some file systems sync no folders
        file = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(file)
        finally:
            os.close(file)


def _lock_exclusively(file: int) -> bool:
    for look in range(_LOOKS):
        if look:
            time.sleep(_BETWEEN_LOOKS_S)
        with suppress(BlockingIOError):
            return _lock(file, fcntl.LOCK_EX)
    return False


def _is_locked(path: Path) -> bool:
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        # Shared and given back at once: another reader never makes a worker's lock fail for long.
        _lock(file, fcntl.LOCK_SH)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False


def _lock(file: int, how: int) -> bool:
    """True; raises BlockingIOError where another process has it, or no lock can be had on a file."""
    try:
        fcntl.flock(file, how | fcntl.LOCK_NB)
    except OSError as error:
        # Some network file systems lock files and no folders.
        if isinstance(error, BlockingIOError) or not stat.S_ISDIR(os.fstat(file).st_mode):
            raise BlockingIOError from error
    return True
