"""The hot path: HTTP/1.1 on the event loop's own transports, with httptools' parser.

The rule here: a slot is taken when a connection is begun and given back when it is gone, never at a moment
in between, so there are never more than `connections`; and a call that ends early (deadline, cancellation,
close) takes its connection with it, because the rest of its reply would come as the next call's.

No task, lock or timeout scope per call: a call is a future, and whichever callback frees a connection starts
the call that has waited longest on it. One timer looks at all deadlines and all idle connections.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import OrderedDict
from collections.abc import Mapping
from functools import partial
from math import inf
from pathlib import Path

from engine.errors import TransportFailed
from engine.llm.http1_connection import Call, Connection
from engine.llm.request_head import RequestHead, request_head
from engine.llm.transport import RawReply

# The timer looks at all calls, so it must not look once for each of many that end one after another.
TICK_S = 0.02
# So late a timer comes when nobody ran: some loops run it before they look at the sockets.
_LATE_S = 0.5
HEADS_KEPT = 64


class AsyncioTransport:
    """`Transport` over at most `connections` connections; no proxies.

    A connection that is free is used last in, first out, so that few calls in flight keep few of them warm.
    Calls beyond `connections` wait in order, within their deadline.
    """

    __slots__ = (
        "_all_gone", "_calls", "_closed", "_connect_timeout_s", "_connections", "_heads",
        "_idle", "_idle_timeout_s", "_keepalive_s", "_last_head", "_last_headers", "_last_url", "_limit",
        "_max_body_bytes", "_outgoing", "_timer", "_tls", "_waiting", "_wake_at", "_was_late",
    )  # fmt: skip

    def __init__(
        self,
        *,
        connections: int,
        connect_timeout_s: float,
        keepalive_s: float,
        max_body_bytes: int,
        idle_timeout_s: float | None = None,
        ca_file: Path | None = None,
    ) -> None:
        self._limit = connections
        self._connect_timeout_s = connect_timeout_s
        self._keepalive_s = keepalive_s
        self._idle_timeout_s = idle_timeout_s
        self._max_body_bytes = max_body_bytes
        self._tls = None if ca_file is None else tls_context(ca_file)
        self._heads: dict[tuple[str, tuple[tuple[str, str], ...]], RequestHead] = {}
        self._last_url = ""
        self._last_headers: Mapping[str, str] | None = None
        self._last_head: RequestHead
        self._calls: set[Call] = set()
        self._waiting: OrderedDict[Call, None] = OrderedDict()
        self._connections: set[Connection] = set()
        self._outgoing: list[tuple[asyncio.Transport, bytes]] = []
        self._idle: dict[str, list[Connection]] = {}  # by origin, the longest idle first
        self._wake_at = inf
        self._timer: asyncio.TimerHandle | None = None
        self._was_late = False
        self._closed = False
        self._all_gone = asyncio.Event()

    async def post(self, url: str, headers: Mapping[str, str], body: bytes, *, deadline_s: float) -> RawReply:
        """Send one POST; see `Transport.post`. The deadline covers the wait for a free connection."""
        head = self._head_of(url, headers)
        if self._closed:
            raise TransportFailed("connect", "the transport is closed", possibly_paid=False)
        loop = asyncio.get_running_loop()
        now = loop.time()
        call = Call(head, head.request(body), now + deadline_s, loop.create_future())
        body = b""  # a call in the air holds no request
        if self._idle_timeout_s is not None:
            call.last_due = call.due
            call.put_off(now + self._idle_timeout_s)
        self._calls.add(call)
        if call.due < self._wake_at:
            self._wake(call.due)
        try:
            self._start(call, now)
            return await call.future
        finally:
            self._calls.discard(call)
            self._leave(call)

    async def aclose(self) -> None:
        """Close all connections and wait until they are gone; calls in flight fail as resets."""
        self._closed = True
        for call in self._calls:
            call.fail("reset", "the transport was closed")  # and its `post` lets go of its connection
        for idle in self._idle.values():
            for connection in idle:
                connection.abort()
        self._idle.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._connections:
            await self._all_gone.wait()

    # A call's way.

    def _head_of(self, url: str, headers: Mapping[str, str]) -> RequestHead:
        if headers is self._last_headers and url == self._last_url:
            return self._last_head
        key = (url, tuple(headers.items()))
        head = self._heads.get(key)
        if head is None:
            head = request_head(url, headers)
            if len(self._heads) >= HEADS_KEPT:
                self._heads.clear()
            self._heads[key] = head
        self._last_url, self._last_headers, self._last_head = url, headers, head
        return head

    def _start(self, call: Call, now: float) -> None:
        """Send a call on a free connection, begin one for it, or let it wait."""
        origin = call.head.origin
        idle = self._idle.get(origin)
        while idle:
            connection = idle.pop()
            if connection.is_open and now - connection.idle_since < self._keepalive_s:
                connection.send(call)
                return
            connection.abort()
        if len(self._connections) < self._limit:
            connection = Connection(self, origin, self._max_body_bytes, self._idle_timeout_s)
            self._connections.add(connection)
            call.connecting = asyncio.get_running_loop().create_task(self._connect(call.head, connection))
            call.connecting.add_done_callback(partial(self._connected, call, connection))
            return
        self._waiting[call] = None
        for others in self._idle.values():  # of another origin: the slot goes to this call once it is gone
            while others:
                if (connection := others.pop(0)).is_open:
                    connection.abort()
                    return

    async def _connect(self, head: RequestHead, connection: Connection) -> None:
        if head.is_tls and self._tls is None:
            self._tls = tls_context()
        async with asyncio.timeout(self._connect_timeout_s):
            await asyncio.get_running_loop().create_connection(
                lambda: connection,
                head.host,
                head.port,
                ssl=self._tls if head.is_tls else None,
                server_hostname=head.host if head.is_tls else None,
            )

    def _connected(self, call: Call, connection: Connection, task: asyncio.Task[None]) -> None:
        # A callback, since a task that is cancelled before its first step runs none of its own `finally`.
        call.connecting = None
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if isinstance(error, (OSError, ValueError)):
            reason = "tls" if isinstance(error, ssl.SSLError) else "connect"
            call.fail(reason, f"cannot connect: {str(error) or type(error).__name__}", error)
        elif error is not None and not call.future.done():
            call.future.set_exception(error)  # a bug, which the caller must see instead of waiting
        if call.future.done():
            connection.abort()
            if error is not None:
                # The loop has closed what it had begun; uvloop does so without `connection_lost`.
                asyncio.get_running_loop().call_soon(self.connection_is_gone, connection)
        elif connection.is_open:
            connection.send(call)
        else:
            call.fail("reset", "the connection closed before anything was sent")

    def _leave(self, call: Call) -> None:
        """Take from a call that has ended what it still holds: its place in the queue, its connection."""
        self._waiting.pop(call, None)
        if call.connecting is not None:
            call.connecting.cancel()
        if call.connection is not None:
            call.connection.abort()

    # What connections tell.

    def send_soon(self, transport: asyncio.Transport, request: bytes) -> None:
        """Write it when the callbacks that are due have run, back to back with what they send.

        A write to a server that sleeps wakes it, which costs a fifth of a call. One that follows at once
        finds it awake.
        """
        if not self._outgoing:
            asyncio.get_running_loop().call_soon(self._send_outgoing)
        self._outgoing.append((transport, request))

    def _send_outgoing(self) -> None:
        outgoing, self._outgoing = self._outgoing, []
        for transport, request in outgoing:
            if not transport.is_closing():  # its call was given up meanwhile
                transport.write(request)

    def connection_is_free(self, connection: Connection) -> None:
        """Give it to the call that has waited longest, or keep it."""
        call = self._longest_waiting()
        if call is not None:
            if call.head.origin == connection.origin:
                del self._waiting[call]
                connection.send(call)
            else:
                connection.abort()
            return
        connection.idle_since = asyncio.get_running_loop().time()
        self._idle.setdefault(connection.origin, []).append(connection)
        if connection.idle_since + self._keepalive_s < self._wake_at:
            self._wake(connection.idle_since + self._keepalive_s)

    def connection_is_gone(self, connection: Connection) -> None:
        """Its slot goes to the call that has waited longest. Told twice, it counts once."""
        self._connections.discard(connection)
        if self._closed:
            if not self._connections:
                self._all_gone.set()
        elif len(self._connections) < self._limit and (call := self._longest_waiting()) is not None:
            del self._waiting[call]
            self._start(call, asyncio.get_running_loop().time())

    def _longest_waiting(self) -> Call | None:
        while self._waiting:
            call = next(iter(self._waiting))
            if not call.future.done():
                return call
            # Its deadline has passed or it was cancelled, and its `post` has not run since: never send it.
            del self._waiting[call]
        return None

    # The one timer.

    def _wake(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._wake_at = at
        self._timer = asyncio.get_running_loop().call_at(at, self._look)

    def _look(self) -> None:
        """End calls that are past their deadline, close connections that have been idle for too long."""
        now = asyncio.get_running_loop().time()
        if now - self._wake_at > _LATE_S and not self._was_late:
            # The process or the machine slept: replies that came meanwhile are read first.
            self._was_late = True
            self._wake(now + TICK_S)
            return
        self._was_late = False
        upcoming = inf
        for call in self._calls:
            if call.due > now:
                upcoming = min(upcoming, call.due)
            elif (idle_s := self._idle_timeout_s) is not None and now < call.last_due:
                if call.is_sent:
                    call.fail("deadline", "nothing came for idle_timeout_s")
                else:  # the silence has not begun
                    call.put_off(now + idle_s)
                    upcoming = min(upcoming, call.due)
            elif call.connection is None and call.connecting is None:
                call.fail("deadline", "no free connection in time")
            else:
                call.fail("deadline", "no complete reply within the deadline")
        for origin, idle in self._idle.items():
            kept = []
            for connection in idle:
                if connection.is_open and now - connection.idle_since < self._keepalive_s:
                    kept.append(connection)
                else:
                    connection.abort()
            self._idle[origin] = kept
            if kept:
                upcoming = min(upcoming, kept[0].idle_since + self._keepalive_s)
        self._timer = None
        self._wake_at = inf
        if upcoming < inf:
            self._wake(max(upcoming, now + TICK_S))

    def __repr__(self) -> str:
        return (
            f"AsyncioTransport({'closed' if self._closed else 'open'}, calls={len(self._calls)}, "
            f"waiting={len(self._waiting)}, connections={len(self._connections)}/{self._limit})"
        )


def tls_context(ca_file: Path | None = None) -> ssl.SSLContext:
    """Certificates are checked against the system's authorities and those of `ca_file`, names always."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    if ca_file is not None:
        context.load_verify_locations(ca_file)
    return context
