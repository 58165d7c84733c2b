"""The endpoint itself: `serve` for tests and embedding, `run_forever` for a process of its own.

It binds to loopback and nothing else unless told so: it has no TLS, and its key is a toy.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from engine.errors import UsageError
from engine.rehearsal.connection import Connection
from engine.rehearsal.faults_endpoint import serve_script
from engine.rehearsal.faults_script import Script
from engine.rehearsal.service import Replier, Service, Stats
from engine.rehearsal.settings import RehearsalSettings

_new_event_loop: Callable[[], asyncio.AbstractEventLoop]
try:
    import uvloop
except ImportError:  # not on Windows
    _new_event_loop = asyncio.new_event_loop
else:
    _new_event_loop = uvloop.new_event_loop

# The loop's default of 100 waiting connections drops the others' first packet: a second's delay each.
_BACKLOG = 4096


class RehearsalServer:
    """A server that is listening; `base_url` ends in `/v1`, `stats` is live."""

    def __init__(self, service: Service, host: str, port: int) -> None:
        self._service = service
        self.host = host
        self.port = port

    @property
    def base_url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}/v1"

    @property
    def stats(self) -> Stats:
        return self._service.stats

    def __repr__(self) -> str:
        stats = self.stats
        return f"RehearsalServer({self.base_url}, requests={stats.requests}, in_flight={stats.in_flight})"


@asynccontextmanager
async def serve(
    settings: RehearsalSettings | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    replier: Replier | None = None,
    allow_remote: bool = False,
) -> AsyncIterator[RehearsalServer]:
    """Listen until the block ends; then open connections are dropped.

    Port 0 picks a free one. Raises `UsageError` for a host that is not loopback unless `allow_remote`.
    """
    host = _checked_host(host, allow_remote=allow_remote)
    service = Service(settings or RehearsalSettings(), replier)
    connections: set[Connection] = set()
    try:
        loop = asyncio.get_running_loop()
        listener = await loop.create_server(
            lambda: Connection(service, connections), host, port, backlog=_BACKLOG
        )
        try:
            bound = listener.sockets[0].getsockname()
            yield RehearsalServer(service, host, bound[1])
        finally:
            listener.close()
            for connection in tuple(connections):
                connection.close()
            await listener.wait_closed()
    finally:
        service.close()


def run_forever(
    settings: RehearsalSettings | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    allow_remote: bool = False,
    script: Script | None = None,
    exit_with_stdin: bool = False,
    announce: Callable[[str], None] | None = None,
) -> int:
    """Serve until SIGINT or SIGTERM, then return 0. `announce` receives the base URL once it listens.

    By default the URL is printed as the first line on stdout. With a `script` the requests that it names
    meet faults; such a server is for loopback alone. With `exit_with_stdin` the end of stdin stops
    the server too, so that it does not outlive a parent that was killed.
    """

    async def main() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        listening = (
            serve(settings, host, port, allow_remote=allow_remote)
            if script is None
            else serve_script(script, settings, _checked_host(host, allow_remote=False), port)
        )
        async with listening as server:
            (announce or _print_line)(server.base_url)
            if exit_with_stdin:
                threading.Thread(target=_wait_for_stdin_end, args=(loop, stop), daemon=True).start()
            await stop.wait()

    with asyncio.Runner(loop_factory=_new_event_loop) as runner:
        runner.run(main())
    return 0


def _print_line(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _wait_for_stdin_end(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    """A thread, because epoll refuses regular files and /dev/null as stdin."""
    with suppress(OSError):
        while os.read(0, 4096):
            pass
    with suppress(RuntimeError):  # the loop has closed in the meantime
        loop.call_soon_threadsafe(stop.set)


def _checked_host(host: str, *, allow_remote: bool) -> str:
    """Raises `UsageError` for a host that is not loopback, unless allowed."""
    if host == "localhost":
        host = "127.0.0.1"  # with both families and port 0 there would be two ports
    if not allow_remote and not _is_loopback(host):
        raise UsageError(
            f"{host} is not a loopback address; the rehearsal endpoint has no protection of its own."
        )
    return host


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
