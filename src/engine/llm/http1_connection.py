"""One HTTP/1.1 connection of a client: one call at a time, its bytes parsed as they come.

The rule here: whatever a server sends, what is kept of it is bounded, and a call ends exactly once, with a
reply or with a `TransportFailed` that says how far it got. Nothing here waits: the event loop calls in,
and the connection tells its owner when it is free again or gone.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Iterator, Mapping
from typing import Protocol, cast

import httptools

from engine.errors import TransportFailed
from engine.llm.request_head import RequestHead
from engine.llm.transport import RawReply, refuse_encoding, too_large

# Bounds a head, and likewise trailers and whatever else comes between two pieces of a body.
MAX_HEAD_BYTES = 64 * 1024
GZIP_ONLY = 16 + zlib.MAX_WBITS


class Owner(Protocol):
    """Who opened a connection."""

    def send_soon(self, transport: asyncio.Transport, request: bytes) -> None:
        """Write a request in this turn of the event loop, together with others."""

    def connection_is_free(self, connection: Connection) -> None:
        """Its call has ended, and it can take another one."""

    def connection_is_gone(self, connection: Connection) -> None:
        """It is closed; its slot is free."""


class HeaderFields(Mapping[str, str]):
    """The header fields of a reply, by lower-case name; decoded when first read, which most never are."""

    __slots__ = ("_decoded", "_fields")

    def __init__(self, fields: list[tuple[bytes, bytes]]) -> None:
        self._fields = fields
        self._decoded: dict[str, str] | None = None

    def _read(self) -> dict[str, str]:
        if self._decoded is None:
            self._decoded = {
                name.decode("latin-1").lower(): value.decode("latin-1") for name, value in self._fields
            }
        return self._decoded

    def __getitem__(self, name: str) -> str:
        return self._read()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._read())

    def __len__(self) -> int:
        return len(self._read())

    def __repr__(self) -> str:
        return f"HeaderFields({len(self._fields)} fields)"


class Call:
    """One POST on its way. `future` brings the reply; `due` is its deadline on the loop's clock.

    Where silence has a deadline of its own, `due` is put off as bytes come, to `last_due` at most.

    It is where exactly one of these holds it: the queue, the task that connects for it, a connection.
    """

    __slots__ = ("connecting", "connection", "due", "future", "head", "is_sent", "last_due", "request")

    def __init__(self, head: RequestHead, request: bytes, due: float, future: asyncio.Future[RawReply]):
        self.head = head
        self.request = request
        self.due = due
        self.future = future
        self.is_sent = False
        self.last_due: float
        self.connecting: asyncio.Task[None] | None = None
        self.connection: Connection | None = None

    def put_off(self, due: float) -> None:
        """Be due at `due`, and never after the deadline of the whole; only where `last_due` was set."""
        self.due = min(due, self.last_due)

    def fail(self, reason: str, what: str, cause: BaseException | None = None) -> None:
        """End without a reply; without effect where the call has ended."""
        if not self.future.done():
            failure = TransportFailed(
                reason,
                f"{self.head.origin}: {what}",
                possibly_paid=self.is_sent,
                no_byte_received=self.connection is None or not self.connection.has_bytes,
            )
            failure.__cause__ = cause
            self.future.set_exception(failure)


class Connection(asyncio.Protocol):
    """A connection to `origin`, open or about to be. `idle_since` counts only while it has no call."""

    __slots__ = (
        "_body", "_call", "_failure", "_fields", "_first_s", "_idle_timeout_s", "_in_body", "_inflate",
        "_is_spent", "_max_body_bytes", "_owner", "_parser", "_reply", "_sent_at", "_size", "_transport",
        "_unframed", "has_bytes", "idle_since", "origin",
    )  # fmt: skip

    def __init__(
        self, owner: Owner, origin: str, max_body_bytes: int, idle_timeout_s: float | None = None
    ) -> None:
        self._owner = owner
        self._idle_timeout_s = idle_timeout_s
        self._max_body_bytes = max_body_bytes
        self._transport: asyncio.Transport | None = None
        self._parser: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)
        self._call: Call | None = None
        self._is_spent = False
        self._sent_at = 0.0  # this and the next where silence has a deadline
        self._first_s: float | None = None
        self.origin = origin
        self.idle_since = 0.0
        self._begin()

    def _begin(self) -> None:
        self._fields: list[tuple[bytes, bytes]] = []
        self._body: list[bytes] = []
        self._size = 0
        self._inflate: zlib._Decompress | None = None
        self._in_body = False
        self._reply: RawReply | None = None
        self._failure: TransportFailed | None = None
        self._unframed = 0
        self.has_bytes = False

    @property
    def is_open(self) -> bool:
        """Whether a call can be sent."""
        return self._transport is not None and not self._transport.is_closing()

    def send(self, call: Call) -> None:
        """Send a call's request; only while open and free."""
        assert self._transport is not None
        self._call = call
        call.connection = self
        call.is_sent = True
        self._owner.send_soon(self._transport, call.request)
        call.request = b""
        if self._idle_timeout_s is not None:
            self._sent_at, self._first_s = asyncio.get_running_loop().time(), None
            call.put_off(self._sent_at + self._idle_timeout_s)

    def abort(self) -> None:
        """Close at once, leaving the call that is on it to whoever aborts."""
        self._is_spent = True
        if self._call is not None:
            self._call.connection = None
            self._call = None
        if self._transport is not None:
            self._transport.abort()
        else:
            self._owner.connection_is_gone(self)

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not an isinstance check: uvloop's transports are no subclass.
        self._transport = cast("asyncio.Transport", transport)
        if self._is_spent:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._call is None or self._parser is None:
            # A server's word on an idle connection is its goodbye (408), or out of step with our requests.
            self.abort()
            return
        self.has_bytes = True
        self._unframed += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._is_spent = True
            # A reply that was complete before the parser stumbled is a reply.
            if self._reply is None and self._failure is None:
                self._fail("protocol", f"not an HTTP/1.1 reply: {error}", error)
                return
        if self._idle_timeout_s is not None:
            self._hear(self._call, self._idle_timeout_s)
        if self._reply is not None or self._failure is not None:
            self._finish()
        elif self._unframed > MAX_HEAD_BYTES:
            self._fail("protocol", f"more than {MAX_HEAD_BYTES:,} bytes of headers or framing")

    def eof_received(self) -> None:
        if self._call is not None:
            self._end_of_stream(None)
        self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._call is not None:
            self._end_of_stream(exc)
        self._transport = None
        self._parser = None  # it refers to this object
        self._owner.connection_is_gone(self)

    # What the parser calls. An exception in here would come back as a parser's error: none is raised.

    def on_message_begin(self) -> None:
        if self._reply is not None:
            self._is_spent = True  # more than was asked for

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_body:  # else a trailer
            self._fields.append((name, value))

    def on_headers_complete(self) -> None:
        if self._reply is not None:
            return
        self._unframed = 0
        self._in_body = True
        for name, value in self._fields:
            if name.lower() == b"content-encoding":
                self._begin_encoding(value.decode("latin-1"))

    def on_body(self, data: bytes) -> None:
        self._unframed = 0
        if self._failure is not None or self._reply is not None:
            return
        if self._inflate is not None:
            try:
                if self._inflate.eof:
                    raise zlib.error("data after the end")
                data = self._inflate.decompress(data, self._max_body_bytes - self._size + 1)
            except zlib.error as error:
                self._failure = self._not_gzip()
                self._failure.__cause__ = error
                return
        self._size += len(data)
        if self._size > self._max_body_bytes:
            self._failure = too_large(self.origin, self._max_body_bytes)
        else:
            self._body.append(data)

    def on_message_complete(self) -> None:
        assert self._parser is not None
        if self._reply is not None or self._failure is not None:
            return
        status = self._parser.get_status_code()
        if status < 200:
            self._fields = []
            self._in_body = False
            return
        # Only here: after the message the parser no longer knows.
        if not self._parser.should_keep_alive():
            self._is_spent = True
        self._complete(status)

    # Steps.

    def _hear(self, call: Call, idle_timeout_s: float) -> None:
        """Something came: silence begins anew."""
        now = asyncio.get_running_loop().time()
        call.put_off(now + idle_timeout_s)
        if self._first_s is None and self._size:
            self._first_s = now - self._sent_at

    def _begin_encoding(self, encoding: str) -> None:
        try:
            refuse_encoding(encoding, self.origin)
        except TransportFailed as failure:
            self._failure = failure
        else:
            if encoding.lower() == "gzip":
                self._inflate = zlib.decompressobj(GZIP_ONLY)

    def _complete(self, status: int) -> None:
        if self._inflate is not None and self._body and not self._inflate.eof:
            self._failure = self._not_gzip()
            return
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        self._reply = RawReply(status, HeaderFields(self._fields), body)

    def _finish(self) -> None:
        """Hand over the reply, or the failure that a callback of the parser noted."""
        call, reply, failure = self._call, self._reply, self._failure
        assert call is not None
        if self._first_s is not None and reply is not None:
            reply = reply._replace(first_s=self._first_s)
        self._call = None
        call.connection = None
        self._begin()
        if failure is not None or self._is_spent or not self.is_open:
            self.abort()
        else:
            self._owner.connection_is_free(self)
        if call.future.done():
            return
        if reply is not None:
            call.future.set_result(reply)
        elif failure is not None:
            call.future.set_exception(failure)

    def _fail(self, reason: str, what: str, cause: BaseException | None = None) -> None:
        assert self._call is not None
        self._call.fail(reason, what, cause)
        self.abort()

    def _end_of_stream(self, error: Exception | None) -> None:
        """The end of a body that has no other end; the failure of anything else."""
        assert self._parser is not None
        if error is None and self._failure is None and self._in_body and self._ends_with_stream():
            self._is_spent = True
            self._complete(self._parser.get_status_code())
            self._finish()
        else:
            self._fail(
                "reset", f"the connection closed before the reply was complete ({error or 'end'})", error
            )

    def _ends_with_stream(self) -> bool:
        framing = [value for name, value in self._fields if name.lower() == b"transfer-encoding"]
        if framing:
            return not framing[-1].lower().endswith(b"chunked")
        return all(name.lower() != b"content-length" for name, _ in self._fields)

    def _not_gzip(self) -> TransportFailed:
        return TransportFailed(
            "encoding",
            f"{self.origin}: the body is not valid gzip",
            possibly_paid=True,
            no_byte_received=False,
        )

    def __repr__(self) -> str:
        state = "closed" if not self.is_open else "idle" if self._call is None else "busy"
        return f"Connection({self.origin}, {state})"
