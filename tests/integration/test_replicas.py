"""Several endpoints for one model: affinity, a replica that dies and returns, a refused key."""

from __future__ import annotations

from collections import Counter, defaultdict
from contextlib import AsyncExitStack
from pathlib import Path

import orjson
import pytest
from tests.doubles.command_line import records, run_engine

from engine.rehearsal.replies import Reply
from engine.rehearsal.server import RehearsalServer, serve
from engine.rehearsal.settings import Fixed, RehearsalSettings


class Watcher:
    """Notes which conversation's side came to which replica; aborts or refuses on demand."""

    def __init__(self) -> None:
        self.seen: dict[str, Counter[int]] = defaultdict(Counter)
        self.requests = 0
        self.dead: set[int] = set()
        self.refusing: set[int] = set()
        self.dies_at: dict[int, tuple[int, int]] = {}

    def on(self, replica: int, request: dict[str, object]) -> Reply | None:
        self.requests += 1
        for number, (first, last) in self.dies_at.items():
            if self.requests == first:
                self.dead.add(number)
            if self.requests == last:
                self.dead.discard(number)
        if replica in self.dead:
            return Reply(abort=True)
        if replica in self.refusing:
            return Reply(401, b'{"error": {"message": "no such key"}}')
        self.seen[str(request["prompt_cache_key"])][replica] += 1
        return None


async def open_replicas(stack: AsyncExitStack, watcher: Watcher, count: int) -> list[RehearsalServer]:
    settings = RehearsalSettings(delay=Fixed(0.004), defect_rate=0.0)
    return [
        await stack.enter_async_context(
            serve(settings, replier=lambda request, raw, replica=i: watcher.on(replica, request))  # type: ignore[misc]
        )
        for i in range(count)
    ]


def write_config(path: Path, servers: list[RehearsalServer], **extra: object) -> Path:
    names = [f"r{i}" for i in range(len(servers))]
    config = {
        "endpoints": {
            name: {"base_url": server.base_url} for name, server in zip(names, servers, strict=True)
        },
        "stages": {side: {"model": side, "endpoint": names} for side in ("simulator", "assistant")},
        **extra,
    }
    path.write_bytes(orjson.dumps(config))  # JSON is YAML
    return path


@pytest.mark.asyncio
async def test_each_side_of_a_conversation_stays_on_its_replica(tmp_path: Path) -> None:
    watcher = Watcher()
    async with AsyncExitStack() as stack:
        servers = await open_replicas(stack, watcher, 4)
        # While a limit is being found it is small at first, and who queues there may go elsewhere.
        config = write_config(tmp_path / "c.yaml", servers, limit=88, adaptive=False)
        code, output = await run_engine("run", config, "--run", "r", "--runs-dir", tmp_path)
    assert code == 0, output
    assert len(watcher.seen) == 2 * 88
    assert all(len(replicas) == 1 for replicas in watcher.seen.values())
    homes = Counter(next(iter(replicas)) for replicas in watcher.seen.values())
    assert min(homes.values()) > 0.15 * 2 * 88


@pytest.mark.asyncio
async def test_no_error_of_a_replica_that_dies_and_returns_reaches_a_conversation(tmp_path: Path) -> None:
    watcher = Watcher()
    watcher.dies_at[1] = (100, 400)
    async with AsyncExitStack() as stack:
        servers = await open_replicas(stack, watcher, 3)
        config = write_config(tmp_path / "c.yaml", servers, limit=110)
        code, output = await run_engine("run", config, "--run", "r", "--runs-dir", tmp_path, "--json")
    assert code == 0, output
    found = records(tmp_path / "r" / "conversations.jsonl")
    assert Counter(record["end_reason"] for record in found) == {"goodbye": 110}
    moved = [side for side, replicas in watcher.seen.items() if len(replicas) > 1]
    assert moved, "some conversations had to move"
    assert all(len(replicas) <= 3 for replicas in watcher.seen.values())


@pytest.mark.asyncio
async def test_one_refused_key_leaves_the_others_at_work(tmp_path: Path) -> None:
    watcher = Watcher()
    watcher.refusing.add(0)
    async with AsyncExitStack() as stack:
        servers = await open_replicas(stack, watcher, 2)
        config = write_config(tmp_path / "c.yaml", servers, limit=22)
        code, output = await run_engine("run", config, "--run", "r", "--runs-dir", tmp_path)
        assert code == 0, output
        watcher.refusing.add(1)
        config = write_config(tmp_path / "c.yaml", servers, limit=44)
        code, output = await run_engine("run", config, "--run", "r", "--runs-dir", tmp_path)
        assert code == 77, output
