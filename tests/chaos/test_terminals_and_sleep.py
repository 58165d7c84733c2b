"""What an overnight run meets on a person's machine: its terminal is closed, the machine sleeps."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import signal
import sys
import termios
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest
from tests.doubles.command_line import records, run_engine, start_engine
from tests.doubles.waiting import until

from engine.journal.journal import JOURNAL_NAME
from engine.journal.reader import Reader
from engine.rehearsal.replies import Reply
from engine.rehearsal.server import serve
from engine.rehearsal.settings import Fixed, RehearsalSettings

LIMIT = 11


def command(base_url: str, runs: Path, *options: str) -> list[str]:
    return [
        "run", "--run", "r", "--limit", str(LIMIT), "--concurrency", "8", "--base-url", base_url,
        "--simulator", "s", "--assistant", "a", "--runs-dir", str(runs), *options,
    ]  # fmt: skip


class Seen:
    """Counts requests; `enough` is set at the n-th."""

    def __init__(self, enough: int) -> None:
        self.bodies: Counter[bytes] = Counter()
        self.enough = asyncio.Event()
        self._left = enough

    def __call__(self, request: dict[str, object], raw: bytes) -> Reply | None:
        self.bodies[raw] += 1
        self._left -= 1
        if self._left == 0:
            self.enough.set()
        return None


async def start_in_a_terminal(arguments: Sequence[str]) -> tuple[asyncio.subprocess.Process, int]:
    """The engine in a session of its own with a terminal; the terminal's other end."""
    ours, theirs = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "engine", *arguments, stdin=theirs, stdout=theirs, stderr=theirs,
        start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )  # fmt: skip
    os.close(theirs)
    return process, ours


@pytest.mark.asyncio
async def test_a_closed_terminal_stops_the_run_in_order(tmp_path: Path) -> None:
    seen = Seen(20)
    async with serve(RehearsalSettings(delay=Fixed(0.1)), replier=seen) as server:
        process, terminal = await start_in_a_terminal(command(server.base_url, tmp_path))
        loop = asyncio.get_running_loop()
        loop.add_reader(terminal, os.read, terminal, 65_536)
        await seen.enough.wait()
        loop.remove_reader(terminal)
        os.close(terminal)
        assert await process.wait() == 128 + signal.SIGHUP
        with closing(Reader(tmp_path / "r" / JOURNAL_NAME)) as reader:
            assert reader.totals().possibly_paid == 0
            assert reader.totals().replies == seen.bodies.total(), "every call in the air has landed"
            assert reader.sessions()[-1].ended_as == "stopped"
        assert (tmp_path / "r" / "conversations.jsonl").is_file()
        code, output = await run_engine("resume", "r", "--runs-dir", tmp_path)
        assert code == 0, output
    assert set(seen.bodies.values()) == {1}


@pytest.mark.asyncio
async def test_replies_that_came_while_the_process_slept_are_not_asked_for_again(tmp_path: Path) -> None:
    """The deadline passes while the process is stopped, and the replies lie in its sockets."""
    seen, timeout_s = Seen(20), 1.0
    config = tmp_path / "engine.yaml"
    async with serve(RehearsalSettings(delay=Fixed(0.2)), replier=seen) as server:
        config.write_text(
            f"endpoints: {{e: {{base_url: '{server.base_url}', call_timeout_s: {timeout_s}}}}}\n"
            "stages:\n  simulator: {model: s, endpoint: e}\n  assistant: {model: a, endpoint: e}\n"
            f"limit: {LIMIT}\nconcurrency: 8\n"
        )
        process = await start_engine("run", config, "--run", "r", "--runs-dir", tmp_path)
        await seen.enough.wait()
        process.send_signal(signal.SIGSTOP)
        asleep_at = asyncio.get_running_loop().time()
        await until(lambda: asyncio.get_running_loop().time() > asleep_at + 1.5 * timeout_s)
        process.send_signal(signal.SIGCONT)
        output, _ = await process.communicate()
        assert process.returncode == 0, output.decode()
    assert len(records(tmp_path / "r" / "conversations.jsonl")) == LIMIT
    assert set(seen.bodies.values()) == {1}
    with closing(Reader(tmp_path / "r" / JOURNAL_NAME)) as reader:
        assert reader.totals().possibly_paid == 0
