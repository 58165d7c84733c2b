"""The httpx adapter under respx: what a mocked reply or error becomes, without a socket."""

from __future__ import annotations

import gzip

import httpx
import pytest
import respx

from engine.errors import TransportFailed
from engine.llm.open_transport import open_transport

URL = "https://model.invalid/v1/chat/completions"

pytestmark = pytest.mark.asyncio


async def test_a_mocked_reply_is_read_like_a_real_one() -> None:
    with respx.mock() as router:
        route = router.post(URL).respond(429, headers={"Retry-After": "7"}, content=b"slow down")
        transport = open_transport("httpx", connections=2)
        reply = await transport.post(URL, {"authorization": "Bearer k"}, b"{}", deadline_s=5)
        await transport.aclose()
    assert (reply.status, reply.headers["retry-after"], reply.body) == (429, "7", b"slow down")
    sent = route.calls.last.request
    assert sent.content == b"{}"
    assert sent.headers["authorization"] == "Bearer k"
    assert sent.headers["host"] == "model.invalid"


async def test_a_body_up_to_the_cap_is_read_and_a_byte_more_is_refused() -> None:
    with respx.mock() as router:
        transport = open_transport("httpx", connections=1, max_body_bytes=1_000)
        for size in (1_000, 1_001):
            packed = gzip.compress(bytes(size))
            router.post(URL).respond(200, headers={"content-encoding": "gzip"}, content=packed)
            if size <= 1_000:
                assert len((await transport.post(URL, {}, b"", deadline_s=5)).body) == size
            else:
                with pytest.raises(TransportFailed, match="1,000 bytes") as caught:
                    await transport.post(URL, {}, b"", deadline_s=5)
                assert caught.value.reason == "too_large"
        await transport.aclose()


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (httpx.ConnectError, ("connect", False, True)),
        (httpx.ConnectTimeout, ("connect", False, True)),
        (httpx.ProxyError, ("connect", False, True)),
        (httpx.WriteError, ("reset", True, True)),
        (httpx.ReadError, ("reset", True, True)),
        (httpx.LocalProtocolError, ("protocol", True, False)),
        (httpx.RemoteProtocolError, ("protocol", True, False)),
    ],
)
async def test_each_error_is_mapped(
    error: type[httpx.TransportError], expected: tuple[str, bool, bool]
) -> None:
    with respx.mock() as router:
        router.post(URL).mock(side_effect=error)
        transport = open_transport("httpx", connections=1)
        with pytest.raises(TransportFailed) as caught:
            await transport.post(URL, {}, b"", deadline_s=5)
        await transport.aclose()
    failure = caught.value
    assert (failure.reason, failure.possibly_paid, failure.no_byte_received) == expected


async def test_a_lane_that_failed_is_not_used_again() -> None:
    with respx.mock() as router:
        router.post(URL).mock(side_effect=[httpx.Response(200), httpx.ReadError, httpx.Response(200)])
        transport = open_transport("httpx", connections=5)
        await transport.post(URL, {}, b"", deadline_s=5)
        assert repr(transport) == "HttpxTransport(open, busy=0, idle=1)"
        with pytest.raises(TransportFailed):
            await transport.post(URL, {}, b"", deadline_s=5)
        assert repr(transport) == "HttpxTransport(open, busy=0, idle=0)"
        await transport.post(URL, {}, b"", deadline_s=5)
        await transport.aclose()
    assert repr(transport) == "HttpxTransport(closed, busy=0, idle=0)"
