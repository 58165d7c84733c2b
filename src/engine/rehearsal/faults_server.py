"""A server on loopback that misbehaves as told: real sockets, raw bytes, no HTTP library.

An `answer` coroutine gets each parsed request as an `Exchange` and writes whatever it likes; the server
only counts. What can be done to connections is a method here; when it is done, is the answer's choice.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from engine.errors import UsageError

_BACKLOG = 2048
_HEAD_BYTES = 1 << 16


@dataclass(slots=True)
class Exchange:
    """One request on one connection. `connection` counts connections from 0, `turn` its requests."""

    connection: int
    turn: int
    head: bytes
    body: bytes
    writer: asyncio.StreamWriter = field(repr=False)
    reader: asyncio.StreamReader = field(repr=False)

    @property
    def method(self) -> str:
        """The request's method, as it came."""
        return self.head.split(b" ", 1)[0].decode("latin-1")

    @property
    def path(self) -> str:
        """The request's target, as it came."""
        return self.head.split(b"\r\n", 1)[0].decode("latin-1").partition(" ")[2].partition(" ")[0]

    def header(self, name: str) -> str:
        """A header's value, or nothing."""
        for line in self.head.split(b"\r\n")[1:]:
            key, _, value = line.partition(b":")
            if key.strip().lower() == name.encode():
                return value.strip().decode("latin-1")
        return ""

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def reply(self, body: bytes, *, status: str = "200 OK", headers: bytes = b"") -> None:
        """Send a well-formed reply and leave the connection open."""
        length = b"content-length: %d\r\n" % len(body)
        await self.send(b"HTTP/1.1 " + status.encode() + b"\r\n" + length + headers + b"\r\n" + body)

    def reset(self) -> None:
        """Close with RST, dropping whatever is unsent."""
        _reset(self.writer)

    async def end(self) -> None:
        """Close politely: what was written arrives, then FIN."""
        self.writer.close()
        with suppress(OSError, ssl.SSLError):
            await self.writer.wait_closed()

    async def wait_for_client_to_leave(self) -> None:
        """Hold the connection until the client closes it: a stall that ends with the call."""
        with suppress(OSError):
            while await self.reader.read(1 << 16):
                pass


Answer = Callable[[Exchange], Awaitable[None]]
_Listen = Callable[[], Awaitable[asyncio.Server]]


@dataclass(slots=True)
class FaultServer:
    """What was seen so far; `url` is where to post. `exchanges` stays empty where none are to be kept."""

    url: str = ""
    port: int = 0
    connections: int = 0
    open_now: int = 0
    most_open: int = 0
    exchanges: list[Exchange] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    _drops: int = 0
    _listener: asyncio.Server | None = None
    _listen: _Listen | None = None
    _return: asyncio.Task[None] | None = None

    @property
    def base_url(self) -> str:
        """What an engine is told."""
        return self.url.removesuffix("/chat/completions")

    async def wait_until(self, reached: Callable[[FaultServer], bool]) -> None:
        """Wait until `reached(self)`; woken on each connection, request and close."""
        async with asyncio.timeout(10):
            while not reached(self):
                self.changed.clear()
                await self.changed.wait()

    def drop_next(self) -> None:
        """Reset the next connection as soon as it is made, before its request is read."""
        self._drops += 1

    def go_down(self, seconds: float) -> None:
        """Refuse new connections for a time; open ones stay."""
        if self._listener is None or self._return is not None:
            return
        self._listener.close()
        self._listener = None
        self._return = asyncio.create_task(self._come_back(seconds))

    async def _come_back(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        assert self._listen is not None
        self._listener = await self._listen()
        self._return = None

    async def start(self, listen: _Listen) -> None:
        """Listen, now and after each time of being down."""
        self._listen = listen
        self._listener = await listen()

    async def stop(self) -> None:
        """Listen no more."""
        if self._return is not None:
            self._return.cancel()
            await asyncio.gather(self._return, return_exceptions=True)
        if self._listener is not None:
            self._listener.close()

    def is_dropped(self) -> bool:
        """Whether this new connection is one to drop."""
        is_dropped = self._drops > 0
        self._drops -= is_dropped
        return is_dropped

    def note_opened(self) -> int:
        self.connections += 1
        self.open_now += 1
        self.most_open = max(self.most_open, self.open_now)
        self.changed.set()
        return self.connections - 1

    def note_closed(self) -> None:
        self.open_now -= 1
        self.changed.set()

    def note_request(self) -> None:
        self.changed.set()


@asynccontextmanager
async def serve_faults(
    answer: Answer,
    *,
    tls: ssl.SSLContext | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
    sock: socket.socket | None = None,
    keeps_exchanges: bool = True,
) -> AsyncIterator[FaultServer]:
    """Serve until the block ends; connections still open then are cut.

    Port 0 picks a free one; `sock` is bound already. Raises `UsageError` where the address cannot be had.
    """
    seen = FaultServer()
    handlers: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        handlers.add(task)
        number = seen.note_opened()
        turn = 0
        try:
            if seen.is_dropped():
                _reset(writer)
                return
            while (request := await read_request(reader)) is not None:
                exchange = Exchange(number, turn, *request, writer, reader)
                if keeps_exchanges:
                    seen.exchanges.append(exchange)
                seen.note_request()
                await answer(exchange)
                if writer.is_closing():
                    break
                turn += 1
        except (OSError, asyncio.CancelledError):
            writer.transport.abort()
        finally:
            seen.note_closed()
            handlers.discard(task)
            writer.close()
            with suppress(OSError, ssl.SSLError, asyncio.CancelledError):
                await writer.wait_closed()

    async def listen() -> asyncio.Server:
        if sock is not None and sock.fileno() >= 0:
            return await asyncio.start_server(handle, sock=sock, ssl=tls, backlog=_BACKLOG, limit=_HEAD_BYTES)
        return await asyncio.start_server(
            handle, host, seen.port or port, ssl=tls, backlog=_BACKLOG, limit=_HEAD_BYTES
        )

    try:
        await seen.start(listen)
    except OSError as error:
        raise UsageError(f"cannot listen on {host}, port {port}: {error.strerror or error}.") from error
    assert seen._listener is not None
    seen.port = seen._listener.sockets[0].getsockname()[1]
    seen.url = f"{'https' if tls else 'http'}://{host}:{seen.port}/v1/chat/completions"
    try:
        yield seen
    finally:
        await seen.stop()
        for task in list(handlers):
            task.cancel()
        await asyncio.gather(*handlers, return_exceptions=True)


def _reset(writer: asyncio.StreamWriter) -> None:
    sock: socket.socket = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def read_request(reader: asyncio.StreamReader) -> tuple[bytes, bytes] | None:
    """Read head and body of one request; None when the client has gone or speaks no HTTP/1.1."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        length = 0
        for line in head.split(b"\r\n"):
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        return head, await reader.readexactly(length)
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError, OSError):
        return None
