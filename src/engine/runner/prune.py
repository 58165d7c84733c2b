"""Removes runs that are no longer wanted: never one that is held, nor an unfinished one unless asked."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from engine.errors import CannotWrite, EngineError, RunLocked
from engine.journal.imports import read_import_facts
from engine.journal.inputs import stored_plan
from engine.journal.reader import Reader
from engine.journal.run_lock import RunLock
from engine.runner.run_folder import RunFolder, all_folders
from engine.schema.conversation import STAGE

DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """One run that is old enough: its size in bytes, and why it stays all the same, or nothing."""

    folder: RunFolder
    size: int
    stays_because: str


def judge_runs(
    runs_dir: Path, *, keep: int | None, older_than_s: float | None, now: float, with_unfinished: bool
) -> list[Verdict]:
    """The runs beside the `keep` that were touched last, or untouched for `older_than_s`; oldest first."""
    runs = sorted(((_touched_at(folder), folder) for folder in all_folders(runs_dir)), key=lambda run: run[0])
    if keep is not None:
        runs = runs[: max(0, len(runs) - keep)]
    if older_than_s is not None:
        runs = [run for run in runs if now - run[0] > older_than_s]
    return [
        Verdict(folder, sum(_sizes(folder.path)), _stays_because(folder, with_unfinished=with_unfinished))
        for _, folder in runs
    ]


def remove_run(folder: RunFolder, *, with_unfinished: bool) -> None:
    """Remove the whole folder. Raises RunLocked where it has to stay after all: it was taken up meanwhile."""
    lock = RunLock(folder.path)
    lock.take()
    try:
        reason = _incomplete_because(folder, with_unfinished=with_unfinished)
        if reason:
            raise RunLocked(f"run {folder.name} stays: {reason}.")
        shutil.rmtree(folder.path)
    except OSError as error:
        raise CannotWrite(f"{folder.path}: cannot be removed whole ({error.strerror}).") from error
    finally:
        lock.release()


def _stays_because(folder: RunFolder, *, with_unfinished: bool) -> str:
    if folder.path.is_symlink():
        return "it is a link to a folder elsewhere"
    if folder.is_held():
        return "a process works on it"
    return _incomplete_because(folder, with_unfinished=with_unfinished)


def _incomplete_because(folder: RunFolder, *, with_unfinished: bool) -> str:
    try:
        with closing(Reader(folder.journal)) as reader:
            plan, imported = stored_plan(reader), read_import_facts(reader)
            ended = reader.ended(STAGE)
    except EngineError:
        # Paid replies may be in it all the same: whoever knows better removes the folder.
        return "its journal cannot be read"
    if with_unfinished:
        return ""
    if imported is not None:
        return "" if imported.is_complete else "its import is unfinished"
    if plan is None:
        return "it was never started"
    return "" if ended >= len(plan) else f"it is unfinished ({ended:,} of {len(plan):,})"


def _touched_at(folder: RunFolder) -> float:
    """When a process last worked on the run; looking at it or exporting it is no work."""
    files = (folder.journal, folder.journal.with_name(f"{folder.journal.name}-wal"), folder.events)
    found = [path.stat() for path in files if path.exists()]
    # A reader makes the write-ahead log anew where there is none, and leaves it empty.
    return max((file.st_mtime for file in found if file.st_size), default=0.0)


def _sizes(path: Path) -> Iterator[int]:
    return (found.lstat().st_size for found in path.rglob("*"))
