"""The benchmark's server: OpenAI's chat-completions format with canned replies, as lean as Python allows.

It has to cost far less than the clients that it measures, so it parses no JSON (unless a prefix cache is
simulated), reads no request header, and keeps counters instead of logs. One process, one event loop; each
replica is a port of its own with its own limits, queue and cache. The first line on stdout is JSON with the
replicas' base URLs.

    POST /v1/chat/completions    a canned reply, a 429, or silence until the latency has passed
    GET  /stats                  counters of this replica, and the server's CPU time
    POST /control                new settings (`Behaviour` fields as JSON), from now on
    POST /reset                  counters to zero
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import resource
import signal
import sys
import time
from array import array
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from math import exp
from typing import Literal, cast

import httptools
import orjson
from benchmarks.canned import Canned, Replies, prompt_tokens
from benchmarks.prefix_cache import PrefixCache
from benchmarks.server_limits import Allowance, Limits, SlidingWindow, TokenBucket

_BACKLOG = 16384
_EDGE = 0.15


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How a replica answers.

    A reply takes `latency_s`, times a log-normal factor of median 1 where `sigma` is set, plus
    `s_per_prompt_token` for each prompt token that is not cached. With `slots`, that many requests are
    served at a time and the rest wait in line. Limits are per minute; `window` is how a minute is counted,
    and a bucket holds `burst_s` seconds' worth. `tells`: replies and refusals say so in their headers. Of
    all requests, `refused_share` are answered 529 at random, whatever the load.
    """

    latency_s: float = 0.0
    sigma: float = 0.0
    s_per_prompt_token: float = 0.0
    slots: int | None = None
    requests_per_min: int | None = None
    tokens_per_min: int | None = None
    max_in_flight: int | None = None
    window: Literal["bucket", "sliding"] = "bucket"
    burst_s: float = 60.0
    tells: bool = True
    refused_share: float = 0.0
    cache_tokens: int | None = None
    seed: int = 0


class Replica:
    """One endpoint: its behaviour, its counters, and the requests that it has in hand."""

    def __init__(self, behaviour: Behaviour, replies: Replies, loop: asyncio.AbstractEventLoop) -> None:
        self._replies = replies
        self._loop = loop
        self._waiting: deque[tuple[Connection, Canned, int, int, float]] = deque()
        self._in_service = 0
        self.in_flight = 0
        self.apply(behaviour)
        self.reset()

    def apply(self, behaviour: Behaviour) -> None:
        """Behave like this from now on; what is in hand stays as it was."""
        before = getattr(self, "behaviour", None)
        self.behaviour = behaviour
        self._random = random.Random(behaviour.seed)
        limits = ("requests_per_min", "tokens_per_min", "max_in_flight", "window", "burst_s")
        if before is None or any(getattr(before, name) != getattr(behaviour, name) for name in limits):
            self._limits = _limits(behaviour)
        if before is None or before.cache_tokens != behaviour.cache_tokens:
            size = behaviour.cache_tokens
            self._cache = None if size is None else PrefixCache(size)

    def reset(self) -> None:
        """Counters to zero."""
        self.requests = self.refused = self.disconnects = self.connections = 0
        self.refused_for: dict[str, int] = {}
        self.peak_in_flight = self.in_flight
        self.prompt_tokens = self.completion_tokens = self.cached_tokens = 0
        self.first_request_at = 0.0
        # Of each reply: when its request had come, and how long it was to take.
        self.asked_at = array("d")
        self.took_s = array("d")
        self.last_reply_at = 0.0
        # What the last thousand replies took, from request to reply, and would have taken without a queue.
        self.latencies_s: deque[float] = deque(maxlen=1000)
        self.works_s: deque[float] = deque(maxlen=1000)

    def serve(self, connection: Connection, body: bytes) -> None:
        """Answer now or later."""
        if not self.requests:
            self.first_request_at = time.monotonic()
        self.requests += 1
        self.in_flight += 1
        if self.in_flight > self.peak_in_flight:
            self.peak_in_flight = self.in_flight
        if self.behaviour.refused_share and self._random.random() < self.behaviour.refused_share:
            self.in_flight -= 1
            self.refused += 1
            self.refused_for["chance"] = self.refused_for.get("chance", 0) + 1
            connection.overloaded()
            return
        canned = self._replies.choose(body)
        cached = 0
        if self._cache is None:
            prompt = prompt_tokens(body)
        else:
            prompt, cached = self._cache.look_up(body)
        if not self._limits.is_none:
            tokens = prompt + canned.completion_tokens
            refusal = self._limits.refusal(time.monotonic(), tokens, self.in_flight)
            if refusal is not None:
                self.in_flight -= 1
                self.refused += 1
                self.refused_for[refusal[0]] = self.refused_for.get(refusal[0], 0) + 1
                connection.refuse(*refusal, self._headers(), tells=self.behaviour.tells)
                return
        delay_s = self._delay_s(prompt - cached)
        connection.asked_at = time.monotonic()
        connection.work_s = delay_s
        self.works_s.append(delay_s)
        if self.behaviour.slots is not None:
            if self._in_service >= self.behaviour.slots:
                self._waiting.append((connection, canned, prompt, cached, delay_s))
                return
            self._in_service += 1
        if delay_s > 0:
            self._loop.call_later(delay_s, self._finish, connection, canned, prompt, cached)
        else:
            self._finish(connection, canned, prompt, cached)

    def _delay_s(self, new_tokens: int) -> float:
        behaviour = self.behaviour
        delay_s = behaviour.latency_s + behaviour.s_per_prompt_token * new_tokens
        if behaviour.sigma:
            delay_s *= exp(behaviour.sigma * self._random.gauss(0.0, 1.0))
        return delay_s

    def _finish(self, connection: Connection, canned: Canned, prompt: int, cached: int) -> None:
        self.in_flight -= 1
        if connection.is_open:
            self.prompt_tokens += prompt
            self.completion_tokens += canned.completion_tokens
            self.cached_tokens += cached
            self.last_reply_at = now = time.monotonic()
            self.asked_at.append(connection.asked_at)
            self.took_s.append(connection.work_s)
            self.latencies_s.append(now - connection.asked_at)
            connection.reply(canned, prompt, cached, self._headers())
        else:
            self.disconnects += 1
        if self.behaviour.slots is not None:
            self._in_service -= 1
            while self._waiting and self._in_service < self.behaviour.slots:
                self._in_service += 1
                following = self._waiting.popleft()
                self._loop.call_later(following[4], self._finish, *following[:4])

    def _headers(self) -> bytes:
        is_silent = self._limits.is_none or not self.behaviour.tells
        return b"" if is_silent else self._limits.headers(time.monotonic())

    def stats(self) -> dict[str, object]:
        """Counters, and how the replies were spread over time."""
        own = resource.getrusage(resource.RUSAGE_SELF)
        return {
            "requests": self.requests,
            "replies": len(self.asked_at),
            "refused": self.refused,
            "refused_for": self.refused_for,
            "disconnects": self.disconnects,
            "connections": self.connections,
            "in_flight": self.in_flight,
            "peak_in_flight": self.peak_in_flight,
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "cached_tokens": self.cached_tokens,
            "first_request_at": self.first_request_at,
            "mean_latency_s": sum(self.works_s) / max(1, len(self.works_s)),
            "p95_s": p95(self.latencies_s),
            "p95_unloaded_s": p95(self.works_s),
            "pace": pace(self.first_request_at, self.last_reply_at, self.asked_at, self.took_s),
            "server_cpu_s": own.ru_utime + own.ru_stime,
            "behaviour": asdict(self.behaviour),
        }

    def __repr__(self) -> str:
        return f"Replica({self.requests} requests, {self.in_flight} in flight, {self.refused} refused)"


def p95(values: deque[float]) -> float:
    """The 95th percentile; a nanosecond of nothing, so that ratios exist."""
    return sorted(values)[int(0.95 * len(values))] if values else 1e-9


def pace(start: float, end: float, asked_at: Sequence[float], took_s: Sequence[float]) -> dict[str, float]:
    """Replies a second over all, in the steady window (first and last 15 % of the time cut off), and in
    those two edges.

    A reply counts for the part of its work that lies in a window. Where all replies take equally long they
    come in waves, and whether the last wave lies just inside a window or just outside would move the figure
    by a wave's worth: 2 % for a window of fifty. What a late server adds to the work counts for nothing.
    """
    if len(asked_at) < 2:
        return {}
    duration = max(end - start, 1e-9)
    low, high = start + _EDGE * duration, start + (1 - _EDGE) * duration
    before = sum(_share_before(low, at, took) for at, took in zip(asked_at, took_s, strict=True))
    until = sum(_share_before(high, at, took) for at, took in zip(asked_at, took_s, strict=True))
    return {
        "duration_s": duration,
        "overall_per_s": len(asked_at) / duration,
        "steady_per_s": (until - before) / (high - low),
        "start_per_s": before / (_EDGE * duration),
        "tail_per_s": (len(asked_at) - until) / (_EDGE * duration),
    }


def _share_before(time: float, asked_at: float, took_s: float) -> float:
    """The share of a reply's work that was done before `time`."""
    if time >= asked_at + took_s:
        return 1.0
    return max(0.0, time - asked_at) / took_s if took_s else 0.0


def _limits(behaviour: Behaviour) -> Limits:
    def allowance(per_min: int | None) -> Allowance | None:
        if per_min is None:
            return None
        return (
            SlidingWindow(per_min)
            if behaviour.window == "sliding"
            else TokenBucket(per_min, burst_s=behaviour.burst_s)
        )

    return Limits(
        requests=allowance(behaviour.requests_per_min),
        tokens=allowance(behaviour.tokens_per_min),
        max_in_flight=behaviour.max_in_flight,
    )


class Connection(asyncio.Protocol):
    """One client connection; requests on it come one at a time, as HTTP/1.1 clients send them."""

    __slots__ = ("_body", "_parser", "_replica", "_transport", "_url", "asked_at", "is_open", "work_s")

    def __init__(self, replica: Replica) -> None:
        self._replica = replica
        self._parser = httptools.HttpRequestParser(self)
        self._body: list[bytes] = []
        self._url = b""
        self.asked_at = self.work_s = 0.0
        self.is_open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self.is_open = True
        self._replica.connections += 1

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_open = False

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._transport.abort()

    def on_url(self, url: bytes) -> None:
        self._url = url

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        body = b"".join(self._body)
        self._body.clear()
        if self._url.endswith(b"/chat/completions"):
            self._replica.serve(self, body)
        else:
            self._answer_aside(self._url, body)

    def reply(self, canned: Canned, prompt: int, cached: int, headers: bytes) -> None:
        self._transport.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n%bcontent-length: %d\r\n\r\n%b"
            % (headers, canned.length, canned.body(prompt, cached))
        )

    def overloaded(self) -> None:
        self._send(b"529 Overloaded", b'{"error": {"message": "Overloaded"}}')

    def refuse(self, what: str, wait_s: float, headers: bytes, *, tells: bool) -> None:
        message = f"Rate limit reached for {what}. Please try again in {wait_s:.3f}s."
        error = {"message": message, "type": what, "param": None, "code": "rate_limit_exceeded"}
        hints = b"retry-after: %d\r\nretry-after-ms: %d\r\n" % (-(-wait_s // 1), wait_s * 1000 + 1)
        self._send(
            b"429 Too Many Requests", orjson.dumps({"error": error}), headers + hints if tells else b""
        )

    def _answer_aside(self, url: bytes, body: bytes) -> None:
        replica = self._replica
        if url == b"/stats":
            self._send(b"200 OK", orjson.dumps(replica.stats()))
        elif url == b"/reset":
            replica.reset()
            self._send(b"200 OK", b"{}")
        elif url == b"/control":
            replica.apply(replace(replica.behaviour, **orjson.loads(body)))
            self._send(b"200 OK", orjson.dumps(asdict(replica.behaviour)))
        elif url.endswith(b"/models"):
            self._send(b"200 OK", b'{"object":"list","data":[]}')
        else:
            self._send(b"404 Not Found", b"{}")

    def _send(self, status: bytes, body: bytes, headers: bytes = b"") -> None:
        self._transport.write(
            b"HTTP/1.1 %b\r\ncontent-type: application/json\r\n%bcontent-length: %d\r\n\r\n%b"
            % (status, headers, len(body), body)
        )


async def serve(behaviour: Behaviour, *, replicas: int = 1, port: int = 0) -> list[asyncio.Server]:
    """Listen on loopback, one port for each replica; port 0 takes free ones."""
    loop = asyncio.get_running_loop()
    replies = Replies()
    servers = []
    for number in range(replicas):
        replica = Replica(replace(behaviour, seed=behaviour.seed + number), replies, loop)
        servers.append(
            await loop.create_server(
                lambda replica=replica: Connection(replica),  # type: ignore[misc]
                "127.0.0.1",
                port + number if port else 0,
                backlog=_BACKLOG,
            )
        )
    return servers


def base_urls(servers: list[asyncio.Server]) -> list[str]:
    """Where the replicas are reached."""
    return [f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1" for server in servers]


async def _run(behaviour: Behaviour, replicas: int, port: int) -> None:
    servers = await serve(behaviour, replicas=replicas, port=port)
    sys.stdout.write(orjson.dumps({"pid": os.getpid(), "base_urls": base_urls(servers)}).decode() + "\n")
    sys.stdout.flush()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(description="The benchmark's server.")
    parser.add_argument("--replicas", type=int, default=1)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--behaviour", default="{}", help="Behaviour fields as JSON")
    arguments = parser.parse_args()
    given = orjson.loads(arguments.behaviour)
    unknown = given.keys() - {field.name for field in fields(Behaviour)}
    if unknown:
        parser.error(f"unknown behaviour: {', '.join(sorted(unknown))}")
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    work = _run(Behaviour(**given), arguments.replicas, arguments.port)
    try:
        import uvloop  # noqa: PLC0415 - not on Windows
    except ImportError:
        asyncio.run(work)
    else:
        uvloop.run(work)


if __name__ == "__main__":
    main()
