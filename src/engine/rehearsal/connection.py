"""One client connection: bytes to requests, replies to bytes, one request at a time and in order.

Pipelined requests wait in a queue; reading pauses while it is long, so that a client cannot fill memory.
A client that leaves while its reply is pending takes the timer with it, and nothing else.
"""

from __future__ import annotations

import asyncio
from collections import deque
from http import HTTPStatus
from typing import NamedTuple, cast

import httptools

from engine.rehearsal.replies import Reply, error_reply
from engine.rehearsal.service import Service

MAX_BODY_BYTES = 32 * 1024 * 1024
MAX_HEAD_BYTES = 64 * 1024
MAX_QUEUED = 16
# Where the other formats carry their key.
_KEY_HEADERS = frozenset({b"x-api-key", b"x-goog-api-key", b"api-key"})
_REASONS = {status.value: status.phrase for status in HTTPStatus}


class _Request(NamedTuple):
    method: str
    path: str
    authorization: bytes
    body: bytes
    keep_alive: bool


class Connection(asyncio.Protocol):
    """Server side of one connection; `connections` is the server's set of those that are open."""

    def __init__(self, service: Service, connections: set[Connection]) -> None:
        self._service = service
        self._connections = connections
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._queue: deque[_Request | Reply] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._busy = False
        self._closing = False
        self._paused = False
        self._can_write = True
        self._start_request()

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not an isinstance check: uvloop's transports are no subclass.
        self._transport = cast("asyncio.Transport", transport)
        self._connections.add(self)

    def data_received(self, data: bytes) -> None:
        if self._closing:
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            # A callback that refuses a request raises through the parser, having queued its own reply.
            if not self._closing:
                self._refuse(error_reply(400, "This is not an HTTP/1.1 request."))
        if self._head_bytes and not self._in_body:
            # Approximate on purpose: it bounds what an endless head can make us keep.
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES and not self._closing:
                self._refuse(error_reply(431, "The request's head is too large."))
        self._serve_next()

    def pause_writing(self) -> None:
        self._can_write = False

    def resume_writing(self) -> None:
        self._can_write = True
        self._serve_next()

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.discard(self)
        self._closing = True
        self._queue.clear()
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._service.end_chat()
            self._service.stats.disconnects += 1

    def close(self) -> None:
        """Drop the connection and whatever is pending on it."""
        if self._transport is not None:
            self._transport.abort()

    # What the parser calls.

    def _start_request(self) -> None:
        self._url = bytearray()
        self._authorization = b""
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._head_bytes = 0
        self._in_body = False

    def on_message_begin(self) -> None:
        self._start_request()
        self._head_bytes = 1

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name == b"authorization":
            self._authorization = value
        elif name in _KEY_HEADERS:
            self._authorization = b"Bearer " + value

    def on_headers_complete(self) -> None:
        self._in_body = True

    def on_body(self, chunk: bytes) -> None:
        self._body_bytes += len(chunk)
        if self._body_bytes > MAX_BODY_BYTES:
            self._body.clear()
            self._refuse(error_reply(413, f"The body is over {MAX_BODY_BYTES} bytes."))
            raise ValueError("body too large")
        self._body.append(chunk)

    def on_message_complete(self) -> None:
        if self._closing:
            return
        method = self._parser.get_method().decode("ascii", "replace")
        path = self._url.decode("ascii", "replace")
        body = b"".join(self._body)
        self._queue.append(
            _Request(method, path, self._authorization, body, self._parser.should_keep_alive())
        )
        self._start_request()
        if len(self._queue) > MAX_QUEUED and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    # One request after the other.

    def _refuse(self, reply: Reply) -> None:
        """Queue a last reply, after which the connection closes; nothing more is read."""
        self._closing = True
        self._queue.append(reply)

    def _serve_next(self) -> None:
        while self._queue and self._can_write and not self._busy and self._transport is not None:
            first = self._queue.popleft()
            if isinstance(first, Reply):
                self._write(first, keep_alive=False)
            elif (reply := self._service.route(first.method, first.path)) is not None:
                self._write(reply, keep_alive=first.keep_alive)
            else:
                self._serve_chat(first)
        if self._paused and len(self._queue) <= MAX_QUEUED // 2 and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()

    def _serve_chat(self, request: _Request) -> None:
        reply = self._service.begin_chat(request.body, request.authorization, request.path)
        if reply.events and reply.delay_s > 0:
            self._busy = True
            self._stream_later(reply, request.keep_alive, 0)
        elif reply.delay_s > 0:
            self._busy = True
            self._timer = self._loop.call_later(reply.delay_s, self._finish_later, reply, request.keep_alive)
        else:
            self._finish_chat(reply, request.keep_alive)

    def _finish_later(self, reply: Reply, keep_alive: bool) -> None:
        self._timer = None
        self._busy = False
        self._finish_chat(reply, keep_alive)
        self._serve_next()

    def _stream_later(self, reply: Reply, keep_alive: bool, at: int) -> None:
        """Send event `at` of a stream when it is due, and so on to the last."""
        interval_s = reply.delay_s / len(reply.events)
        self._timer = self._loop.call_later(interval_s, self._stream_event, reply, keep_alive, at)

    def _stream_event(self, reply: Reply, keep_alive: bool, at: int) -> None:
        assert self._transport is not None
        is_last = at + 1 == len(reply.events)
        head = b"" if at else self._head(reply, keep_alive, "transfer-encoding: chunked")
        event = reply.events[at]
        end = b"0\r\n\r\n" if is_last else b""
        self._transport.write(head + b"%x\r\n%b\r\n%b" % (len(event), event, end))
        if not is_last:
            self._stream_later(reply, keep_alive, at + 1)
            return
        self._timer = None
        self._busy = False
        self._service.end_chat()
        self._end(keep_alive)
        self._serve_next()

    def _finish_chat(self, reply: Reply, keep_alive: bool) -> None:
        self._service.end_chat()
        if reply.abort:
            self._closing = True
            self._queue.clear()
            self.close()
        else:
            self._write(reply, keep_alive=keep_alive)

    def _write(self, reply: Reply, *, keep_alive: bool) -> None:
        assert self._transport is not None
        content = reply.content
        self._transport.write(self._head(reply, keep_alive, f"content-length: {len(content)}") + content)
        self._end(keep_alive)

    def _head(self, reply: Reply, keep_alive: bool, framing: str) -> bytes:
        self._service.stats.by_status[str(reply.status)] += 1
        head = [f"HTTP/1.1 {reply.status} {_REASONS.get(reply.status, 'Unknown')}"]
        head += [f"{name}: {value}" for name, value in reply.headers]
        head.append(f"content-type: {reply.content_type}\r\n{framing}")
        if not keep_alive:
            head.append("connection: close")
        return "\r\n".join(head).encode("latin-1") + b"\r\n\r\n"

    def _end(self, keep_alive: bool) -> None:
        assert self._transport is not None
        if not keep_alive:
            self._closing = True
            self._queue.clear()
            self._transport.close()
