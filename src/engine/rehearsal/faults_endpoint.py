"""The rehearsal endpoint with faults: a script decides which requests meet one; the others get a reply.

What a fault is, stands in its catalogue; here its steps are carried out on the raw connection.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from socket import socket

from engine.rehearsal.faults import DOWN_S, Do, Fault, Met, Pause, http, quoted_key
from engine.rehearsal.faults_script import FAULTS, Director, Script
from engine.rehearsal.faults_server import Exchange, FaultServer, serve_faults
from engine.rehearsal.replies import Reply
from engine.rehearsal.service import Service
from engine.rehearsal.settings import RehearsalSettings


@asynccontextmanager
async def serve_script(
    script: Script,
    settings: RehearsalSettings | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    sock: socket | None = None,
    wall: Callable[[], float] = time.time,
    keeps_exchanges: bool = False,
) -> AsyncIterator[FaultServer]:
    """Serve until the block ends. Loopback alone: a server that quotes keys is for nobody else.

    `sock` is a socket that is bound already; `wall` is the Unix time that dated hints count from.
    """
    service = Service(settings or RehearsalSettings())
    director = Director(script)

    async def answer(exchange: Exchange) -> None:
        reply = service.route(exchange.method, exchange.path)
        if reply is None:
            reply = service.begin_chat(exchange.body, exchange.header("authorization").encode("latin-1"))
            try:
                name = director.next(exchange.body) if reply.status == 200 else None
                if name is not None:
                    quoted = _quote(script, exchange)
                    met = Met(reply.body, exchange.turn, server.port, wall(), quoted, reply.events)
                    await carry_out(FAULTS[name], met, exchange, server)
                    return
                if reply.delay_s:
                    await asyncio.sleep(reply.delay_s)
            finally:
                service.end_chat()
        await exchange.send(_bytes_of(reply))

    try:
        async with serve_faults(
            answer, host=host, port=port, sock=sock, keeps_exchanges=keeps_exchanges
        ) as server:
            yield server
    finally:
        service.close()


async def carry_out(fault: Fault, met: Met, exchange: Exchange, server: FaultServer) -> None:
    """Take the fault's steps, one after the other."""
    for step in fault.steps(met):
        match step:
            case bytes():
                await exchange.send(step)
            case Pause(seconds):
                await asyncio.sleep(seconds)
            case Do.CLOSE:
                await exchange.end()
            case Do.RESET:
                exchange.reset()
            case Do.HOLD:
                await exchange.wait_for_client_to_leave()
            case Do.DROP_NEXT:
                server.drop_next()
            case Do.GO_DOWN:
                server.go_down(DOWN_S)


def _quote(script: Script, exchange: Exchange) -> str:
    authorization = exchange.header("authorization")
    return quoted_key(authorization) if script.quote_key and authorization else ""


def _bytes_of(reply: Reply) -> bytes:
    headers = (f"{name}: {value}" for name, value in reply.headers)
    return http(reply.status, reply.content, *headers, kind=reply.content_type)
