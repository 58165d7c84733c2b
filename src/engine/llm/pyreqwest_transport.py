"""The hot path: HTTP by pyreqwest (reqwest, hyper and rustls in a thread of their own).

The rule here is how its errors are told apart. pyreqwest raises `ConnectError` for a refused connection
and for a reset after the request was sent, and `ConnectTimeoutError` for any deadline before the head
of a reply. hyper's own cause line, `client error (Connect)` against `client error (SendRequest)`, is what
separates "nothing was sent" from "perhaps paid"; where no cause says so, the call counts as perhaps paid.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from pathlib import Path

from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import (
    BuilderError,
    DecodeError,
    DetailedPyreqwestError,
    NetworkError,
    PoolTimeoutError,
    PyreqwestError,
    RequestTimeoutError,
)
from pyreqwest.proxy import ProxyBuilder
from pyreqwest.response import Response

from engine.errors import TransportFailed
from engine.llm.transport import (
    LOOPBACK,
    USER_AGENT,
    RawReply,
    origin_of,
    refuse_encoding,
    refuse_headers,
    too_large,
)

NOTHING_SENT = "client error (Connect)"
FROM_THE_WIRE = "error reading a body from connection"
IN_BODY = "error decoding response body"
CUT_SHORT = "end of file before message length reached"
TLS_WORDS = re.compile(r"certificate|handshake|\btls\b|corrupt message", re.IGNORECASE)


class PyreqwestTransport:
    """`Transport` over one pyreqwest client, which is one pool of `connections` connections.

    A cancelled call leaves at once, but pyreqwest 0.15 does not abort it: its exchange goes on unseen, with
    its connection and its slot, until a reply or its deadline. So a cancellation retires the client: later
    calls get a fresh pool, and the server may see more than `connections` until the orphans have ended.
    Give the deadline to `post` instead of cancelling it from outside: that does close the connection.
    """

    __slots__ = ("_client", "_closed", "_max_body_bytes", "_open_client")

    def __init__(
        self,
        *,
        connections: int,
        connect_timeout_s: float,
        keepalive_s: float,
        max_body_bytes: int,
        ca_file: Path | None = None,
        proxy: str | None = None,
    ) -> None:
        self._open_client = partial(
            open_client,
            connections=connections,
            connect_timeout=timedelta(seconds=connect_timeout_s),
            keepalive=timedelta(seconds=keepalive_s),
            ca_pem=ca_file.read_bytes() if ca_file is not None else None,
            proxy=proxy,
        )
        self._client = self._open_client()
        self._max_body_bytes = max_body_bytes
        self._closed = False

    async def post(self, url: str, headers: Mapping[str, str], body: bytes, *, deadline_s: float) -> RawReply:
        """Send one POST; see `Transport.post`. The deadline covers the wait for a free connection."""
        refuse_headers(headers)
        if self._closed:
            raise TransportFailed("connect", "the transport is closed", possibly_paid=False)
        client = self._client
        try:
            builder = client.post(url)
        except ValueError as error:
            raise TransportFailed("connect", f"not a usable URL: {error}", possibly_paid=False) from error
        try:
            # reqwest's total timeout also ends a body that trickles in, and costs less than asyncio.timeout.
            request = (
                builder.headers(headers)
                .body_bytes(body)
                .timeout(timedelta(seconds=max(deadline_s, 0.0)))
                .build_streamed()
            )
            async with request as response:
                fields = text_headers(response)
                refuse_encoding(fields.get("content-encoding"), url)
                return RawReply(response.status, fields, await self._read(response, url))
        except PyreqwestError as error:
            raise describe(error, url) from error
        except asyncio.CancelledError:
            if client is self._client and not self._closed:
                self._client = self._open_client()
            raise

    async def _read(self, response: Response, url: str) -> bytes:
        reader = response.body_reader
        chunks: list[bytes] = []
        size = 0
        while (chunk := await reader.read_chunk()) is not None:
            size += len(chunk)
            if size > self._max_body_bytes:
                raise too_large(url, self._max_body_bytes)
            chunks.append(bytes(chunk))
        return b"".join(chunks)

    async def aclose(self) -> None:
        """Close all connections; calls in flight fail as resets."""
        self._closed = True
        await self._client.close()

    def __repr__(self) -> str:
        return f"PyreqwestTransport({'closed' if self._closed else 'open'})"


def open_client(
    *,
    connections: int,
    connect_timeout: timedelta,
    keepalive: timedelta,
    ca_pem: bytes | None,
    proxy: str | None,
) -> Client:
    """A client that follows nothing, retries nothing and takes nothing from the environment."""
    builder = (
        ClientBuilder()
        .no_proxy()
        .follow_redirects(False)
        .referer(False)
        .http1_only()
        .user_agent(USER_AGENT)
        # One encoding, the same for both adapters.
        .gzip(True)
        .brotli(False)
        .zstd(False)
        .deflate(False)
        .max_connections(connections)
        .pool_max_idle_per_host(connections)
        .pool_idle_timeout(keepalive)
        .connect_timeout(connect_timeout)
    )
    if ca_pem is not None:
        builder = builder.add_root_certificate_pem(ca_pem)
    if proxy is not None:
        builder = builder.proxy(ProxyBuilder.all(proxy).no_proxy(",".join(LOOPBACK)))
    return builder.build()


def text_headers(response: Response) -> dict[str, str]:
    """The headers of a reply by lower-case name; one whose value is not text is left out."""
    headers = response.headers
    try:
        return dict(headers.items())
    except ValueError:  # one value that is not UTF-8 spoils items(), not the others
        found = {}
        for name in headers.keys():  # noqa: SIM118 - iterating the map itself is not documented
            try:
                found[name] = headers[name]
            except ValueError:
                continue
        return found


def describe(error: PyreqwestError, url: str) -> TransportFailed:
    """Say what a pyreqwest error means for the call."""
    causes = causes_of(error)
    origin = origin_of(url)
    detail = f"{origin}: {causes[-1] if causes else error.message}"
    # Opening a streamed reply already reads some of its body, so only the cause tells where it broke.
    in_body = IN_BODY in causes

    if isinstance(error, PoolTimeoutError):
        return TransportFailed("deadline", f"{origin}: no free connection in time", possibly_paid=False)
    if isinstance(error, BuilderError):
        return TransportFailed("connect", f"{detail} (not a usable URL)", possibly_paid=False)
    if NOTHING_SENT in causes:
        reason = "tls" if any(TLS_WORDS.search(cause) for cause in causes) else "connect"
        return TransportFailed(reason, f"{detail} (cannot connect)", possibly_paid=False)
    if isinstance(error, RequestTimeoutError):
        return TransportFailed(
            "deadline",
            f"{origin}: no complete reply within the deadline",
            possibly_paid=True,
            no_byte_received=not in_body,
        )
    if in_body and FROM_THE_WIRE not in causes:
        return TransportFailed("encoding", detail, possibly_paid=True, no_byte_received=False)
    if isinstance(error, DecodeError) and CUT_SHORT not in causes:
        return TransportFailed("protocol", detail, possibly_paid=True, no_byte_received=False)
    # hyper has the same words for an empty reply and for half a status line: both count as no byte.
    nothing_came = not in_body and isinstance(error, NetworkError)
    return TransportFailed("reset", detail, possibly_paid=True, no_byte_received=nothing_came)


def causes_of(error: PyreqwestError) -> list[str]:
    """Rust's chain of causes, outermost first, without the line that holds the whole URL."""
    details = error.details if isinstance(error, DetailedPyreqwestError) else {"causes": None}
    lines = [cause["message"] for cause in details["causes"] or []]
    return [line for line in lines if " for url (" not in line]
