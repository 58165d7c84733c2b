"""The seam between the caller and HTTP: one POST, whole, under one deadline.

An adapter owns connections, TLS, the deadline and the cap on the decoded body, follows no redirect
(a cross-host redirect would carry `x-api-key` along), retries nothing, and raises only
`TransportFailed`. Everything above it is the same for each adapter; one contract test holds them to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

MAX_BODY_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class RawReply:
    """A complete HTTP reply. Header names are lower case; `body` is decoded (no content encoding)."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Transport(Protocol):
    """What the caller needs of HTTP."""

    async def post(
        self, url: str, headers: Mapping[str, str], body: bytes, *, deadline_s: float
    ) -> RawReply:
        """Send one POST and read the whole reply within `deadline_s` seconds.

        Raises `TransportFailed` alone, with `possibly_paid` false only where no byte of the request
        can have reached the server. Cancellation passes through and leaves the adapter usable.
        """
        ...

    async def aclose(self) -> None:
        """Close all connections; safe to call twice."""
        ...
