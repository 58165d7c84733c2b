"""The seam between the caller and HTTP: one POST, whole, under one deadline.

An adapter owns connections, TLS, the deadline and the cap on the decoded body, follows no redirect
(a cross-host redirect would carry `x-api-key` along), retries nothing, and raises only
`TransportFailed`. Everything above it is the same for each adapter; one contract test holds them to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol
from urllib.parse import urlsplit

from engine.errors import TransportFailed
from engine.version import __version__

MAX_BODY_BYTES = 16 * 1024 * 1024
USER_AGENT = f"recsim-engine/{__version__}"


class RawReply(NamedTuple):
    """A complete HTTP reply. Header names are lower case; `body` is decoded (no content encoding).

    `first_s` is the time from sending to the first piece of the body, in seconds; known only where silence
    has a deadline, and the pieces are looked at one by one.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    first_s: float | None = None


class Transport(Protocol):
    """What the caller needs of HTTP."""

    async def post(self, url: str, headers: Mapping[str, str], body: bytes, *, deadline_s: float) -> RawReply:
        """Send one POST and read the whole reply within `deadline_s` seconds.

        `headers` must not change once they have been given.
        Raises `TransportFailed` alone, with `possibly_paid` false only where no byte of the request
        can have reached the server. Cancellation passes through and leaves the adapter usable.
        """
        ...

    async def aclose(self) -> None:
        """Close all connections; safe to call twice."""
        ...


def refuse_headers(headers: Mapping[str, str]) -> None:
    """Refuse a header that HTTP forbids, before a library quotes its value (a key) in an error."""
    for name, value in headers.items():
        if not (value.isascii() and value.isprintable() and value == value.strip()):
            raise TransportFailed(
                "protocol",
                f"header {name!r}: its value holds a line break, outer space or non-ASCII character",
                possibly_paid=False,
            )
        if not (name.isascii() and name.replace("-", "").replace("_", "").isalnum()):
            raise TransportFailed("protocol", "a header has an illegal name", possibly_paid=False)


def refuse_encoding(encoding: str | None, url: str) -> None:
    """Refuse a body in an encoding that cannot be read.

    None is asked for: to inflate a reply costs more than its bytes do. Some servers send gzip all the same.
    """
    if encoding is not None and encoding.lower() not in ("", "identity", "gzip"):
        raise TransportFailed(
            "encoding",
            f"{origin_of(url)}: content-encoding {encoding[:40]!r} cannot be read",
            possibly_paid=True,
            no_byte_received=False,
        )


def too_large(url: str, limit_bytes: int) -> TransportFailed:
    """The failure of a reply whose decoded body exceeds the cap."""
    return TransportFailed(
        "too_large",
        f"{origin_of(url)}: the reply exceeds {limit_bytes:,} bytes",
        possibly_paid=True,
        no_byte_received=False,
    )


def origin_of(url: str) -> str:
    """Scheme, host and port for messages: never the user part or the query, which may hold a key."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "(malformed URL)"
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
