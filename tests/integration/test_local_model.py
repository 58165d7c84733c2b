"""A real small model answers over real HTTP, and its process ends with whoever asked for it."""

from __future__ import annotations

import importlib.util
import os
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio
import httpx
import pytest

from engine.errors import ConfigError, Stopped
from engine.local.server import LocalServer, serve_local
from engine.local.weights import ensure_weights

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("xllamacpp") is None, reason="the extra [local] (xllamacpp) is not installed"
)

SETUP = "You play a user who looks for a quiet vegetarian restaurant. Ask one short question at a time."

# Serves until it is killed; says the server's process id and address.
PARENT = """
import anyio, sys
from pathlib import Path
from engine.local.server import serve_local

async def main():
    async with serve_local(Path(sys.argv[1]), slots=1, context_tokens=512) as server:
        print(server.process.pid, server.base_url, flush=True)
        await anyio.sleep_forever()

anyio.run(main)
"""


@pytest.fixture(scope="session")
def model() -> Path:
    try:
        return ensure_weights()
    except ConfigError as error:
        pytest.skip(str(error))


async def ask(client: httpx.AsyncClient, server: LocalServer, text: str, **more: Any) -> dict[str, Any]:
    body = {
        "model": server.model,
        "messages": [{"role": "system", "content": SETUP}, {"role": "user", "content": text}],
        "max_tokens": 12,
        "temperature": 0.7,
        "seed": 7,
        **more,
    }
    reply = await client.post(f"{server.base_url}/chat/completions", json=body)
    assert reply.status_code == 200, reply.text
    decoded: dict[str, Any] = reply.json()
    return decoded


def is_listening(base_url: str) -> bool:
    parts = urlsplit(base_url)
    with socket.socket() as probe:
        return probe.connect_ex((str(parts.hostname), int(parts.port or 0))) == 0


@pytest.mark.asyncio
async def test_replies_hold_text_and_usage_and_the_process_ends_with_the_context(model: Path) -> None:
    async with (
        serve_local(model, slots=2, context_tokens=512) as server,
        httpx.AsyncClient(timeout=60) as client,
    ):
        assert is_listening(server.base_url)
        first = await ask(client, server, "Hello! How can I help you?")
        second = await ask(client, server, "Hello! How can I help you?")
    for reply in (first, second):
        assert reply["choices"][0]["message"]["content"].strip()
        assert reply["choices"][0]["finish_reason"] in {"stop", "length"}
        assert reply["model"] == server.model
        assert reply["usage"]["prompt_tokens"] > 20
        assert 0 < reply["usage"]["completion_tokens"] <= 12
    assert first["usage"]["prompt_tokens_details"]["cached_tokens"] == 0
    assert second["usage"]["prompt_tokens_details"]["cached_tokens"] > 20
    assert server.process.returncode == 0
    assert not is_listening(server.base_url)


@pytest.mark.asyncio
async def test_exact_replies_do_not_depend_on_cache_or_company(model: Path) -> None:
    texts = ["Hello!", "Hello! How can I help you?"]
    replies: dict[str, set[str]] = {text: set() for text in texts}
    async with (
        serve_local(model, slots=2, context_tokens=512, exact=True) as server,
        httpx.AsyncClient(timeout=60) as client,
    ):

        async def collect(text: str, **more: Any) -> None:
            reply = await ask(client, server, text, max_tokens=8, **more)
            replies[text].add(reply["choices"][0]["message"]["content"])

        async with anyio.create_task_group() as group:
            for text in [*texts, *reversed(texts)]:
                group.start_soon(collect, text)
        for text in texts:
            await collect(text, cache_prompt=False)
    assert [len(found) for found in replies.values()] == [1, 1]


@pytest.mark.asyncio
async def test_death_of_the_server_is_reported(model: Path) -> None:
    async with serve_local(model, slots=1, context_tokens=512) as server:
        server.process.kill()
        with pytest.raises(Stopped, match="-9"):
            await server.watch()


@pytest.fixture
def damaged(model: Path, tmp_path: Path) -> Path:
    path = tmp_path / "damaged.gguf"
    path.write_bytes(model.read_bytes()[:1_000_000])
    return path


@pytest.mark.asyncio
async def test_damaged_model_is_reported_with_the_servers_words(damaged: Path) -> None:
    with pytest.raises(ConfigError, match="Failed to init server"):
        async with serve_local(damaged, slots=1, context_tokens=512):
            pytest.fail("it started")


@pytest.mark.asyncio
async def test_cancellation_ends_the_process(model: Path) -> None:
    with anyio.CancelScope() as scope:
        async with serve_local(model, slots=1, context_tokens=512) as server:
            scope.cancel()
            await anyio.sleep_forever()
    assert server.process.returncode == 0


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="needs Linux's pidfd")
def test_server_dies_with_a_killed_parent(model: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(model)], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pid, base_url = parent.stdout.readline().split()
        server = os.pidfd_open(int(pid))
        parent.send_signal(signal.SIGKILL)
    try:
        assert select.select([server], [], [], 10)[0], "the server outlived its parent"
    finally:
        os.close(server)
    assert not is_listening(base_url)
