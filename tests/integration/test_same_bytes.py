"""The dataset is the same bytes whatever the concurrency, the transport and the way the plan grew (P3)."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.doubles.command_line import engine


def dataset(runs: Path, name: str, *options: str) -> bytes:
    assert engine("run", "--run", name, "--runs-dir", runs, *options) == 0
    return (runs / name / "conversations.jsonl").read_bytes()


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return dataset(tmp_path_factory.mktemp("runs"), "plain")


@pytest.mark.parametrize("transport", ["asyncio", "httpx"])
@pytest.mark.parametrize("concurrency", [1, 64, 512])
def test_concurrency_and_transport_change_no_byte(
    tmp_path: Path, expected: bytes, transport: str, concurrency: int
) -> None:
    options = ("--concurrency", str(concurrency), "--transport", transport)
    assert dataset(tmp_path, "other", *options) == expected


def test_pilot_that_is_extended_equals_the_whole_run(tmp_path: Path, expected: bytes) -> None:
    pilot = dataset(tmp_path, "grown", "--limit", "20")
    assert pilot.count(b"\n") == 20
    assert expected.startswith(pilot)
    assert dataset(tmp_path, "grown", "--limit", "220") == expected


def test_seed_changes_the_conversations(tmp_path: Path, expected: bytes) -> None:
    assert dataset(tmp_path, "seeded", "--limit", "220", "--seed", "1") != expected
