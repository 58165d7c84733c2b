"""Whatever bytes come, in whatever pieces, a call ends once: with a reply or with a TransportFailed."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import TransportFailed
from engine.llm.http1_connection import Call, Connection
from engine.llm.request_head import request_head
from engine.wire.event_stream import OPENAI
from engine.wire.openai import decode_reply

HEAD = request_head("http://a.test/", {})
MOST_BYTES = 200
ZIPPED = gzip.compress(b"some text")
WELL_FORMED = (
    b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\n\r\nuntil the end",
    b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 500 Oh\r\ncontent-length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2;x=y\r\nok\r\n0\r\nt: x\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(ZIPPED) + ZIPPED,
)
WORDS = (
    *WELL_FORMED, b"HTTP/1.1 200 OK\r\n", b"transfer-encoding: chunked\r\n", b"content-length: 5\r\n",
    b"content-encoding: gzip\r\n", b"connection: close\r\n", b"\r\n", b"0\r\n", b"ff\r\n", ZIPPED,
)  # fmt: skip


class Owner:
    """Counts what it is told, and is the connection's transport as well."""

    def __init__(self) -> None:
        self.freed = self.gone = 0
        self.closed = False

    def connection_is_free(self, connection: Connection) -> None:
        self.freed += 1

    def connection_is_gone(self, connection: Connection) -> None:
        self.gone += 1

    def send_soon(self, transport: asyncio.Transport, request: bytes) -> None:
        transport.write(request)

    def write(self, data: bytes) -> None:
        assert not self.closed

    def is_closing(self) -> bool:
        return self.closed

    def abort(self) -> None:
        self.closed = True


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def hold(
    loop: asyncio.AbstractEventLoop,
    pieces: list[bytes],
    error: Exception | None,
    most_bytes: int = MOST_BYTES,
) -> tuple[Call, Owner]:
    """A call that receives these pieces and then the end of the connection."""
    owner = Owner()
    connection = Connection(owner, HEAD.origin, most_bytes)
    connection.connection_made(owner)  # type: ignore[arg-type]
    call = Call(HEAD, HEAD.request(b""), 0.0, loop.create_future())
    connection.send(call)
    for piece in pieces:
        if not owner.closed:
            connection.data_received(piece)
    if error is None:
        connection.eof_received()
    connection.connection_lost(error)
    return call, owner


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]
    return [data[a:b] for a, b in pairwise(places) if a < b]


@given(
    st.lists(st.one_of(st.sampled_from(WORDS), st.binary(max_size=20)), max_size=6).map(b"".join),
    st.lists(st.integers(0, 300), max_size=8),
    st.sampled_from([None, ConnectionResetError("reset")]),
)
def test_a_call_ends_once_whatever_comes(
    loop: asyncio.AbstractEventLoop, data: bytes, cuts: list[int], error: Exception | None
) -> None:
    call, owner = hold(loop, split(data, cuts), error)
    failure = call.future.exception()
    if failure is None:
        assert len(call.future.result().body) <= MOST_BYTES
    else:
        assert isinstance(failure, TransportFailed)
        assert failure.possibly_paid
        assert failure.no_byte_received <= (not data)
    assert owner.freed <= 1
    assert owner.gone == 1
    assert call.connection is None


@given(st.sampled_from(WELL_FORMED), st.lists(st.integers(0, 200), max_size=8))
def test_where_the_pieces_are_cut_changes_nothing(
    loop: asyncio.AbstractEventLoop, data: bytes, cuts: list[int]
) -> None:
    whole, _ = hold(loop, [data], None)
    cut, _ = hold(loop, split(data, cuts), None)
    assert cut.future.result() == whole.future.result()


STREAM = "".join(
    f"data: {data}\r\n\r\n"
    for data in (
        '{"choices":[{"delta":{"content":"Hé, "}}]}',
        '{"choices":[{"delta":{"content":"你好 \U0001f600"},"finish_reason":"stop"}]}',
        "[DONE]",
    )
).encode()


def test_a_stream_is_the_same_reply_wherever_it_is_cut(loop: asyncio.AbstractEventLoop) -> None:
    """Into two chunks, and those into two reads, at each byte: inside characters, lines and framing."""
    for at in range(1, len(STREAM)):
        framed = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
        for part in (STREAM[:at], STREAM[at:]):
            framed += b"%x\r\n%b\r\n" % (len(part), part)
        call, _ = hold(loop, split(framed + b"0\r\n\r\n", [40 + at]), None, most_bytes=len(STREAM))
        assert decode_reply(OPENAI.reply(call.future.result().body)).text == "Hé, 你好 \U0001f600"
