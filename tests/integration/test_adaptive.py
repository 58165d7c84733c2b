"""Limits that nobody configured are found over real HTTP, and the run behaves."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import orjson
import pytest
from tests.doubles.command_line import records, run_engine

from engine.rehearsal.server import serve
from engine.rehearsal.settings import Fixed, RehearsalSettings


async def run_against(
    tmp_path: Path, settings: RehearsalSettings, *options: str
) -> tuple[Counter[str], int, list[dict[str, object]]]:
    """Replies by status, the most requests in flight at once, and the records."""
    async with serve(settings) as server:
        code, output = await run_engine(
            "run", "--run", "r", "--base-url", server.base_url, "--simulator", "s", "--assistant", "a",
            "--concurrency", "128", "--runs-dir", tmp_path, "--json", *options,
        )  # fmt: skip
        stats = server.stats
    assert code == 0, output
    assert orjson.loads(output)["conversations"] > 0
    return stats.by_status, stats.peak_in_flight, records(tmp_path / "r" / "conversations.jsonl")


@pytest.mark.asyncio
async def test_a_server_that_refuses_is_hardly_ever_asked_too_much(tmp_path: Path) -> None:
    settings = RehearsalSettings(max_in_flight=24, delay=Fixed(0.02))
    statuses, _, found = await run_against(tmp_path, settings, "--limit", "264")
    assert all(record["end_reason"] in ("goodbye", "max_rounds") for record in found)
    assert statuses["429"] <= 0.02 * statuses.total(), statuses


@pytest.mark.asyncio
async def test_without_it_the_same_server_refuses_far_more_and_still_nothing_fails(tmp_path: Path) -> None:
    settings = RehearsalSettings(max_in_flight=24, delay=Fixed(0.02))
    statuses, _, found = await run_against(tmp_path, settings, "--limit", "132", "--no-adaptive")
    assert all(record["end_reason"] in ("goodbye", "max_rounds") for record in found)
    assert statuses["429"] > 0.02 * statuses.total()


@pytest.mark.asyncio
async def test_a_server_without_limits_is_used_by_all_callers(tmp_path: Path) -> None:
    settings = RehearsalSettings(delay=Fixed(0.05))
    _, peak, _ = await run_against(tmp_path, settings, "--limit", "660")
    assert peak == 128
