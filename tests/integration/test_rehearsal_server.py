"""The rehearsal endpoint over real sockets: connections, malformed requests, limits, processes."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import orjson
import pytest

from engine.errors import UsageError
from engine.rehearsal.replies import Reply
from engine.rehearsal.server import RehearsalServer, serve
from engine.rehearsal.settings import Fixed, LogNormal, PerToken, RehearsalSettings, delay_seconds

pytestmark = pytest.mark.asyncio
_ASK = {"model": "vendor/m", "messages": [{"role": "user", "content": "I need a gift for my teacher."}]}


class Got(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


class Client:
    """A raw keep-alive connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def connect(cls, server: RehearsalServer) -> Client:
        return cls(*await asyncio.open_connection(server.host, server.port))

    async def read(self) -> Got:
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
        return Got(
            int(head[0].split()[1]), headers, await self.reader.readexactly(int(headers["content-length"]))
        )

    async def ask(self, body: object = _ASK, *extra: str, path: str = "/v1/chat/completions") -> Got:
        self.writer.write(post(body, *extra, path=path))
        return await self.read()

    async def close(self) -> None:
        self.writer.close()
        with suppress(ConnectionError):
            await self.writer.wait_closed()


def post(body: object, *extra: str, path: str = "/v1/chat/completions") -> bytes:
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    head = [f"POST {path} HTTP/1.1", "Host: x", f"Content-Length: {len(raw)}", *extra]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + raw


async def test_reply_has_the_format_and_no_time_in_it() -> None:
    async with serve(RehearsalSettings(seed=7)) as server:
        client = await Client.connect(server)
        first, second = await client.ask(), await client.ask({**_ASK, "unknown": [1]})
        await client.close()
    assert first.body == second.body
    reply = orjson.loads(first.body)
    assert reply["model"] == "vendor/m"
    assert reply["created"] == 0
    assert reply["system_fingerprint"] == "rehearsal-7"
    assert reply["choices"][0]["finish_reason"] == "stop"
    usage = reply["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert usage["prompt_tokens_details"] == {"cached_tokens": 0}


async def test_max_tokens_ends_a_reply_with_length() -> None:
    async with serve() as server:
        client = await Client.connect(server)
        reply = orjson.loads((await client.ask({**_ASK, "max_tokens": 5})).body)
        await client.close()
    assert reply["choices"][0]["finish_reason"] == "length"
    assert reply["usage"]["completion_tokens"] <= 5


async def test_pipelined_requests_are_answered_in_order_whatever_their_delays() -> None:
    asks = [{**_ASK, "model": f"m{i}"} for i in range(40)]
    async with serve(RehearsalSettings(delay=LogNormal(0.001, 1.0))) as server:
        client = await Client.connect(server)
        client.writer.write(b"".join(map(post, asks)))
        models = [orjson.loads((await client.read()).body)["model"] for _ in asks]
        await client.close()
        assert server.stats.in_flight == 0
    assert models == [ask["model"] for ask in asks]


async def test_request_in_single_bytes_and_in_chunks_is_the_same_request() -> None:
    raw = orjson.dumps(_ASK)
    chunked = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
    chunked += b"Transfer-Encoding: chunked\r\n\r\n"
    chunked += b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (raw[:9], raw[9:])) + b"0\r\n\r\n"
    async with serve() as server:
        client = await Client.connect(server)
        plain = await client.ask()
        client.writer.write(chunked)
        assert await client.read() == plain
        for byte in post(_ASK):
            client.writer.write(bytes([byte]))
            await client.writer.drain()
        assert await client.read() == plain
        await client.close()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b'{"model":"m","messages":[{"role":"user","content":"\\ud800"}]}',
        b"[" * 100_000,
        b'{"model":"m","messages":' + b"[" * 5000 + b"]" * 5000 + b"}",
        {},
        {"messages": _ASK["messages"]},
        {"model": 1, "messages": _ASK["messages"]},
        {"model": "m", "messages": []},
        {"model": "m", "messages": "hello"},
        {"model": "m", "messages": [1]},
        {"model": "m", "messages": [{"role": "user"}]},
        {"model": "m", "messages": [{"role": "wizard", "content": "x"}]},
        {"model": "m", "messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
        {**_ASK, "max_tokens": 0},
        {**_ASK, "max_tokens": True},
        {**_ASK, "n": 2},
        {**_ASK, "prompt_cache_key": 1},
    ],
)
async def test_malformed_request_gets_a_400_and_the_connection_lives_on(body: object) -> None:
    async with serve() as server:
        client = await Client.connect(server)
        got = await client.ask(body)
        assert got.status == 400
        assert orjson.loads(got.body)["error"]["type"] == "invalid_request_error"
        assert (await client.ask()).status == 200
        await client.close()


async def test_bytes_that_are_no_http_get_a_400_and_a_close() -> None:
    async with serve() as server:
        client = await Client.connect(server)
        client.writer.write(b"\x16\x03\x01 hello\r\n\r\n")
        assert (await client.read()).status == 400
        assert await client.reader.read() == b""
        await client.close()


async def test_endless_head_is_refused() -> None:
    async with serve() as server:
        client = await Client.connect(server)
        client.writer.write(b"GET /stats HTTP/1.1\r\n" + b"X-A: " + b"a" * 200_000)
        assert (await client.read()).status == 431
        await client.close()


async def test_body_over_the_limit_is_refused() -> None:
    async with serve() as server:
        client = await Client.connect(server)
        client.writer.write(post(b" " * (32 * 1024 * 1024 + 1)))
        assert (await client.read()).status == 413
        await client.close()


async def test_other_routes() -> None:
    async with serve() as server:
        client = await Client.connect(server)
        assert (await client.ask(path="/v1/embeddings")).status == 404
        assert (await client.ask(path="/v1/models")).status == 405
        client.writer.write(
            b"GET /v1/models HTTP/1.1\r\nHost: x\r\n\r\nGET /stats HTTP/1.1\r\nHost: x\r\n\r\n"
        )
        assert orjson.loads((await client.read()).body)["data"][0]["id"] == "rehearsal"
        stats = orjson.loads((await client.read()).body)
        assert stats["requests"] == 0
        assert stats["by_status"] == {"200": 1, "404": 1, "405": 1}
        client.writer.write(b"GET /stats HTTP/1.0\r\n\r\n")
        assert (await client.read()).headers["connection"] == "close"
        await client.close()


async def test_key_is_required_where_one_is_set() -> None:
    async with serve(RehearsalSettings(api_key="k")) as server:
        client = await Client.connect(server)
        assert (await client.ask()).status == 401
        assert (await client.ask(_ASK, "Authorization: Bearer k")).status == 200
        await client.close()
    assert "'k'" not in repr(RehearsalSettings(api_key="k"))


async def test_more_than_max_in_flight_get_429_with_retry_after() -> None:
    async with serve(RehearsalSettings(delay=Fixed(0.05), max_in_flight=2)) as server:
        clients = [await Client.connect(server) for _ in range(5)]
        replies = await asyncio.gather(*(client.ask() for client in clients))
        assert sorted(got.status for got in replies) == [200, 200, 429, 429, 429]
        assert all(got.headers["retry-after"] == "1" for got in replies if got.status == 429)
        assert server.stats.in_flight == 0
        await asyncio.gather(*(client.close() for client in clients))


async def test_client_that_leaves_while_waiting_is_survived() -> None:
    async with serve(RehearsalSettings(delay=Fixed(30))) as server:
        client = await Client.connect(server)
        client.writer.write(post(_ASK) * 3)
        await _until(lambda: server.stats.in_flight == 1)
        client.writer.transport.abort()
        await _until(lambda: server.stats.in_flight == 0)
        assert server.stats.disconnects == 1


@pytest.mark.parametrize("delay_s", [0.0, 0.1])
async def test_stream_says_what_the_whole_reply_says(delay_s: float) -> None:
    async with serve(RehearsalSettings(delay=Fixed(delay_s))) as server:
        client = await Client.connect(server)
        whole = orjson.loads((await client.ask()).body)
        for usage in (None, whole["usage"]):
            options = {} if usage is None else {"stream_options": {"include_usage": True}}
            client.writer.write(post({**_ASK, "stream": True, **options}))
            head = await client.reader.readuntil(b"\r\n\r\n")
            assert b"content-type: text/event-stream" in head
            sizes = await client.reader.readuntil(b"[DONE]\n\n")
            data = [line[6:] for line in sizes.splitlines() if line.startswith(b"data: {")]
            chunks = [orjson.loads(each) for each in data]
            assert (b"chunked" in head) == (delay_s > 0)
            if delay_s:
                assert await client.reader.readexactly(7) == b"\r\n0\r\n\r\n"
            choices = [each["choices"][0] for each in chunks if each["choices"]]
            text = "".join(choice["delta"].get("content", "") for choice in choices)
            assert text == whole["choices"][0]["message"]["content"]
            assert [choice["finish_reason"] for choice in choices][-1] == "stop"
            assert chunks[-1].get("usage") == usage
            assert {each["id"] for each in chunks} == {whole["id"]}
        assert (await client.ask()).status == 200
        await client.close()
        assert (server.stats.in_flight, server.stats.by_status["200"]) == (0, 4)


async def test_client_that_leaves_in_a_stream_is_survived() -> None:
    async with serve(RehearsalSettings(delay=Fixed(3))) as server:
        client = await Client.connect(server)
        client.writer.write(post({**_ASK, "stream": True}))
        await client.reader.readuntil(b"data: ")
        client.writer.transport.abort()
        await _until(lambda: server.stats.in_flight == 0)
        assert server.stats.disconnects == 1


async def test_replier_scripts_replies_and_aborts() -> None:
    def script(body: dict[str, object], raw: bytes) -> Reply | None:
        if body["model"] == "broken":
            return Reply(abort=True)
        return Reply(503, b"busy", (("x-a", "b"),)) if body["model"] == "busy" else None

    async with serve(replier=script) as server:
        client = await Client.connect(server)
        busy = await client.ask({**_ASK, "model": "busy"})
        assert (busy.status, busy.body, busy.headers["x-a"]) == (503, b"busy", "b")
        assert (await client.ask()).status == 200
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await client.ask({**_ASK, "model": "broken"})
        await client.close()


async def test_two_hundred_connections_get_what_one_gets() -> None:
    async with serve() as server:
        lone = await Client.connect(server)
        expected = [(await lone.ask({**_ASK, "seed": i})).body for i in range(10)]

        async def client_run() -> None:
            client = await Client.connect(server)
            assert [(await client.ask({**_ASK, "seed": i})).body for i in range(10)] == expected
            await client.close()

        await asyncio.gather(*(client_run() for _ in range(200)))
        await lone.close()
        assert server.stats.by_status == {"200": 2010}


async def test_only_loopback_is_bound_unless_allowed() -> None:
    for host in ("0.0.0.0", "example.org"):
        with pytest.raises(UsageError):
            async with serve(host=host):
                pass
    async with serve(host="localhost") as server:
        assert server.base_url == f"http://127.0.0.1:{server.port}/v1"


async def test_delays_follow_the_request() -> None:
    assert delay_seconds(PerToken(0.01, 0.5), 1, 100) == pytest.approx(1.5)
    drawn = sorted(delay_seconds(LogNormal(0.2, 0.5), digest, 1) for digest in range(2001))
    assert drawn[1000] == pytest.approx(0.2, rel=0.06)
    assert delay_seconds(LogNormal(0.2), 5, 1) == delay_seconds(LogNormal(0.2), 5, 900)


_PROGRAM = """
import sys
from pathlib import Path
from engine.rehearsal.server import run_forever
from engine.rehearsal.settings import RehearsalSettings
settings = RehearsalSettings(request_log=Path(sys.argv[1]))
sys.exit(run_forever(settings, exit_with_stdin=sys.argv[2] == "stdin"))
"""


async def _start(log: Path, mode: str) -> tuple[asyncio.subprocess.Process, int]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _PROGRAM, str(log), mode), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    line = (await process.stdout.readline()).decode()
    return process, int(line.rsplit(":", 1)[1].split("/")[0])


async def test_request_log_survives_a_kill(tmp_path: Path) -> None:
    process, port = await _start(tmp_path / "log.jsonl", "signals")
    client = Client(*await asyncio.open_connection("127.0.0.1", port))
    for i in range(5):
        assert (await client.ask({**_ASK, "seed": i})).status == 200
    process.kill()
    await process.wait()
    await client.close()
    lines = (tmp_path / "log.jsonl").read_bytes().splitlines()
    assert [orjson.loads(line)["seed"] for line in lines] == list(range(5))


@pytest.mark.parametrize("how", ["SIGINT", "SIGTERM", "stdin"])
async def test_process_exits_with_0_on_request(tmp_path: Path, how: str) -> None:
    process, _ = await _start(tmp_path / "log.jsonl", how)
    if how == "stdin":
        assert process.stdin is not None
        process.stdin.close()
    else:
        process.send_signal(getattr(signal, how))
    assert await asyncio.wait_for(process.wait(), 10) == 0


async def _until(condition: object) -> None:
    """Let the loop run until the condition holds; the test's own time limit bounds it."""
    assert callable(condition)
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - the server has no event for its counts
            await asyncio.sleep(0)
