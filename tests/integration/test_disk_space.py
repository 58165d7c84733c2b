"""A disk with little left: refused before the start, stopped in order while it goes on, resumed later."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.doubles.command_line import engine, records

from engine.journal import disk_space
from engine.journal.disk_space import Space

GB = 10**9


def test_a_plan_that_does_not_fit_is_refused_before_anything_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(disk_space, "read_space", lambda folder: Space(300_000_000, 100 * GB))
    command = ("run", "--run", "r", "--limit", "2640", "--runs-dir", tmp_path)
    assert engine(*command) == 74
    assert "Nothing was sent" in capsys.readouterr().err
    assert not (tmp_path / "r/journal.sqlite").exists()
    assert engine("run", "--run", "r", "--limit", "22", "--runs-dir", tmp_path) == 0


def test_a_run_stops_before_the_disk_is_full_and_resumes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    limit = ("--limit", "66", "--runs-dir", tmp_path)
    assert engine("run", "--run", "whole", *limit) == 0
    looks = 0

    def filling_up(folder: Path) -> Space:
        nonlocal looks
        looks += 1
        return Space(10 * GB if looks < 25 else 1_000, 100 * GB)

    with monkeypatch.context() as patched:
        patched.setattr(disk_space, "read_space", filling_up)
        assert engine("run", "--run", "r", "--concurrency", "4", *limit) == 74
        assert "stopped before it was full" in capsys.readouterr().err
        assert engine("resume", "r", "--runs-dir", tmp_path) == 74
        assert len(records(tmp_path / "r/conversations.jsonl")) < 66
    assert engine("resume", "r", "--runs-dir", tmp_path) == 0
    whole, resumed = (tmp_path / name / "conversations.jsonl" for name in ("whole", "r"))
    assert resumed.read_bytes() == whole.read_bytes()


def test_the_check_can_be_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk_space, "read_space", lambda folder: Space(0, 100 * GB))
    command = ("run", "--run", "r", "--limit", "3", "--runs-dir", tmp_path)
    assert engine(*command) == 74
    assert engine(*command, "--no-disk-check") == 0
