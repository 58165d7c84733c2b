"""Calls whose replies are streamed, behind the seam of all others.

The rule here: a stream is a way for a reply to come, and nothing else. It is asked for behind the request's
digest and put together before anyone reads it, so that calls which are not streamed pay nothing for this,
and a run may change from one to the other. What it buys is that silence can be told from work: the
transport below ends a call in which nothing has come for `idle_timeout_s`.
"""

from __future__ import annotations

from collections.abc import Mapping

from engine.config.endpoint_settings import EndpointSettings, TransportKind
from engine.llm.endpoint import proxy_url
from engine.llm.open_transport import open_transport
from engine.llm.transport import RawReply, Transport
from engine.wire.event_stream import EventStream
from engine.wire.formats import FORMATS


class StreamingTransport:
    """`Transport` whose replies are whole bodies, although they were sent as event streams.

    Beside what `post` of the one below raises, it raises ReplyUnusable for a stream that is not whole.
    """

    def __init__(self, below: Transport, stream: EventStream) -> None:
        self._below = below
        self._stream = stream

    async def post(self, url: str, headers: Mapping[str, str], body: bytes, *, deadline_s: float) -> RawReply:
        """Send one POST that asks for a stream; see `Transport.post`."""
        raw = await self._below.post(url, headers, self._stream.request(body), deadline_s=deadline_s)
        return raw._replace(body=self._stream.reply(raw.body)) if raw.status == 200 else raw

    async def aclose(self) -> None:
        """Close the transport below."""
        await self._below.aclose()

    def __repr__(self) -> str:
        return f"StreamingTransport({self._below!r})"


def open_endpoint_transport(
    name: str, settings: EndpointSettings, usual: TransportKind, *, connections: int
) -> Transport:
    """The transport that an endpoint's settings ask for.

    Raises OSError for a `ca_file` that is not there, ConfigError for a proxy's password that is not set.
    """
    transport = open_transport(
        settings.transport or usual,
        connections=connections,
        connect_timeout_s=settings.connect_timeout_s,
        idle_timeout_s=settings.idle_timeout_s if settings.stream else None,
        ca_file=settings.ca_file,
        proxy=proxy_url(name, settings),
    )
    stream = FORMATS[settings.format].stream
    return StreamingTransport(transport, stream) if settings.stream and stream is not None else transport
