"""Keeps a run from filling its disk: an estimate before it starts, a reserve while it writes.

A full disk loses nothing (the journal refuses the row and the run stops), but it stops others too, and
leaves no room for the dataset. So a run ends in order, resumable, while a little is left.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from engine.errors import CannotWrite, DiskFull, EngineError

_RESERVE_BYTES = 200 * 1024**2
_RESERVE_SHARE = 0.01
# Where nothing was measured yet. Rehearsed conversations take 13 and 10 kB; real models write more.
JOURNAL_BYTES = 32_768
DATASET_BYTES = 24_576
# A mean over fewer says little.
_ENOUGH = 20


@dataclass(frozen=True, slots=True)
class Space:
    """What a file system has left for us, and its size, in bytes."""

    free: int
    size: int

    @property
    def reserve(self) -> int:
        """What a run leaves free: 200 MiB, or 1 % of a small disk."""
        return int(min(_RESERVE_BYTES, _RESERVE_SHARE * self.size))


def read_space(folder: Path) -> Space:
    """The space of the file system that `folder` is on. Takes microseconds on a local disk."""
    found = os.statvfs(folder)
    return Space(found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize)


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a run will still write: `needed` bytes, from `per_conversation` that were measured or assumed."""

    needed: int
    per_conversation: int
    is_measured: bool


def estimate(*, planned: int, ended: int, journal_bytes: int, dataset_bytes: int) -> Estimate:
    """Bytes for the conversations that are left, and for the dataset, which is written beside the old one."""
    is_measured = ended >= _ENOUGH
    per_journal = journal_bytes // ended if is_measured else JOURNAL_BYTES
    per_dataset = dataset_bytes // ended if is_measured and dataset_bytes else DATASET_BYTES
    needed = max(0, planned - ended) * per_journal + planned * per_dataset
    return Estimate(needed, per_journal + per_dataset, is_measured)


def refuse_too_little(folder: Path, space: Space, wanted: Estimate, *, conversations: int) -> None:
    """Raise DiskFull where the estimate does not fit beside the reserve."""
    if space.free - wanted.needed >= space.reserve:
        return
    how = "measured so far" if wanted.is_measured else "assumed, since too few are there to measure"
    raise DiskFull(
        f"{folder}: {megabytes(space.free)} are free, and {conversations:,} conversations to come are "
        f"estimated to need {megabytes(wanted.needed)} ({wanted.per_conversation / 1000:.0f} kB each, "
        f"{how}) beside a reserve of {megabytes(space.reserve)}. Nothing was sent. Free some space, "
        "choose another disk with --runs-dir DIR, lower --limit, or go on all the same with --no-disk-check."
    )


class SpaceGuard:
    """Looks at the disk when it is told to, and speaks once: when less than the reserve is left.

    And when `journal` is no longer there: SQLite goes on with a removed file, which is gone at the end.
    """

    def __init__(self, journal: Path, speak: Callable[[EngineError], None]) -> None:
        self._journal = journal
        self._folder = journal.parent
        self._speak = speak
        self.has_spoken = False

    def look(self) -> None:
        """Look once."""
        if self.has_spoken:
            return
        if not self._journal.exists():
            self.has_spoken = True
            self._speak(
                CannotWrite(
                    f"{self._journal}: is no longer there, so the run stopped. Where its folder was moved, "
                    "all that was acknowledged is in it: `engine resume` goes on there. If it was removed, "
                    "put back a copy of it, or begin anew."
                )
            )
            return
        try:
            space = read_space(self._folder)
        except OSError:  # the writer is about to find out, and says more
            return
        if space.free < space.reserve:
            self.has_spoken = True
            self._speak(
                DiskFull(
                    f"{self._folder}: only {megabytes(space.free)} are left on the disk, so the run stopped "
                    "before it was full. Everything acknowledged is safe. "
                    "Free some space, then `engine resume`."
                )
            )

    def __repr__(self) -> str:
        return f"SpaceGuard({self._folder.name}, {'low' if self.has_spoken else 'enough'})"


def megabytes(count: int) -> str:
    """A number of bytes for a person."""
    return f"{count / 1e9:,.1f} GB" if count >= 1e9 else f"{count / 1e6:,.1f} MB"
