"""The portable path: HTTP by stock httpx, one lane per connection.

A *lane* is an httpx transport whose pool holds a single connection. httpcore scans its whole pool on each
request and its pool dies for good after cancellations; with one connection a pool has nothing to scan,
and a lane whose call failed or was cancelled is closed and never used again. Lanes are taken last in,
first out, so that few calls in flight keep few connections warm.
"""

from __future__ import annotations

import asyncio
import ssl
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address
from pathlib import Path

import anyio
import httpx

from engine.errors import TransportFailed
from engine.llm.transport import (
    USER_AGENT,
    RawReply,
    origin_of,
    refuse_encoding,
    refuse_headers,
    too_large,
)

CLOSE_S = 1.0
GZIP_ONLY = 16 + zlib.MAX_WBITS
Lane = httpx.AsyncHTTPTransport


class HttpxTransport:
    """`Transport` over at most `connections` lanes. The deadline covers the wait for a lane as well."""

    __slots__ = (
        "_busy",
        "_closed",
        "_idle",
        "_keepalive_s",
        "_max_body_bytes",
        "_proxy",
        "_slots",
        "_timeouts",
        "_tls",
    )

    def __init__(
        self,
        *,
        connections: int,
        connect_timeout_s: float,
        keepalive_s: float,
        max_body_bytes: int,
        idle_timeout_s: float | None = None,
        ca_file: Path | None = None,
        proxy: str | None = None,
    ) -> None:
        self._tls = httpx.create_ssl_context(trust_env=False)
        if ca_file is not None:
            self._tls.load_verify_locations(ca_file)
        self._proxy = proxy
        self._keepalive_s = keepalive_s
        self._max_body_bytes = max_body_bytes
        # What has no timeout of its own is ended by the deadline.
        self._timeouts = {
            "connect": connect_timeout_s, "read": idle_timeout_s, "write": None, "pool": None,
        }  # fmt: skip
        self._slots = asyncio.Semaphore(connections)
        self._busy: set[Lane] = set()
        self._idle: dict[str | None, list[Lane]] = {None: [], proxy: []}
        self._closed = False

    async def post(self, url: str, headers: Mapping[str, str], body: bytes, *, deadline_s: float) -> RawReply:
        """Send one POST; see `Transport.post`."""
        refuse_headers(headers)
        progress = Progress()
        try:
            async with asyncio.timeout(deadline_s), self._slots:
                return await self._post_on_a_lane(url, headers, body, progress)
        except TimeoutError as error:
            raise TransportFailed(
                "deadline",
                f"{origin_of(url)}: no complete reply within the deadline",
                possibly_paid=progress.is_started,
                no_byte_received=not progress.is_replying,
            ) from error
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise describe(error, url, replying=progress.is_replying) from error

    async def _post_on_a_lane(
        self, url: str, headers: Mapping[str, str], body: bytes, progress: Progress
    ) -> RawReply:
        if self._closed:
            raise TransportFailed("connect", "the transport is closed", possibly_paid=False)
        target = target_of(url)
        request = self._request(target, headers, body)
        way = None if target.is_loopback else self._proxy
        idle = self._idle[way]
        lane = idle.pop() if idle else self._open_lane(way)
        self._busy.add(lane)
        done = False
        try:
            progress.is_started = True
            progress.sent_at = asyncio.get_running_loop().time()
            response = await lane.handle_async_request(request)
            progress.is_replying = True
            fields = {
                name.lower().decode("latin-1"): value.decode("latin-1")
                for name, value in response.headers.raw
            }
            body = await self._read(response, fields, url, progress)
            reply = RawReply(response.status_code, fields, body, progress.first_s)
            done = True
            return reply
        finally:
            self._busy.discard(lane)
            if done and not self._closed:
                idle.append(lane)
            else:
                await close(lane)

    def _request(self, target: Target, headers: Mapping[str, str], body: bytes) -> httpx.Request:
        fields = {
            "host": target.url.netloc.decode("ascii"),
            "accept": "*/*",
            "accept-encoding": "identity",
            "user-agent": USER_AGENT,
            "content-length": str(len(body)),
        }
        fields.update((name.lower(), value) for name, value in headers.items())
        return httpx.Request(
            "POST",
            target.url,
            headers=[(name.encode("ascii"), value.encode("ascii")) for name, value in fields.items()],
            stream=httpx.ByteStream(body),
            extensions={"timeout": self._timeouts},
        )

    async def _read(
        self, response: httpx.Response, fields: Mapping[str, str], url: str, progress: Progress
    ) -> bytes:
        encoding = fields.get("content-encoding")
        refuse_encoding(encoding, url)
        inflate = zlib.decompressobj(GZIP_ONLY) if (encoding or "").lower() == "gzip" else None
        chunks: list[bytes] = []
        size = 0
        async for raw in response.aiter_raw():
            if inflate is None:
                chunk = raw
            else:
                # httpx would inflate a whole read at once: 64 KiB of a bomb are 64 MB.
                try:
                    chunk = inflate.decompress(raw, self._max_body_bytes - size + 1)
                except zlib.error as error:
                    raise not_gzip(url) from error
            size += len(chunk)
            if size > self._max_body_bytes:
                raise too_large(url, self._max_body_bytes)
            if not chunks and self._timeouts["read"] is not None:
                progress.first_s = asyncio.get_running_loop().time() - progress.sent_at
            chunks.append(chunk)
        if inflate is not None and chunks and not inflate.eof:
            raise not_gzip(url)
        return b"".join(chunks)

    def _open_lane(self, proxy: str | None) -> Lane:
        limits = httpx.Limits(
            max_connections=1, max_keepalive_connections=1, keepalive_expiry=self._keepalive_s
        )
        return Lane(verify=self._tls, trust_env=False, limits=limits, proxy=proxy)

    async def aclose(self) -> None:
        """Close all lanes; calls in flight fail as resets."""
        self._closed = True
        lanes = [*self._busy, *(lane for idle in self._idle.values() for lane in idle)]
        self._idle = {way: [] for way in self._idle}
        for lane in lanes:
            await close(lane)

    def __repr__(self) -> str:
        idle = sum(len(lanes) for lanes in self._idle.values())
        return f"HttpxTransport({'closed' if self._closed else 'open'}, busy={len(self._busy)}, idle={idle})"


class Progress:
    """How far a call got before its deadline. `first_s` is as in RawReply."""

    __slots__ = ("first_s", "is_replying", "is_started", "sent_at")

    def __init__(self) -> None:
        self.sent_at = 0.0
        self.first_s: float | None = None
        self.is_started = False
        self.is_replying = False


async def close(lane: Lane) -> None:
    """Close a lane even while its call is being cancelled, but never wait long for a dead peer."""
    with anyio.move_on_after(CLOSE_S, shield=True):
        await lane.aclose()


@dataclass(frozen=True, slots=True)
class Target:
    """A parsed URL; calls to this machine never go to a proxy."""

    url: httpx.URL
    is_loopback: bool


@lru_cache(maxsize=64)
def target_of(url: str) -> Target:
    """Parse a URL once, not once per call; raises `httpx.InvalidURL`."""
    parsed = httpx.URL(url)
    if parsed.port is not None and parsed.port > 0xFFFF:
        raise httpx.InvalidURL("invalid port number")
    try:
        is_loopback = ip_address(parsed.host).is_loopback
    except ValueError:
        is_loopback = parsed.host == "localhost"
    return Target(parsed, is_loopback)


def not_gzip(url: str) -> TransportFailed:
    """The failure of a body that is not the gzip it claims to be."""
    return TransportFailed(
        "encoding",
        f"{origin_of(url)}: the body is not valid gzip",
        possibly_paid=True,
        no_byte_received=False,
    )


def describe(error: httpx.TransportError | httpx.InvalidURL, url: str, *, replying: bool) -> TransportFailed:
    """Say what an httpx error means for the call.

    `replying`: the head of a reply was read, so that the error lies in its body.
    """
    detail = f"{origin_of(url)}: {str(error) or type(error).__name__}"
    match error:
        case httpx.ReadTimeout():
            return TransportFailed(
                "deadline",
                f"{origin_of(url)}: nothing came for idle_timeout_s",
                possibly_paid=True,
                no_byte_received=not replying,
            )
        case httpx.ConnectError() | httpx.ConnectTimeout() | httpx.ProxyError():
            reason = "tls" if has_tls_cause(error) else "connect"
            return TransportFailed(reason, f"{detail} (cannot connect)", possibly_paid=False)
        case httpx.InvalidURL() | httpx.UnsupportedProtocol():
            return TransportFailed("connect", f"{detail} (not a usable URL)", possibly_paid=False)
        case httpx.ProtocolError() if not was_cut_short(error):
            return TransportFailed("protocol", detail, possibly_paid=True, no_byte_received=False)
        case _:
            return TransportFailed("reset", detail, possibly_paid=True, no_byte_received=not replying)


def was_cut_short(error: httpx.ProtocolError) -> bool:
    """Whether the peer closed where more was due; httpcore and h11 say so in words alone."""
    text = str(error).lower()
    return "disconnected" in text or "closed connection" in text


def has_tls_cause(error: BaseException) -> bool:
    """Whether a TLS error lies beneath; httpcore re-raises without a cause, so contexts count too."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ssl.SSLError):
            return True
        seen = seen.__cause__ or seen.__context__
    return False
