"""One process at a time works on a run, also where somebody removes the lock's file meanwhile."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.errors import RunLocked
from engine.journal.run_lock import LOCK_NAME, RunLock, find_holder, is_held


@pytest.fixture
def held(tmp_path: Path) -> Iterator[RunLock]:
    lock = RunLock(tmp_path / "r")
    lock.take()
    yield lock
    lock.release()


def test_a_second_one_is_refused_until_the_first_lets_go(held: RunLock, tmp_path: Path) -> None:
    second = RunLock(tmp_path / "r")
    with pytest.raises(RunLocked, match="worked on by another process"):
        second.take()
    assert is_held(tmp_path / "r")
    held.release()
    assert not is_held(tmp_path / "r")
    second.take()
    second.release()


def test_a_removed_file_lets_nobody_in(held: RunLock, tmp_path: Path) -> None:
    (tmp_path / "r" / LOCK_NAME).unlink()
    holder = find_holder(tmp_path / "r")
    assert holder is not None
    assert holder.pid is None
    for _ in range(2):  # the second time with a file of the one that was refused
        with pytest.raises(RunLocked):
            RunLock(tmp_path / "r").take()
        assert is_held(tmp_path / "r")


def test_folders_that_take_no_locks_are_guarded_by_the_file_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = fcntl.flock

    def files_only(file: int, how: int) -> None:
        if not Path(f"/proc/self/fd/{file}").resolve().is_file():
            raise OSError(9, "no locks on folders here")
        real(file, how)

    monkeypatch.setattr(fcntl, "flock", files_only)
    lock = RunLock(tmp_path / "r")
    lock.take()
    with pytest.raises(RunLocked):
        RunLock(tmp_path / "r").take()
    assert is_held(tmp_path / "r")
    lock.release()
    assert not is_held(tmp_path / "r")
