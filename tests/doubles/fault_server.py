"""A server on loopback that misbehaves as told: real sockets, raw bytes, no HTTP library.

The test's `answer` coroutine gets each parsed request as an `Exchange` and writes whatever it likes.
The server only counts: what a client does with its connections is part of the transports' contract.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field


@dataclass(slots=True)
class Exchange:
    """One request on one connection. `connection` counts connections from 0, `turn` its requests."""

    connection: int
    turn: int
    head: bytes
    body: bytes
    writer: asyncio.StreamWriter
    reader: asyncio.StreamReader

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def reply(self, body: bytes, *, status: str = "200 OK", headers: bytes = b"") -> None:
        """Send a well-formed reply and leave the connection open."""
        length = b"content-length: %d\r\n" % len(body)
        await self.send(b"HTTP/1.1 " + status.encode() + b"\r\n" + length + headers + b"\r\n" + body)

    def reset(self) -> None:
        """Close with RST, dropping whatever is unsent."""
        sock: socket.socket = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def end(self) -> None:
        """Close politely: what was written arrives, then FIN."""
        self.writer.close()
        with suppress(OSError, ssl.SSLError):
            await self.writer.wait_closed()

    async def wait_for_client_to_leave(self) -> None:
        """Hold the connection until the client closes it: a stall that ends with the test."""
        with suppress(OSError):
            while await self.reader.read(1 << 16):
                pass


Answer = Callable[[Exchange], Awaitable[None]]


@dataclass(slots=True)
class FaultServer:
    """What was seen so far; `url` is where to post."""

    url: str = ""
    connections: int = 0
    open_now: int = 0
    most_open: int = 0
    exchanges: list[Exchange] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def wait_until(self, reached: Callable[[FaultServer], bool]) -> None:
        """Wait until `reached(self)`; woken on each connection, request and close."""
        async with asyncio.timeout(10):
            while not reached(self):
                self.changed.clear()
                await self.changed.wait()

    def note_opened(self) -> int:
        self.connections += 1
        self.open_now += 1
        self.most_open = max(self.most_open, self.open_now)
        self.changed.set()
        return self.connections - 1

    def note_closed(self) -> None:
        self.open_now -= 1
        self.changed.set()

    def note_request(self, exchange: Exchange) -> None:
        self.exchanges.append(exchange)
        self.changed.set()


@asynccontextmanager
async def serve_faults(
    answer: Answer, *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1"
) -> AsyncIterator[FaultServer]:
    """Serve until the block ends; connections still open then are cut."""
    seen = FaultServer()
    handlers: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        handlers.add(task)
        number = seen.note_opened()
        turn = 0
        try:
            while (request := await read_request(reader)) is not None:
                exchange = Exchange(number, turn, *request, writer, reader)
                seen.note_request(exchange)
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

    server = await asyncio.start_server(handle, host, 0, ssl=tls, backlog=2048)
    port = server.sockets[0].getsockname()[1]
    seen.url = f"{'https' if tls else 'http'}://{host}:{port}/v1/chat/completions"
    try:
        yield seen
    finally:
        server.close()
        for task in list(handlers):
            task.cancel()
        await asyncio.gather(*handlers, return_exceptions=True)
        await server.wait_closed()


async def read_request(reader: asyncio.StreamReader) -> tuple[bytes, bytes] | None:
    """Read head and body of one request; None when the client has gone."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        length = 0
        for line in head.split(b"\r\n"):
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        return head, await reader.readexactly(length)
    except (asyncio.IncompleteReadError, OSError):
        return None
