"""An import that is killed again and again ends with every record once, in order, as it came."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import orjson
import pytest
from tests.doubles.command_line import run_engine, start_engine

from engine.errors import EngineError
from engine.journal.imports import count_imports
from engine.journal.journal import JOURNAL_NAME
from engine.journal.reader import Reader

RECORDS = 6_000
KILLS = 2


def imported(folder: Path) -> int:
    """How many records another process can see at this moment."""
    try:
        reader = Reader(folder / JOURNAL_NAME)
    except EngineError:
        return 0
    try:
        return count_imports(reader)[0]
    finally:
        reader.close()


@pytest.mark.asyncio
async def test_killed_imports_go_on_and_lose_nothing(tmp_path: Path) -> None:
    source, folder = tmp_path / "chats.jsonl", tmp_path / "runs" / "k"
    message = {"role": "user", "content": "x" * 1_500}
    source.write_bytes(
        b"".join(orjson.dumps({"id": f"c{i}", "messages": [message]}) + b"\n" for i in range(RECORDS))
    )
    command = ("import", source, "--name", "k", "--runs-dir", tmp_path / "runs")
    kills, before = 0, 0
    while kills < KILLS:
        process = await start_engine(*command)
        async with asyncio.timeout(15):
            while process.returncode is None and imported(folder) <= before:
                with suppress(TimeoutError):
                    await asyncio.wait_for(process.wait(), 0.002)
        if process.returncode is not None:
            break
        process.kill()
        await process.communicate()
        kills, before = kills + 1, imported(folder)
    assert kills > 0
    assert 0 < before < RECORDS
    code, output = await run_engine(*command)
    assert code == 0, output
    assert "records were there" in output
    out = tmp_path / "back.jsonl"
    assert (await run_engine("export", "k", "--runs-dir", tmp_path / "runs", "--out", out))[0] == 0
    assert out.read_bytes() == source.read_bytes()
