"""The transports' contract, held against a server that misbehaves on real sockets."""

from __future__ import annotations

import asyncio
import gzip
import os
import shutil
import socket
import ssl
import subprocess
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from engine.config.endpoint_settings import TransportKind
from engine.errors import TransportFailed
from engine.llm.open_transport import open_transport
from engine.llm.transport import RawReply, Transport
from engine.rehearsal.faults_server import Answer, Exchange, serve_faults

KEY = "sk-never-to-be-seen-4711"
HEADERS = {"authorization": f"Bearer {KEY}", "x-api-key": KEY, "content-type": "application/json"}
BODY = b'{"messages":[]}'
GENEROUS_S = 10.0
SHORT_S = 0.3

pytestmark = pytest.mark.asyncio


@pytest.fixture(params=["asyncio", "httpx"])
def kind(request: pytest.FixtureRequest) -> TransportKind:
    name: TransportKind = request.param
    return name


@asynccontextmanager
async def opened(
    kind: TransportKind,
    connections: int = 4,
    *,
    connect_timeout_s: float = 5.0,
    idle_timeout_s: float | None = None,
    max_body_bytes: int = 1_000_000,
    ca_file: Path | None = None,
    proxy: str | None = None,
) -> AsyncIterator[Transport]:
    transport = open_transport(
        kind,
        connections=connections,
        connect_timeout_s=connect_timeout_s,
        idle_timeout_s=idle_timeout_s,
        max_body_bytes=max_body_bytes,
        ca_file=ca_file,
        proxy=proxy,
    )
    try:
        yield transport
    finally:
        await transport.aclose()


async def post(transport: Transport, url: str, deadline_s: float = GENEROUS_S) -> RawReply:
    return await transport.post(url, HEADERS, BODY, deadline_s=deadline_s)


async def failure_of(transport: Transport, url: str, deadline_s: float = GENEROUS_S) -> TransportFailed:
    """Post, expect a failure, and hold it to what every failure owes: no key anywhere in its text."""
    with pytest.raises(TransportFailed) as caught:
        await post(transport, url, deadline_s)
    text = "".join(traceback.format_exception(caught.value))
    link: BaseException | None = caught.value
    while link is not None:
        text += str(link) + repr(link)
        link = link.__cause__ or link.__context__
    assert KEY not in text
    return caught.value


def outcome(failure: TransportFailed) -> tuple[str, bool, bool]:
    return failure.reason, failure.possibly_paid, failure.no_byte_received


async def say_hello(exchange: Exchange) -> None:
    await exchange.reply(b"hello", headers=b"X-Request-Id: r1\r\n")


def send(data: bytes, *, then: str = "end") -> Answer:
    """An answer of raw bytes; then `end` (FIN), `reset` (RST) or `stall`."""

    async def answer(exchange: Exchange) -> None:
        await exchange.send(data)
        if then == "stall":
            await exchange.wait_for_client_to_leave()
        elif then == "reset":
            # The bytes must be read before the RST overtakes them.
            await asyncio.sleep(0.05)
            exchange.reset()
        else:
            await exchange.end()

    return answer


HEAD = b"HTTP/1.1 200 OK\r\n"
BODY_BEGUN = HEAD + b"content-length: 100\r\n\r\nabc"
CHUNKED = HEAD + b"transfer-encoding: chunked\r\n\r\n"
GZIPPED = b"content-encoding: gzip\r\n"


def gzipped(data: bytes) -> bytes:
    return HEAD + GZIPPED + b"content-length: %d\r\n\r\n" % len(data) + data


class TestReplies:
    async def test_a_reply_comes_whole_and_the_request_went_out_minimal(self, kind: TransportKind) -> None:
        async with serve_faults(say_hello) as server, opened(kind) as transport:
            reply = await post(transport, server.url)
        assert reply.status == 200
        assert reply.body == b"hello"
        assert type(reply.body) is bytes
        assert reply.headers["x-request-id"] == "r1"
        sent = server.exchanges[0]
        assert sent.body == BODY
        lines = sent.head.lower().split(b"\r\n")
        assert lines[0] == b"post /v1/chat/completions http/1.1"
        names = sorted(line.split(b":")[0] for line in lines[1:] if line)
        assert names == [
            b"accept", b"accept-encoding", b"authorization", b"content-length",
            b"content-type", b"host", b"user-agent", b"x-api-key",
        ]  # fmt: skip
        assert b"accept-encoding: identity" in lines

    @pytest.mark.parametrize(
        ("raw", "status", "body"),
        [
            (HEAD + b"content-length: 0\r\n\r\n", 200, b""),
            (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
            (CHUNKED + b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", 200, b"abcde"),
            (HEAD + b"\r\nuntil the end", 200, b"until the end"),
            (b"HTTP/1.1 103 Early Hints\r\n\r\n" + HEAD + b"content-length: 2\r\n\r\nok", 200, b"ok"),
            (b"HTTP/1.1 529 \r\ncontent-length: 4\r\n\r\nbusy", 529, b"busy"),
            (gzipped(gzip.compress(b"unpacked")), 200, b"unpacked"),
            (HEAD + b"x-odd: \xff\xfe\r\ncontent-length: 2\r\n\r\nok", 200, b"ok"),
        ],
        ids=["empty", "204", "chunked", "until-close", "informational", "529", "gzip", "non-utf8-header"],
    )
    async def test_each_framing_is_read(
        self, kind: TransportKind, raw: bytes, status: int, body: bytes
    ) -> None:
        async with serve_faults(send(raw)) as server, opened(kind) as transport:
            reply = await post(transport, server.url)
        assert (reply.status, reply.body) == (status, body)

    @pytest.mark.parametrize("status", ["302 Found", "307 Temporary Redirect"])
    async def test_a_redirect_is_returned_and_not_followed(self, kind: TransportKind, status: str) -> None:
        async with serve_faults(say_hello) as other, opened(kind) as transport:

            async def redirect(exchange: Exchange) -> None:
                location = b"location: " + other.url.encode() + b"\r\n"
                await exchange.reply(b"", status=status, headers=location)

            async with serve_faults(redirect) as server:
                reply = await post(transport, server.url)
            assert reply.status == int(status[:3])
            assert reply.headers["location"] == other.url
            assert other.connections == 0


class TestConnections:
    async def test_calls_in_turn_share_one_connection(self, kind: TransportKind) -> None:
        async with serve_faults(say_hello) as server, opened(kind) as transport:
            for _ in range(5):
                await post(transport, server.url)
        assert server.connections == 1
        assert [exchange.turn for exchange in server.exchanges] == [0, 1, 2, 3, 4]

    async def test_many_calls_open_up_to_the_limit_and_never_more(self, kind: TransportKind) -> None:
        gate = asyncio.Event()

        async def wait_then_reply(exchange: Exchange) -> None:
            await gate.wait()
            await exchange.reply(b"ok")

        async with serve_faults(wait_then_reply) as server, opened(kind, 100) as transport:
            calls = asyncio.gather(*(post(transport, server.url) for _ in range(250)))
            await server.wait_until(lambda seen: len(seen.exchanges) == 100)
            gate.set()
            replies = await calls
        assert {reply.body for reply in replies} == {b"ok"}
        assert server.most_open == 100

    async def test_a_server_that_closes_after_each_reply_costs_no_call(self, kind: TransportKind) -> None:
        async def reply_and_close(exchange: Exchange) -> None:
            await exchange.reply(b"ok", headers=b"connection: close\r\n")
            await exchange.end()

        async with serve_faults(reply_and_close) as server, opened(kind) as transport:
            for _ in range(3):
                assert (await post(transport, server.url)).body == b"ok"
        assert server.connections == 3

    @pytest.mark.parametrize("how", ["end", "reset"])
    async def test_idle_close_at_the_moment_of_reuse_is_told_as_such(
        self, kind: TransportKind, how: str
    ) -> None:
        async def close_on_reuse(exchange: Exchange) -> None:
            if exchange.turn == 0:
                await exchange.reply(b"ok")
            elif how == "end":
                await exchange.end()
            else:
                exchange.reset()

        async with serve_faults(close_on_reuse) as server, opened(kind) as transport:
            await post(transport, server.url)
            assert outcome(await failure_of(transport, server.url)) == ("reset", True, True)
            assert (await post(transport, server.url)).body == b"ok"
            assert len(server.exchanges) == 3  # no hidden retry

    async def test_calls_after_many_cancelled_ones_work(self, kind: TransportKind) -> None:
        stalling = True

        async def stall_at_first(exchange: Exchange) -> None:
            if stalling:
                await exchange.wait_for_client_to_leave()
            else:
                await exchange.reply(b"ok")

        async with serve_faults(stall_at_first) as server, opened(kind, 50) as transport:
            calls = [asyncio.ensure_future(post(transport, server.url)) for _ in range(50)]
            await server.wait_until(lambda seen: len(seen.exchanges) == 50)
            for call in calls:
                call.cancel()
            await asyncio.wait(calls)
            assert all(call.cancelled() for call in calls)
            await server.wait_until(lambda seen: seen.open_now == 0)
            stalling = False
            replies = await asyncio.gather(*(post(transport, server.url) for _ in range(100)))
            assert {reply.body for reply in replies} == {b"ok"}
            assert server.connections == 100
            assert server.most_open == 50

    async def test_calls_cancelled_at_any_moment_leave_their_slots_free(self, kind: TransportKind) -> None:
        async with serve_faults(say_hello) as server, opened(kind, 2) as transport:
            for turns in range(30):
                calls = [asyncio.ensure_future(post(transport, server.url)) for _ in range(3)]
                for _ in range(turns):
                    await asyncio.sleep(0)
                for call in calls:
                    call.cancel()
                await asyncio.wait(calls)
            for _ in range(3):
                assert (await post(transport, server.url)).body == b"hello"

    async def test_closing_twice_is_safe_and_ends_calls_in_flight(self, kind: TransportKind) -> None:
        async with serve_faults(send(b"", then="stall")) as server, opened(kind) as transport:
            call = asyncio.ensure_future(failure_of(transport, server.url))
            await server.wait_until(lambda seen: len(seen.exchanges) == 1)
            await transport.aclose()
            await transport.aclose()
            assert (await call).possibly_paid
            assert outcome(await failure_of(transport, server.url)) == ("connect", False, True)


class TestNothingSent:
    async def test_refused(self, kind: TransportKind) -> None:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{unused.getsockname()[1]}/"
            async with opened(kind) as transport:
                assert outcome(await failure_of(transport, url)) == ("connect", False, True)

    async def test_connect_timeout(self, kind: TransportKind) -> None:
        with socket.socket() as full, socket.socket() as first, socket.socket() as second:
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            for client in (first, second):  # fills the backlog: the next SYN goes unanswered
                client.setblocking(False)
                client.connect_ex(full.getsockname())
            url = f"http://127.0.0.1:{full.getsockname()[1]}/"
            async with opened(kind, connect_timeout_s=SHORT_S) as transport:
                assert outcome(await failure_of(transport, url)) == ("connect", False, True)

    @pytest.mark.parametrize("url", ["ftp://127.0.0.1/", "http://127.0.0.1:99999/", "no url", "http://"])
    async def test_unusable_url(self, kind: TransportKind, url: str) -> None:
        async with opened(kind) as transport:
            assert outcome(await failure_of(transport, url)) == ("connect", False, True)

    @pytest.mark.parametrize("value", [f"{KEY}\n", f"{KEY}\r\nx: y", f"{KEY}\x00", f"{KEY}é", f" {KEY}"])
    async def test_a_key_that_is_no_header_value_is_refused_unquoted(
        self, kind: TransportKind, value: str
    ) -> None:
        async with serve_faults(say_hello) as server, opened(kind) as transport:
            with pytest.raises(TransportFailed, match="x-api-key") as caught:
                await transport.post(server.url, {"x-api-key": value}, BODY, deadline_s=GENEROUS_S)
        assert outcome(caught.value) == ("protocol", False, True)
        assert KEY not in "".join(traceback.format_exception(caught.value))
        assert server.connections == 0

    async def test_waiting_for_a_connection_past_the_deadline_costs_nothing(
        self, kind: TransportKind
    ) -> None:
        async with serve_faults(send(b"", then="stall")) as server, opened(kind, 1) as transport:
            first = asyncio.ensure_future(post(transport, server.url))
            await server.wait_until(lambda seen: len(seen.exchanges) == 1)
            assert outcome(await failure_of(transport, server.url, SHORT_S)) == ("deadline", False, True)
            first.cancel()
            with pytest.raises(asyncio.CancelledError):
                await first


FAULTS = [
    (send(b"", then="end"), ("reset", True, True)),
    (send(b"", then="reset"), ("reset", True, True)),
    (send(b"garbage\r\n\r\n"), ("protocol", True, False)),
    (send(b"HTTP/9.9 abc\r\n\r\n"), ("protocol", True, False)),
    (send(HEAD + b"no colon\r\n\r\n"), ("protocol", True, False)),
    (send(HEAD + b"x-big: " + b"a" * 1_000_000 + b"\r\n\r\n"), ("protocol", True, False)),
    (send(BODY_BEGUN), ("reset", True, False)),
    (send(BODY_BEGUN, then="reset"), ("reset", True, False)),
    (send(CHUNKED + b"3\r\nabc\r\n"), ("reset", True, False)),
    (send(CHUNKED + b"zz\r\nabc\r\n"), ("protocol", True, False)),
    (send(HEAD + b"content-length: 2000000\r\n\r\n" + b"a" * 2_000_000), ("too_large", True, False)),
    (send(HEAD + b"\r\n" + b"a" * 2_000_000), ("too_large", True, False)),
    (send(gzipped(gzip.compress(bytes(50_000_000), 1))), ("too_large", True, False)),
    (send(gzipped(b"this is not gzip at all")), ("encoding", True, False)),
    (send(gzipped(gzip.compress(os.urandom(2_000))[:500])), ("encoding", True, False)),
    (send(HEAD + b"content-encoding: br\r\ncontent-length: 1\r\n\r\nx"), ("encoding", True, False)),
]
FAULT_NAMES = [
    "closed-without-a-byte", "reset-before-headers", "garbage", "bad-status-line", "bad-header",
    "oversized-header", "truncated-body", "reset-in-body", "truncated-chunks", "bad-chunk",
    "huge-body", "huge-body-without-length", "gzip-bomb", "invalid-gzip", "truncated-gzip",
    "unknown-encoding",
]  # fmt: skip


class TestFaults:
    @pytest.mark.parametrize(("answer", "expected"), FAULTS, ids=FAULT_NAMES)
    async def test_a_fault_is_told_apart_and_the_transport_survives(
        self, kind: TransportKind, answer: Answer, expected: tuple[str, bool, bool]
    ) -> None:
        async def fail_once(exchange: Exchange) -> None:
            await (answer if exchange.connection == 0 else say_hello)(exchange)

        async with serve_faults(fail_once) as server, opened(kind) as transport:
            assert outcome(await failure_of(transport, server.url)) == expected
            assert (await post(transport, server.url)).body == b"hello"

    async def test_connection_dropped_before_the_request_is_read(self, kind: TransportKind) -> None:
        async def drop(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.transport.abort()

        server = await asyncio.start_server(drop, "127.0.0.1", 0)
        async with server, opened(kind) as transport:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
            failure = await failure_of(transport, url)
        assert outcome(failure) == ("reset", True, True)


async def drip_head(exchange: Exchange) -> None:
    await drip(exchange, HEAD + b"content-length: 0\r\nx-long: " + b"a" * 1000)


async def drip_body(exchange: Exchange) -> None:
    await exchange.send(HEAD + b"content-length: 1000\r\n\r\n")
    await drip(exchange, b"a" * 1000)


async def drip(exchange: Exchange, data: bytes) -> None:
    """Send a byte every 20 ms until the client leaves: no read ever times out."""
    for i in range(len(data)):
        await exchange.send(data[i : i + 1])
        await asyncio.sleep(0.02)


TOO_LATE = [
    (send(b"", then="stall"), True),
    (drip_head, False),
    (send(BODY_BEGUN, then="stall"), False),
    (drip_body, False),
]
TOO_LATE_NAMES = ["stall-before-headers", "drip-headers", "stall-in-body", "drip-body"]


class TestDeadline:
    @pytest.mark.parametrize(("answer", "no_byte_received"), TOO_LATE, ids=TOO_LATE_NAMES)
    async def test_the_deadline_ends_the_whole_call(
        self, kind: TransportKind, answer: Answer, no_byte_received: bool
    ) -> None:
        async with serve_faults(answer) as server, opened(kind) as transport:
            async with asyncio.timeout(SHORT_S * 5):
                failure = await failure_of(transport, server.url, SHORT_S)
            # httpx tells of a head only when it is whole.
            assert failure.no_byte_received == no_byte_received or (kind == "httpx" and answer is drip_head)
            assert outcome(failure)[:2] == ("deadline", True)
            await server.wait_until(lambda seen: seen.open_now == 0)


async def drip_to_the_end(exchange: Exchange) -> None:
    """A body of twenty pieces, 20 ms apart."""
    await exchange.send(CHUNKED)
    for _ in range(20):
        await exchange.send(b"1\r\na\r\n")
        await asyncio.sleep(0.02)
    await exchange.send(b"0\r\n\r\n")


class TestSilence:
    """With an idle timeout a call ends where nothing comes for so long, and lives while something does."""

    @pytest.mark.parametrize(
        ("answer", "no_byte_received"),
        [(send(b"", then="stall"), True), (send(BODY_BEGUN, then="stall"), False)],
        ids=["before-headers", "in-body"],
    )
    async def test_silence_ends_the_call_long_before_its_deadline(
        self, kind: TransportKind, answer: Answer, no_byte_received: bool
    ) -> None:
        async def fail_once(exchange: Exchange) -> None:
            await (answer if exchange.connection == 0 else say_hello)(exchange)

        async with serve_faults(fail_once) as server, opened(kind, idle_timeout_s=SHORT_S) as transport:
            async with asyncio.timeout(SHORT_S * 5):
                failure = await failure_of(transport, server.url)
            assert outcome(failure) == ("deadline", True, no_byte_received)
            assert "idle_timeout_s" in str(failure)
            await server.wait_until(lambda seen: seen.open_now == 0)
            assert (await post(transport, server.url)).body == b"hello"

    async def test_a_reply_that_goes_on_may_take_longer_than_that(self, kind: TransportKind) -> None:
        async with (
            serve_faults(drip_to_the_end) as server,
            opened(kind, idle_timeout_s=SHORT_S) as transport,
        ):
            began = asyncio.get_running_loop().time()
            assert (await post(transport, server.url)).body == b"a" * 20
            assert asyncio.get_running_loop().time() - began > SHORT_S

    async def test_the_deadline_ends_it_all_the_same(self, kind: TransportKind) -> None:
        async with serve_faults(drip_body) as server, opened(kind, idle_timeout_s=SHORT_S) as transport:
            failure = await failure_of(transport, server.url, SHORT_S * 2)
        assert outcome(failure) == ("deadline", True, False)
        assert "deadline" in str(failure)

    async def test_what_waits_for_a_connection_is_not_silent(self, kind: TransportKind) -> None:
        async with (
            serve_faults(drip_to_the_end) as server,
            opened(kind, 1, idle_timeout_s=SHORT_S) as transport,
        ):
            replies = await asyncio.gather(*(post(transport, server.url) for _ in range(2)))
        assert [reply.body for reply in replies] == [b"a" * 20] * 2

    async def test_the_size_of_a_reply_that_goes_on_is_bounded(self, kind: TransportKind) -> None:
        async def go_on(exchange: Exchange) -> None:
            await exchange.send(CHUNKED)
            while True:
                await exchange.send(b"ff\r\n" + b"a" * 255 + b"\r\n")

        async with serve_faults(go_on) as server, opened(kind, idle_timeout_s=SHORT_S) as transport:
            assert outcome(await failure_of(transport, server.url)) == ("too_large", True, False)


class TestProxy:
    async def test_loopback_never_goes_to_a_proxy(
        self, kind: TransportKind, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with serve_faults(say_hello) as server, serve_faults(say_hello) as proxy:
            monkeypatch.setenv("HTTP_PROXY", proxy.url)
            monkeypatch.setenv("http_proxy", proxy.url)
            monkeypatch.setenv("ALL_PROXY", proxy.url)
            for explicit in (None, proxy.url):
                async with opened(kind, proxy=explicit) as transport:
                    assert (await post(transport, server.url)).body == b"hello"
                    assert (await post(transport, server.url.replace("127.0.0.1", "localhost"))).status == 200
            assert proxy.connections == 0

    async def test_other_hosts_go_to_the_proxy_that_was_named(self, kind: TransportKind) -> None:
        async with serve_faults(say_hello) as proxy, opened(kind, proxy=proxy.url) as transport:
            await post(transport, "http://model.invalid/v1/chat/completions")
        assert proxy.exchanges[0].head.startswith(b"POST http://model.invalid/v1/chat/completions HTTP/1.1")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ssl.SSLContext]:
    """A certificate authority's file, and a server context with a certificate of it for 127.0.0.1."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("the openssl command makes the certificates")
    folder = tmp_path_factory.mktemp("tls")
    new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost,DNS:model.invalid\n")
    for arguments in (
        ["req", "-x509", *new_key, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2",
         "-subj", "/CN=authority", "-addext", "basicConstraints=critical,CA:TRUE",
         "-addext", "keyUsage=critical,keyCertSign"],
        ["req", *new_key, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=server"],
        ["x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
         "-days", "2", "-extfile", "names", "-out", "server.pem"],
    ):  # fmt: skip
        subprocess.run([openssl, *arguments], cwd=folder, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    return folder / "ca.pem", context


class TestTls:
    async def test_an_added_authority_is_trusted(
        self, kind: TransportKind, certificates: tuple[Path, ssl.SSLContext]
    ) -> None:
        ca_file, context = certificates
        async with serve_faults(say_hello, tls=context) as server, opened(kind, ca_file=ca_file) as transport:
            for _ in range(2):
                assert (await post(transport, server.url)).body == b"hello"
        assert server.connections == 1

    async def test_an_unknown_authority_is_refused_before_anything_is_sent(
        self, kind: TransportKind, certificates: tuple[Path, ssl.SSLContext]
    ) -> None:
        async with serve_faults(say_hello, tls=certificates[1]) as server, opened(kind) as transport:
            assert outcome(await failure_of(transport, server.url)) == ("tls", False, True)
        assert server.exchanges == []

    async def test_a_server_without_tls_is_a_tls_failure(self, kind: TransportKind) -> None:
        async def talk_plainly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(1)
            writer.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
            writer.close()

        server = await asyncio.start_server(talk_plainly, "127.0.0.1", 0)
        async with server, opened(kind) as transport:
            url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
            assert outcome(await failure_of(transport, url)) == ("tls", False, True)


@asynccontextmanager
async def serve_tunnels(port: int, heads: list[bytes]) -> AsyncIterator[str]:
    """A proxy that tunnels whatever it is asked for to `port`; its URL, with a user and a password."""
    tunnels: set[asyncio.Task[None]] = set()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65_536):
                writer.write(data)
        writer.close()

    async def tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        there, back = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pump(reader, back), pump(there, writer))
        for end in (writer, back):
            with suppress(ConnectionError):
                await end.wait_closed()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tunnels.add(asyncio.ensure_future(tunnel(reader, writer)))

    server = await asyncio.start_server(begin, "127.0.0.1", 0)
    async with server:
        yield f"http://user:{KEY}@127.0.0.1:{server.sockets[0].getsockname()[1]}"
        await asyncio.gather(*tunnels)


class TestTlsThroughAProxy:
    URL = "https://model.invalid/v1/chat/completions"

    async def test_the_tunnel_is_asked_for_once_and_shows_the_proxy_no_key(
        self, kind: TransportKind, certificates: tuple[Path, ssl.SSLContext]
    ) -> None:
        ca_file, context = certificates
        heads: list[bytes] = []
        async with (
            serve_faults(say_hello, tls=context) as server,
            serve_tunnels(int(server.url.rpartition(":")[2].partition("/")[0]), heads) as proxy,
            opened(kind, ca_file=ca_file, proxy=proxy) as transport,
        ):
            for _ in range(2):
                assert (await post(transport, self.URL)).body == b"hello"
        (head,) = heads
        assert head.startswith(b"CONNECT model.invalid:443 HTTP/1.1\r\n")
        assert b"proxy-authorization: basic " in head.lower()
        assert KEY.encode() not in head
        assert KEY.encode() in server.exchanges[0].head

    async def test_a_certificate_that_is_not_trusted_is_refused_before_anything_is_sent(
        self, kind: TransportKind, certificates: tuple[Path, ssl.SSLContext]
    ) -> None:
        async with (
            serve_faults(say_hello, tls=certificates[1]) as server,
            serve_tunnels(int(server.url.rpartition(":")[2].partition("/")[0]), []) as proxy,
            opened(kind, proxy=proxy) as transport,
        ):
            assert outcome(await failure_of(transport, self.URL)) == ("tls", False, True)
        assert server.exchanges == []

    async def test_a_proxy_that_refuses_is_a_failed_connection(self, kind: TransportKind) -> None:
        async def refuse(exchange: Exchange) -> None:
            await exchange.reply(b"who are you?", status="407 Proxy Authentication Required")

        async with serve_faults(refuse) as proxy, opened(kind, proxy=proxy.url) as transport:
            assert outcome(await failure_of(transport, self.URL)) == ("connect", False, True)
