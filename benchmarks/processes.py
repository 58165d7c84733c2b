"""Starts what is measured, each in a process of its own: the server, and one client at a time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"
TEMPORARY = RESULTS / "tmp"
_LAST_LINES = 15


class ClientFailed(Exception):
    """A client did not end well; the message holds its last lines."""


@dataclass(frozen=True, slots=True)
class Server:
    """A benchmark server that is listening."""

    base_urls: tuple[str, ...]

    def stats(self, replica: int = 0) -> dict[str, Any]:
        """A replica's counters; see `benchmarks.server`."""
        return self._ask("/stats", None, replica)

    def reset(self) -> None:
        """All counters to zero."""
        for replica in range(len(self.base_urls)):
            self._ask("/reset", b"{}", replica)

    def control(self, **behaviour: object) -> None:
        """Change how all replicas behave from now on."""
        for replica in range(len(self.base_urls)):
            self._ask("/control", json.dumps(behaviour).encode(), replica)

    def _ask(self, path: str, body: bytes | None, replica: int) -> dict[str, Any]:
        url = self.base_urls[replica].removesuffix("/v1") + path
        with urlopen(Request(url, data=body), timeout=60) as response:
            answer: dict[str, Any] = json.load(response)
        return answer


@contextmanager
def running_server(replicas: int = 1, **behaviour: object) -> Iterator[Server]:
    """A server process until the block ends."""
    command = [sys.executable, "-m", "benchmarks.server", "--replicas", str(replicas)]
    command += ["--behaviour", json.dumps(behaviour)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise ClientFailed("the benchmark's server did not start")
        yield Server(tuple(json.loads(line)["base_urls"]))
    finally:
        process.terminate()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def run_client(
    command: Sequence[str], report: Path, *, timeout_s: float, environment: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Run one client to its end; the figures that it wrote. Raises ClientFailed."""
    report.unlink(missing_ok=True)
    started_at = time.monotonic()
    log = report.with_suffix(".log")
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            env={**os.environ, **(environment or {})},
        )
        try:
            code = process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise ClientFailed(f"not done after {timeout_s:.0f} s") from None
    if code != 0 or not report.exists():
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
        # Results are published: where they were measured is nobody's business.
        last = " | ".join(lines[-_LAST_LINES:]).replace(f"{ROOT}/", "").replace(f"{sys.base_prefix}/", "")
        raise ClientFailed(f"exit code {code}: {last[-600:]}")
    figures: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    return {**figures, "started_at": started_at, "process_wall_s": time.monotonic() - started_at}
