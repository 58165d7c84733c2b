"""SIGKILL at random moments of one run, resumed each time: same bytes, and nothing paid for twice (P1-P3)."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest
from tests.doubles.command_line import run_engine, start_engine

from engine.journal.journal import JOURNAL_NAME
from engine.journal.reader import Reader
from engine.rehearsal.replies import Reply
from engine.rehearsal.server import RehearsalServer, serve
from engine.rehearsal.settings import LogNormal, RehearsalSettings

SEED = 20261124
LIMIT = 352
CONCURRENCY = 16


class Killer:
    """Sees every request; kills the client a moment after the n-th new one since it was armed."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.bodies: Counter[bytes] = Counter()
        self.lost = 0
        self.server: RehearsalServer
        self._process: asyncio.subprocess.Process | None = None
        self._left = 0

    def arm(self, process: asyncio.subprocess.Process, new_calls: int) -> None:
        self._process, self._left = process, new_calls

    def __call__(self, request: dict[str, object], raw: bytes) -> Reply | None:
        is_new = raw not in self.bodies
        self.bodies[raw] += 1
        if self._process is not None and is_new:
            self._left -= 1
            if self._left == 0:
                # Anywhere within the next calls: while replies are awaited, journalled or acknowledged.
                asyncio.get_running_loop().call_later(self.random.uniform(0, 0.03), self._kill, self._process)
                self._process = None
        return None

    def _kill(self, process: asyncio.subprocess.Process) -> None:
        with suppress(ProcessLookupError):
            process.kill()


def journalled(folder: Path) -> int:
    reader = Reader(folder / JOURNAL_NAME)
    try:
        return reader.totals().replies
    finally:
        reader.close()


async def kill_and_resume(
    tmp_path: Path, *, kills: int, limit: int, options: tuple[str, ...] = (), defect_rate: float = 0.13,
    concurrency: int = CONCURRENCY, may_ask_alike: bool = False,
) -> tuple[Killer, int]:  # fmt: skip
    """Kill one run `kills` times, let it end, compare with an uninterrupted one; the requests seen extra.

    Two cells of a matrix `may_ask_alike`.
    """
    random = Random(SEED)
    killer = Killer(random)
    settings = RehearsalSettings(delay=LogNormal(0.01, 0.5), defect_rate=defect_rate)
    async with serve(settings, replier=killer) as server:
        killer.server = server
        command: tuple[str | Path, ...] = (
            "run", "--run", "killed", "--limit", str(limit), "--concurrency", str(concurrency),
            "--base-url", server.base_url, "--simulator", "s", "--assistant", "a",
            "--runs-dir", tmp_path, *options,
        )  # fmt: skip
        code, output = await run_engine(*command[:2], "plain", *command[3:])
        assert code == 0, output
        uninterrupted = Counter(killer.bodies)
        assert may_ask_alike or max(uninterrupted.values()) == 1
        killer.bodies.clear()

        # Beside the calls counted, those in flight at a kill and in the moment before it are used up.
        mean_new_calls = len(uninterrupted) // (kills + 2) - 3 * concurrency
        # Who has sent more new calls than it may have in the air has journalled one of them.
        fewest = concurrency + 1
        paid = 0
        for kill in range(kills):
            process = await start_engine(*command)
            killer.arm(process, random.randint(fewest, 2 * mean_new_calls - fewest))
            await process.communicate()
            assert process.returncode == -9, f"kill {kill} came after the end of the run"
            paid, before = journalled(tmp_path / "killed"), paid
            assert paid > before, f"kill {kill} followed no progress"
            # In flight for the client: what it had sent and not yet got onto the disk.
            lost = killer.bodies.total() - paid - killer.lost
            assert 0 <= lost <= concurrency
            killer.lost += lost
        code, output = await run_engine("resume", "killed", "--runs-dir", tmp_path)
        assert code == 0, output
    assert killer.bodies.keys() == uninterrupted.keys(), (
        "a resumed run asks exactly what an uninterrupted one asks"
    )
    killed, whole = (tmp_path / name / "conversations.jsonl" for name in ("killed", "plain"))
    assert killed.read_bytes() == whole.read_bytes()
    return killer, killer.bodies.total() - uninterrupted.total()


@pytest.mark.asyncio
async def test_a_dozen_kills_cost_at_most_the_calls_in_flight(tmp_path: Path) -> None:
    kills = 12
    killer, extra = await kill_and_resume(tmp_path, kills=kills, limit=176)
    print(f"{kills} kills, {killer.lost} calls in flight at them, {extra} asked again")
    assert extra == killer.lost


@pytest.mark.asyncio
async def test_kills_of_a_matrix_cost_no_more(tmp_path: Path) -> None:
    config = tmp_path / "matrix.yaml"
    simulators = "{one: {model: s1}, two: {model: s2, temperatures: [0, 1]}}"
    config.write_text(f"matrix: {{simulators: {simulators}, assistants: {{x: {{}}, y: {{model: b}}}}}}\n")
    killer, extra = await kill_and_resume(
        tmp_path, kills=3, limit=20, options=(str(config),), may_ask_alike=True
    )
    assert extra == killer.lost


@pytest.mark.slow
@pytest.mark.asyncio
async def test_five_hundred_kills_over_two_thousand_conversations(tmp_path: Path) -> None:
    kills = 500
    killer, extra = await kill_and_resume(tmp_path, kills=kills, limit=2_000, concurrency=4)
    print(f"{kills} kills, {killer.lost} calls in flight at them, {extra} asked again")
    assert extra == killer.lost


@pytest.mark.slow
@pytest.mark.asyncio
async def test_kills_over_the_portable_transport(tmp_path: Path) -> None:
    killer, extra = await kill_and_resume(tmp_path, kills=10, limit=LIMIT, options=("--transport", "httpx"))
    assert extra == killer.lost


@pytest.mark.asyncio
async def test_kills_among_attempts_that_gates_asked_for(tmp_path: Path) -> None:
    killer, extra = await kill_and_resume(tmp_path, kills=3, limit=66, options=("--gates",), defect_rate=1.0)
    assert extra == killer.lost
    reader = Reader(tmp_path / "killed" / JOURNAL_NAME)
    asked_again = sum(call.attempt > 0 for call in reader.calls_from(0))
    reader.close()
    assert asked_again > 0
