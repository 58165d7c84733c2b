"""A disk for SQLite that notes what is written, synced, cut and removed, and can be filled or broken.

Files are real ones of the system; this layer lies between SQLite and them. What a power cut may leave is
built from the notes alone: synced bytes are there, each sector of anything else is there or not.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import apsw
import pytest

from engine.journal import journal

SECTOR = 512


class Event(NamedTuple):
    """`kind` is write, truncate, sync, create or delete; `size` is that of a truncate."""

    kind: str
    file: str
    offset: int = 0
    data: bytes = b""
    size: int = 0


@dataclass
class Disk:
    """What happened on it, in order. `before` may raise apsw.FullError or apsw.IOError instead."""

    events: list[Event] = field(default_factory=list)
    before: Callable[[Event], None] = lambda event: None

    def note(self, event: Event) -> None:
        self.before(event)
        self.events.append(event)


class _Vfs(apsw.VFS):
    def __init__(self, name: str, disk: Disk) -> None:
        self._disk = disk
        super().__init__(name, "unix")

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:  # noqa: N802
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        assert isinstance(path, str), "temporary files are none of a journal's"
        if not Path(path).exists() and flags[0] & apsw.SQLITE_OPEN_CREATE:
            self._disk.note(Event("create", Path(path).name))
        return _File(name, flags, Path(path).name, self._disk)

    def xDelete(self, path: str, sync_folder: bool) -> None:  # noqa: N802
        existed = Path(path).exists()
        super().xDelete(path, sync_folder)
        if existed:
            self._disk.note(Event("delete", Path(path).name))


class _File(apsw.VFSFile):
    def __init__(self, name: Any, flags: list[int], file: str, disk: Disk) -> None:
        self._file, self._disk = file, disk
        super().__init__("unix", name, flags)

    def xWrite(self, data: Any, offset: int) -> None:  # noqa: N802
        self._disk.note(Event("write", self._file, offset, bytes(data)))
        super().xWrite(data, offset)

    def xTruncate(self, size: int) -> None:  # noqa: N802
        self._disk.note(Event("truncate", self._file, size=size))
        super().xTruncate(size)

    def xSync(self, flags: int) -> None:  # noqa: N802
        self._disk.note(Event("sync", self._file))
        # The test's process does not lose power: nothing real needs to be synced.


class _Apsw:
    """The module, but for where its connections lie."""

    def __init__(self, vfs: str) -> None:
        self.Connection = partial(apsw.Connection, vfs=vfs)

    def __getattr__(self, name: str) -> Any:
        return getattr(apsw, name)


_numbers = iter(range(10**9))


@contextmanager
def disk_below_sqlite(before: Callable[[Event], None] = lambda event: None) -> Iterator[Disk]:
    """Every journal that is opened for writing within the block lies on this disk; close all before its end.

    Readers stay beside it: apsw raises what SQLite passes over, a read-only file's lock among it.
    """
    disk = Disk(before=before)
    name = f"recording-{next(_numbers)}"
    vfs = _Vfs(name, disk)
    hook = sys.unraisablehook

    def pass_over(unraisable: sys.UnraisableHookArgs) -> None:
        # SQLite goes on in spite of some errors, as where it cannot carry its log over; apsw tells of them.
        if not isinstance(unraisable.exc_value, apsw.Error):
            hook(unraisable)

    sys.unraisablehook = pass_over
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(journal, "apsw", _Apsw(name))
            yield disk
    finally:
        sys.unraisablehook = hook
        vfs.unregister()


# --- what a power cut leaves ------------------------------------------------------------------------


def files_after_power_cut(events: Sequence[Event], random: Random) -> dict[str, bytes]:
    """One of the states in which the disk may be found when the power goes after the last of `events`."""
    how = random.choice(("none", "all", "first", "writes", "sectors", "sectors"))
    settled = _folder_synced_at(events)
    found = {}
    for name in dict.fromkeys(event.file for event in events):
        its = [(at, event) for at, event in enumerate(events) if event.file == name]
        entries = [(at, event.kind) for at, event in its if event.kind in ("create", "delete")]
        # Entries of the folder that nobody synced are there or not, up to any of them.
        sure = sum(at <= settled for at, _ in entries)
        there = entries[: random.randint(sure, len(entries))]
        if entries and (not there or there[-1][1] == "delete"):
            continue
        began = there[-1][0] if there else 0
        ended = next((at for at, kind in entries if at > began and kind == "delete"), len(events))
        lived = [event for at, event in its if began <= at < ended]
        synced = max((i for i, event in enumerate(lived) if event.kind == "sync"), default=-1)
        content = bytearray()
        for event in lived[: synced + 1]:
            _apply(content, event)
        _cut(content, lived[synced + 1 :], how, random)
        found[name] = bytes(content)
    return found


def _folder_synced_at(events: Sequence[Event]) -> int:
    """The last event at which SQLite synced the folder itself: at a new log's first sync, or -1.

    It does so for a rollback journal or a log that it created (`SQLITE_OPEN_WAL`), and not for the database.
    """
    last, fresh = -1, set()
    for at, event in enumerate(events):
        if event.kind == "create" and event.file.endswith(("-wal", "-journal")):
            fresh.add(event.file)
        elif event.kind == "sync" and event.file in fresh:
            fresh.discard(event.file)
            last = at
    return last


def _apply(content: bytearray, event: Event) -> None:
    if event.kind == "write":
        _put(content, event.offset, event.data)
    elif event.kind == "truncate":
        del content[event.size :]
        content.extend(bytes(event.size - len(content)))


def _put(content: bytearray, offset: int, data: bytes) -> None:
    if len(content) < offset:
        content.extend(bytes(offset - len(content)))
    content[offset : offset + len(data)] = data


def _cut(content: bytearray, unsynced: Sequence[Event], how: str, random: Random) -> None:
    """Put on the disk what may have got there of writes that nobody waited for."""
    if how == "none":
        return
    pieces = list(unsynced)
    if how == "first":
        pieces = pieces[: random.randint(0, len(pieces))]
    if how in ("writes", "sectors"):
        if how == "sectors":
            pieces = [piece for event in pieces for piece in _torn(event)]
        # Nothing orders them: a later one may have got there before an earlier one, or alone.
        random.shuffle(pieces)
        pieces = [piece for piece in pieces if random.random() < 0.5]
    for piece in pieces:
        _apply(content, piece)


def _torn(event: Event) -> Iterator[Event]:
    if event.kind != "write":
        yield event
        return
    start = event.offset
    end = start + len(event.data)
    while start < end:
        stop = min(end, (start // SECTOR + 1) * SECTOR)
        yield event._replace(offset=start, data=event.data[start - event.offset : stop - event.offset])
        start = stop
