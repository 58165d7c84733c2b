"""What an export writes takes its place whole: a folder is filled beside its place, synced, then renamed.

Nothing that is there already is replaced unless that was asked for, and then only what an export made: a
folder that holds `.export.json`. Files are readable by their owner alone.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from engine.dataset.build import is_alive
from engine.errors import CannotWrite, DiskFull, EngineError, UsageError

MANIFEST = ".export.json"
_FEW = 200


def refuse_existing(path: Path, *, force: bool) -> None:
    """Raise UsageError where a file or folder at `path` would be replaced and may not be."""
    if not path.name:
        raise UsageError(f"{path} is a folder; name a file or folder in it.")
    if path.is_dir():
        if next(path.iterdir(), None) is None:
            return
        if not (path / MANIFEST).is_file():
            raise UsageError(
                f"{path} is a folder that no export made (it holds no {MANIFEST}), so nothing in it is "
                "replaced, with --force neither. Name another place with --out."
            )
    elif not os.path.lexists(path):
        return
    if not force:
        raise UsageError(
            f"{path} is there already. Say --force to replace it, or name another place with --out."
        )


def refuse_folder(path: Path) -> None:
    """Raise UsageError where a file is to be written and a folder lies."""
    if path.is_dir():
        raise UsageError(f"{path} is a folder; name a file in it.")


def create(path: Path) -> BinaryIO:
    """A new file, private from its first byte; folders on the way are made."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """A folder to fill that takes the place of `path` when the block is left without an error.

    Raises DiskFull and CannotWrite; `path` is then as it was.
    """
    with spare_folder(path) as temporary:
        yield temporary
        with _told(path):
            sync(temporary)
            old = path.with_name(f".{path.name}.{os.getpid()}.old")
            if path.is_dir():
                path.rename(old)
            try:
                temporary.rename(path)
            except BaseException:
                if old.exists():
                    old.rename(path)
                raise
            _sync_folder(path.parent)
    shutil.rmtree(old, ignore_errors=True)


@contextmanager
def spare_folder(path: Path) -> Iterator[Path]:
    """An empty folder beside `path`, on the same disk; gone when the block is left, with what is in it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with _told(path):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _sweep(path)
            temporary.mkdir(mode=0o700)
            yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except EngineError:
        raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(f"{path}: the disk is full; what was there before is untouched.") from error
        raise CannotWrite(f"{path}: cannot be written ({error.strerror or error}).") from error


def sync(folder: Path) -> None:
    """Everything in the folder is on disk when this returns."""
    files = [each for each in folder.rglob("*") if each.is_file()]
    if len(files) > _FEW:
        os.sync()  # one by one, a file a conversation would take a long time
        return
    for file in files:
        with file.open("rb") as stream:
            os.fsync(stream.fileno())
    _sync_folder(folder)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sweep(path: Path) -> None:
    """Undo what processes left that were killed: half-filled folders go, a folder set aside comes back."""
    for left_over in path.parent.iterdir():
        name, _, kind = left_over.name.rpartition(".")
        stem, _, pid = name.rpartition(".")
        if stem != f".{path.name}" or not pid.isdigit() or is_alive(int(pid)):
            continue
        if kind == "old" and not path.exists():
            left_over.rename(path)
        elif kind in ("old", "part") and left_over.is_dir():
            shutil.rmtree(left_over, ignore_errors=True)
