"""Which transport is opened, and with which defaults; the one place that names both adapters.

A proxy needs `httpx`, so an endpoint with one gets it whatever its kind says: the result is the same.

No proxy is taken from the environment: a run goes where its configuration says. With an explicit
`proxy`, loopback hosts are still reached directly.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from engine.config.endpoint_settings import TransportKind
from engine.llm.asyncio_transport import AsyncioTransport
from engine.llm.transport import MAX_BODY_BYTES, Transport
from engine.on_use import ModuleOnUse

if TYPE_CHECKING:
    from engine.llm import httpx_transport
else:
    httpx_transport = ModuleOnUse("engine.llm.httpx_transport")

# Shorter than the servers' own: uvicorn (vLLM and most self-hosted servers) and Node close after 5 s.
KEEPALIVE_S = 4.0
CONNECT_TIMEOUT_S = 10.0


def open_transport(
    kind: TransportKind,
    *,
    connections: int,
    connect_timeout_s: float = CONNECT_TIMEOUT_S,
    idle_timeout_s: float | None = None,
    keepalive_s: float = KEEPALIVE_S,
    max_body_bytes: int = MAX_BODY_BYTES,
    ca_file: Path | None = None,
    proxy: str | None = None,
) -> Transport:
    """Open a transport of at most `connections` connections; `aclose` it when done.

    `ca_file` (PEM) is trusted in addition to the usual roots. `proxy` is a URL such as
    `http://proxy.example:3128`. Nothing is connected before the first call.

    With `idle_timeout_s` a call ends too where nothing has come for so long, counted from its sending and
    from each piece of its reply.
    """
    if kind == "httpx" or proxy is not None:
        return httpx_transport.HttpxTransport(
            connections=connections,
            connect_timeout_s=connect_timeout_s,
            idle_timeout_s=idle_timeout_s,
            keepalive_s=keepalive_s,
            max_body_bytes=max_body_bytes,
            ca_file=ca_file,
            proxy=proxy,
        )
    return AsyncioTransport(
        connections=connections,
        connect_timeout_s=connect_timeout_s,
        idle_timeout_s=idle_timeout_s,
        keepalive_s=keepalive_s,
        max_body_bytes=max_body_bytes,
        ca_file=ca_file,
    )
