"""A run whose folder or journal goes away under it stops: it pays for nothing that nobody will find (P1)."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.doubles.command_line import run_engine

from engine.journal.journal import JOURNAL_NAME
from engine.rehearsal.replies import Reply
from engine.rehearsal.server import serve

LIMIT = 40
AFTER = 60


@pytest.mark.asyncio
@pytest.mark.parametrize("is_moved", [True, False], ids=["moved", "removed"])
async def test_a_journal_that_goes_away_stops_the_run(tmp_path: Path, is_moved: bool) -> None:
    runs, asked = tmp_path / "runs", list[bytes]()

    def take_away(request: dict[str, object], raw: bytes) -> Reply | None:
        asked.append(raw)
        if len(asked) == AFTER:
            if is_moved:
                (runs / "r").rename(runs / "elsewhere")
            else:
                (runs / "r" / JOURNAL_NAME).unlink()
        return None

    async with serve(replier=take_away) as server:
        endpoint = ("--base-url", server.base_url, "--simulator", "s", "--assistant", "a")
        command = ("run", "--limit", str(LIMIT), "--concurrency", "2", "--runs-dir", runs, *endpoint)
        code, output = await run_engine(*command, "--run", "whole")
        assert code == 0, output
        every, asked[:] = set(asked), []

        code, output = await run_engine(*command, "--run", "r")
        assert code == 73, output
        assert "is no longer there" in output
        assert "Traceback" not in output
        assert len(asked) < AFTER + 20, "it went on paying"
        if not is_moved:
            code, output = await run_engine(*command, "--run", "r")
            assert code == 70, "it began anew in silence"
            return
        code, output = await run_engine(*command, "--run", "elsewhere")
        assert code == 0, output
    assert sorted(asked) == sorted(every), "a reply that was paid for was asked again"
    moved, whole = (runs / name / "conversations.jsonl" for name in ("elsewhere", "whole"))
    assert moved.read_bytes() == whole.read_bytes()
