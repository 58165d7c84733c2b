"""The pool's and the parser's rules where a real server cannot set the moment: scripted connections."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable
from typing import Any

import pytest

from engine.errors import TransportFailed
from engine.llm.asyncio_transport import AsyncioTransport
from engine.llm.http1_connection import MAX_HEAD_BYTES
from engine.llm.transport import RawReply

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"

pytestmark = pytest.mark.asyncio


class Wire:
    """The transport side of a connection; the test plays the server with `receive`."""

    def __init__(self, protocol: asyncio.Protocol, host: str) -> None:
        self.protocol = protocol
        self.host = host
        self.sent: list[bytes] = []
        self.closed = False
        self.lingers = False
        self.gone = asyncio.Event()
        protocol.connection_made(self)  # type: ignore[arg-type]

    def write(self, data: bytes) -> None:
        assert not self.closed
        self.sent.append(data)

    def is_closing(self) -> bool:
        return self.closed

    def abort(self) -> None:
        if not self.closed:
            self.closed = True
            self.gone.set()
            if not self.lingers:
                asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)

    def receive(self, data: bytes) -> None:
        self.protocol.data_received(data)

    @property
    def bodies(self) -> list[bytes]:
        return [request.partition(b"\r\n\r\n")[2] for request in self.sent]


class Wires(list[Wire]):
    """All connections that were opened; `now` is the loop's time as the transport sees it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__()
        loop = asyncio.get_running_loop()
        self.skipped_s = 0.0
        real_time = loop.time
        monkeypatch.setattr(loop, "time", lambda: real_time() + self.skipped_s)

        async def connect(
            factory: Callable[[], asyncio.Protocol], host: str, port: int, **options: Any
        ) -> None:
            self.append(Wire(factory(), host))

        monkeypatch.setattr(loop, "create_connection", connect)

    async def opened(self, count: int) -> Wire:
        """The newest of `count` connections, once there are as many."""
        await settle()
        assert len(self) == count
        return self[-1]


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def transport_of(connections: int = 4, idle_timeout_s: float | None = None) -> AsyncioTransport:
    return AsyncioTransport(
        connections=connections, connect_timeout_s=5.0, keepalive_s=4.0, max_body_bytes=1000,
        idle_timeout_s=idle_timeout_s,
    )  # fmt: skip


def post(
    transport: AsyncioTransport, body: bytes = b"", *, host: str = "a.test", deadline_s: float = 60.0
) -> asyncio.Task[RawReply]:
    return asyncio.ensure_future(transport.post(f"http://{host}/", {}, body, deadline_s=deadline_s))


async def failure(call: asyncio.Task[RawReply]) -> tuple[str, bool, bool]:
    with pytest.raises(TransportFailed) as caught:
        await call
    return caught.value.reason, caught.value.possibly_paid, caught.value.no_byte_received


class TestPool:
    async def test_waiting_calls_go_in_order_and_those_that_have_ended_are_never_sent(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        wires, transport = Wires(monkeypatch), transport_of(1)
        calls = [post(transport, b"%d" % number) for number in range(4)]
        wire = await wires.opened(1)
        calls[1].cancel()
        wire.receive(OK)  # before the cancelled call's coroutine has run
        await settle()
        assert wire.bodies == [b"0", b"2"]
        wire.receive(OK)
        await settle()
        wire.receive(OK)
        assert [(await calls[number]).body for number in (0, 2, 3)] == [b"ok"] * 3
        assert wire.bodies == [b"0", b"2", b"3"]
        assert len(wires) == 1
        await transport.aclose()

    async def test_a_slot_is_given_on_only_when_its_connection_is_gone(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        wires, transport = Wires(monkeypatch), transport_of(1)
        first, second = post(transport, b"1"), post(transport, b"2")
        wire = await wires.opened(1)
        wire.lingers = True
        first.cancel()
        await asyncio.wait([first])
        await wires.opened(1)
        assert wire.closed
        wire.protocol.connection_lost(None)
        (await wires.opened(2)).receive(OK)
        assert (await second).status == 200
        await transport.aclose()

    async def test_a_call_cancelled_before_its_connection_is_begun_leaves_no_slot_taken(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        wires, transport = Wires(monkeypatch), transport_of(1)
        for turns in range(4):
            call = post(transport)
            for _ in range(turns):
                await asyncio.sleep(0)
            call.cancel()
            await asyncio.wait([call])
            await settle()
            assert all(wire.closed for wire in wires)
            assert "connections=0/1" in repr(transport)
        await transport.aclose()

    async def test_the_connection_used_last_is_used_next_and_an_old_one_never(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        wires, transport = Wires(monkeypatch), transport_of()
        calls = [post(transport) for _ in range(2)]
        await wires.opened(2)
        for wire in wires:
            wire.receive(OK)
        await asyncio.wait(calls)
        third = post(transport)
        await settle()
        assert [len(wire.sent) for wire in wires] == [1, 2]
        wires[1].receive(OK)
        await third
        wires.skipped_s = 4.0
        fourth = post(transport)
        wire = await wires.opened(3)
        assert wires[0].closed
        assert wires[1].closed
        wire.receive(OK)
        await fourth
        await transport.aclose()

    async def test_idle_connections_are_closed_without_another_call(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        wires = Wires(monkeypatch)
        transport = AsyncioTransport(
            connections=1, connect_timeout_s=5.0, keepalive_s=0.01, max_body_bytes=1000
        )
        call = post(transport)
        (await wires.opened(1)).receive(OK)
        await call
        async with asyncio.timeout(5):
            await wires[0].gone.wait()
        await transport.aclose()

    async def test_another_origin_gets_the_slot_of_an_idle_connection(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        wires, transport = Wires(monkeypatch), transport_of(1)
        first = post(transport)
        (await wires.opened(1)).receive(OK)
        await first
        second, third = post(transport, host="b.test"), post(transport)
        (await wires.opened(2)).receive(OK)
        await second
        (await wires.opened(3)).receive(OK)
        await third
        assert [wire.host for wire in wires] == ["a.test", "b.test", "a.test"]
        await transport.aclose()

    async def test_a_bug_in_connecting_reaches_the_caller(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async def break_down(*given: object, **options: object) -> None:
            raise RuntimeError("a bug")

        monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", break_down)
        transport = transport_of(1)
        for _ in range(2):
            with pytest.raises(RuntimeError, match="a bug"):
                await post(transport)
        await transport.aclose()

    async def test_status_line(self, monkeypatch: pytest.MonkeyPatch) -> None:
        wires, transport = Wires(monkeypatch), transport_of(1)
        calls = [post(transport) for _ in range(2)]
        await wires.opened(1)
        assert repr(transport) == "AsyncioTransport(open, calls=2, waiting=1, connections=1/1)"
        await transport.aclose()
        await asyncio.gather(*calls, return_exceptions=True)
        assert repr(transport) == "AsyncioTransport(closed, calls=0, waiting=0, connections=0/1)"


class TestDeadline:
    async def test_calls_end_within_50_ms_of_their_deadlines(self, monkeypatch: pytest.MonkeyPatch) -> None:
        Wires(monkeypatch)
        transport = transport_of(25)
        loop = asyncio.get_running_loop()

        async def lateness(deadline_s: float) -> float:
            due = loop.time() + deadline_s
            with pytest.raises(TransportFailed):
                await post(transport, deadline_s=deadline_s)
            return loop.time() - due

        late = await asyncio.gather(*(lateness(0.1 + number / 500) for number in range(50)))
        assert min(late) >= 0
        assert sorted(late)[len(late) // 2] < 0.05  # the middle one: a machine may pause at any moment
        await transport.aclose()

    async def test_each_piece_puts_off_the_end_of_patience_and_never_the_deadline(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        wires, transport = Wires(monkeypatch), transport_of(1, idle_timeout_s=10.0)
        loop = asyncio.get_running_loop()
        call = post(transport, deadline_s=25.0)
        wire = await wires.opened(1)
        (sent,) = transport._calls
        began = loop.time()
        assert sent.due == pytest.approx(began + 10, abs=1)
        wire.receive(CHUNKED)
        for skipped_s, due_s in ((9.0, 19.0), (9.0, 25.0), (6.0, 25.0)):
            wires.skipped_s += skipped_s
            transport._look()
            assert not call.done()
            wire.receive(b"1\r\na\r\n")
            assert sent.due == pytest.approx(began + due_s, abs=1)
        wires.skipped_s += 2.0
        transport._look()
        with pytest.raises(TransportFailed, match="no complete reply within the deadline"):
            await call
        await transport.aclose()

    async def test_patience_begins_when_a_call_is_sent(self, monkeypatch: pytest.MonkeyPatch) -> None:
        wires, transport = Wires(monkeypatch), transport_of(1, idle_timeout_s=10.0)
        first, second = post(transport, b"1"), post(transport, b"2")
        wire = await wires.opened(1)
        for _ in range(3):
            wires.skipped_s += 9.0
            wire.receive(b"HTTP/1.1 103 Early\r\n\r\n")
            transport._look()
        wire.receive(OK)
        assert (await first).body == b"ok"
        await settle()
        assert wire.bodies == [b"1", b"2"]
        wires.skipped_s += 9.0
        transport._look()
        assert not second.done()
        wires.skipped_s += 2.0
        transport._look()
        with pytest.raises(TransportFailed, match="idle_timeout_s"):
            await second
        await transport.aclose()


class TestReplies:
    @pytest.mark.parametrize(
        ("pieces", "is_last"),
        [
            ([OK + b"garbage"], True),
            ([OK + OK], True),
            ([OK.replace(b"1.1", b"1.0")], True),
            ([CHUNKED + b"2\r\nok\r\n0\r\n", b"trailer: x\r\n\r\n"], False),
            ([OK[i : i + 1] for i in range(len(OK))], False),
        ],
        ids=["more-than-asked", "two-replies", "http-1.0", "trailer", "byte-by-byte"],
    )
    async def test_a_complete_reply_is_a_reply(
        self, monkeypatch: pytest.MonkeyPatch, pieces: list[bytes], is_last: bool
    ) -> None:
        wires, transport = Wires(monkeypatch), transport_of()
        call = post(transport)
        wire = await wires.opened(1)
        for piece in pieces:
            wire.receive(piece)
        reply = await call
        assert reply.body == b"ok"
        assert "trailer" not in reply.headers
        assert wire.closed == is_last
        await transport.aclose()

    @pytest.mark.parametrize(
        ("begin", "again"),
        [
            (b"HTTP/1.1 200 OK\r\n", b"x: " + b"a" * 1000 + b"\r\n"),
            (CHUNKED + b"0\r\n", b"x: " + b"a" * 1000 + b"\r\n"),
            (CHUNKED + b"1;x=", b"a" * 1000),
            (b"", b"\r\n" * 500),
        ],
        ids=["head", "trailers", "chunk-extension", "blank-lines"],
    )
    async def test_what_is_not_body_is_bounded(
        self, monkeypatch: pytest.MonkeyPatch, begin: bytes, again: bytes
    ) -> None:
        wires, transport = Wires(monkeypatch), transport_of()
        call = post(transport)
        wire = await wires.opened(1)
        wire.receive(begin + again)
        for _ in range(MAX_HEAD_BYTES // len(again) + 1):
            wire.receive(again)
        assert await failure(call) == ("protocol", True, False)
        assert wire.closed
        await transport.aclose()

    @pytest.mark.parametrize(
        ("data", "reason"),
        [
            (b"HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: x\r\n\r\nfoo", "protocol"),
            (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok", "protocol"),
            (CHUNKED.replace(b"\r\n\r\n", b"\r\ncontent-length: 2\r\n\r\n") + b"2\r\nok\r\n", "protocol"),
            (CHUNKED + b"".join(b"1\r\na\r\n" for _ in range(1001)), "too_large"),
            (
                CHUNKED.replace(b"\r\n\r\n", b"\r\ncontent-encoding: gzip\r\n\r\n")
                + b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in [gzip.compress(b"a"), b"more"]),
                "encoding",
            ),
        ],
        ids=["upgrade", "two-lengths", "length-and-chunks", "many-small-chunks", "after-gzip"],
    )
    async def test_other_faults(self, monkeypatch: pytest.MonkeyPatch, data: bytes, reason: str) -> None:
        wires, transport = Wires(monkeypatch), transport_of()
        call = post(transport)
        wire = await wires.opened(1)
        wire.receive(data)
        assert await failure(call) == (reason, True, False)
        assert wire.closed
        await transport.aclose()

    async def test_words_on_an_idle_connection_close_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        wires, transport = Wires(monkeypatch), transport_of()
        first = post(transport)
        wire = await wires.opened(1)
        wire.receive(OK)
        await first
        wire.receive(b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n")
        second = post(transport)
        (await wires.opened(2)).receive(OK)
        assert (await second).status == 200
        await transport.aclose()

    async def test_a_body_cut_off_by_a_reset_is_not_its_end(self, monkeypatch: pytest.MonkeyPatch) -> None:
        wires, transport = Wires(monkeypatch), transport_of()
        call = post(transport)
        wire = await wires.opened(1)
        wire.receive(b"HTTP/1.1 200 OK\r\n\r\nso far")
        wire.closed = True
        wire.protocol.connection_lost(ConnectionResetError("reset"))
        assert await failure(call) == ("reset", True, False)
        await transport.aclose()
