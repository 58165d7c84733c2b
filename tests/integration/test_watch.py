"""`status --watch`: from a process of its own, while the run goes on, to the run's end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pty
import re
import signal
import sys
from pathlib import Path

import orjson
import pytest
from rich.cells import cell_len
from tests.doubles.command_line import engine, start_engine
from tests.doubles.waiting import until

from engine.cli.watch import one_line, screen_lines
from engine.rehearsal.server import serve
from engine.rehearsal.settings import Fixed, RehearsalSettings
from engine.runner.overview import Mishap, Overview, SlowConversation

FACTS = Overview(
    state="being worked on", planned=22_000, ended=12_345, unfinished=64, end_reasons={"goodbye": 12_340},
    conversations_per_min=123.4, calls_per_s=30.0, eta_s=4_000.0,
    slowest=(SlowConversation("a-very-long-task-of-its-own-11-profile-with-a-long-name-0", 7_300.0, 12),),
    mishaps=(Mishap(1_000_000.0, "travel-11-p001-0", "user-3", "HTTP 500:\x1b[31m 忙" + "忙" * 100),),
    calls=180_000, failed_calls=3, possibly_paid_calls=1, prompt_tokens=123_456_789,
    completion_tokens=9_999, cached_tokens=12_345, counted=0.5,
)  # fmt: skip


@pytest.mark.parametrize("width", [40, 48, 60])
def test_the_screen_is_narrow_and_holds_no_control_character(width: int) -> None:
    lines = screen_lines("pilot", FACTS, width)
    assert max(cell_len(line) for line in lines) <= width
    assert all(line.isprintable() for line in lines)
    text = "\n".join(lines)
    for fact in (
        "12,345 of 22,000",
        "123.4 a minute",
        "ETA 1 h 06 min",
        "12 turns",
        "50 % counted",
        "123.5 M in",
    ):
        assert fact in text
    assert "12345/22000" in one_line("pilot", FACTS)


@pytest.mark.asyncio
async def test_a_watcher_follows_a_run_to_its_end(tmp_path: Path) -> None:
    async with serve(RehearsalSettings(delay=Fixed(0.02))) as server:
        run = await start_engine(
            "run", "--run", "live", "--limit", "66", "--concurrency", "6", "--base-url", server.base_url,
            "--simulator", "s", "--assistant", "a", "--runs-dir", tmp_path,
        )  # fmt: skip
        await until(lambda: server.stats.requests > 30)
        watcher = await start_engine(
            "status", "live", "--watch", "--json", "--every", "0.2", "--runs-dir", tmp_path
        )
        output, _ = await watcher.communicate()
        assert watcher.returncode == 0
        await run.communicate()
    looks = [orjson.loads(line) for line in output.splitlines()]
    assert len(looks) > 1
    assert looks[0]["state"] == "being worked on"
    assert 0 < looks[0]["unfinished"] <= 6
    assert [look["ended"] for look in looks] == sorted(look["ended"] for look in looks)
    assert (looks[-1]["state"], looks[-1]["ended"], looks[-1]["unfinished"]) == ("complete", 66, 0)


@pytest.mark.asyncio
async def test_a_watcher_on_a_terminal_is_left_with_an_interrupt(tmp_path: Path) -> None:
    seen: list[bytes] = []
    async with serve(RehearsalSettings(delay=Fixed(0.05))) as server:
        run = await start_engine(
            "run", "--run", "live", "--limit", "66", "--concurrency", "2", "--base-url", server.base_url,
            "--simulator", "s", "--assistant", "a", "--runs-dir", tmp_path,
        )  # fmt: skip
        await until(lambda: (tmp_path / "live/run.yaml").exists() and server.stats.requests > 4)
        ours, theirs = pty.openpty()
        os.set_blocking(ours, False)
        watcher = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "engine", "status", "live", "--watch", "--every", "0.1",
            "--runs-dir", str(tmp_path), stdin=theirs, stdout=theirs, stderr=theirs,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "44"},
        )  # fmt: skip
        os.close(theirs)

        def has_drawn_twice() -> bool:
            with contextlib.suppress(BlockingIOError):
                seen.append(os.read(ours, 65536))
            return b"".join(seen).count(b"live: being worked on") > 1

        await until(has_drawn_twice)
        watcher.send_signal(signal.SIGINT)
        assert await watcher.wait() == 0
        os.close(ours)
        assert run.returncode is None, "the run was ended with its watcher"
        run.terminate()
        await run.communicate()
    plain = re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]", b"\r\n", b"".join(seen)).decode()
    assert max(len(line) for line in plain.splitlines()) <= 44


def test_a_run_that_nobody_works_on_is_shown_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert engine("run", "--run", "done", "--limit", "3", "--runs-dir", tmp_path) == 0
    capsys.readouterr()
    assert engine("status", "done", "--watch", "--runs-dir", tmp_path) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert "done complete" in line
    assert "3/3 conversations" in line
