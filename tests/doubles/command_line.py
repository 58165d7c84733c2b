"""Runs the engine as its users do: in this process where that is enough, in one of its own otherwise."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import orjson

from engine.cli.main import exit_code_of


def engine(*arguments: str | Path) -> int:
    """Run one command in this process; its exit code."""
    return exit_code_of([str(argument) for argument in arguments])


async def start_engine(*arguments: str | Path) -> asyncio.subprocess.Process:
    """Start one command in a process of its own, its output kept."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "engine",
        *map(str, arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )


async def run_engine(*arguments: str | Path) -> tuple[int, str]:
    """Run one command in a process of its own; (exit code, output)."""
    process = await start_engine(*arguments)
    output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode()


def records(path: Path) -> list[dict[str, object]]:
    """The records of a JSON Lines file."""
    return [orjson.loads(line) for line in path.read_bytes().splitlines()]
