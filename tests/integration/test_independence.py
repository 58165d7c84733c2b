"""A request is a function of its own job: a canary of one conversation is in no other's requests (P8)."""

from __future__ import annotations

import re
from collections import defaultdict
from itertools import count
from pathlib import Path

import orjson
import pytest
from tests.doubles.command_line import run_engine, start_engine

from engine.rehearsal.replies import Reply
from engine.rehearsal.server import serve
from engine.scenarios.profile_pool import dump_profiles
from engine.schema.profile import ASPECTS, Profile

CANARY = re.compile(r"canary-(\w+)-\d+")


class CanaryServer:
    """Puts a canary that names its conversation into every reply; fails some tries, kills on demand."""

    def __init__(self) -> None:
        self.seen: dict[str, set[str]] = defaultdict(set)
        self.requests = count(1)
        self.kill_at = 0
        self.process: object = None

    def __call__(self, request: dict[str, object], raw: bytes) -> Reply:
        number = next(self.requests)
        job_id, _, side = str(request["prompt_cache_key"]).rpartition("/")
        conversation = job_id.replace("-", "_")
        self.seen[conversation] |= set(CANARY.findall(raw.decode()))
        if number == self.kill_at:
            self.process.kill()  # type: ignore[attr-defined]
        if number % 7 == 0:
            return Reply(429, b"{}", (("retry-after-ms", "50"),))
        if number % 11 == 0:
            return Reply(500, b"{}", (("retry-after-ms", "50"),))
        messages = request["messages"]
        assert isinstance(messages, list)
        spoken = sum(message["role"] == "assistant" for message in messages)
        text = f"Something new, canary-{conversation}-{number}."
        if side == "simulator" and spoken >= 3:
            text = "Thank you, goodbye."
        body = {"choices": [{"message": {"content": text}, "finish_reason": "stop"}]}
        return Reply(body=orjson.dumps(body), delay_s=0.002)


@pytest.mark.asyncio
@pytest.mark.parametrize("concurrency", [1, 64])
async def test_canaries_stay_in_their_own_conversation(tmp_path: Path, concurrency: int) -> None:
    pool = tmp_path / "pool.jsonl"
    aspects = {aspect.key: f"canary-{{}}-{i}" for i, aspect in enumerate(ASPECTS)}
    profiles = [
        Profile(f"c{n}", {key: text.format(f"profilec{n}") for key, text in aspects.items()})
        for n in range(4)
    ]
    dump_profiles(profiles, pool)
    server = CanaryServer()
    limit = 20 if concurrency == 1 else 88
    async with serve(replier=server) as listening:
        command = (
            "run", "--run", "canary", "--profiles", pool, "--runs-dir", tmp_path,
            "--concurrency", str(concurrency), "--base-url", listening.base_url,
            "--simulator", "s", "--assistant", "a", "--no-adaptive",
            "--limit", str(limit),
        )  # fmt: skip
        server.kill_at = 100
        server.process = process = await start_engine(*command)
        await process.communicate()
        assert process.returncode == -9
        code, output = await run_engine(*command)
        assert code == 0, output
    assert len(server.seen) == limit
    for conversation, canaries in server.seen.items():
        own_profile = "profile" + conversation.split("_")[2]
        assert canaries == {conversation, own_profile}
