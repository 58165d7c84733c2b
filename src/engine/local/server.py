"""A local model is served by a child process that cannot outlive the code that asked for it.

llama.cpp aborts the whole process when something goes wrong, and its binding has no way to stop it, so it
lives in a process of its own, on loopback, on a port that the kernel chose. Leaving the context ends it.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import anyio
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from engine.errors import ConfigError, Stopped, UsageError
from engine.local.weights import require_gguf

_LOAD_DEADLINE_S = 120.0
_STOP_DEADLINE_S = 5.0


@dataclass(frozen=True, slots=True)
class LocalServer:
    """A running server. `base_url` ends in /v1; `model` is the name to ask for and to be told."""

    base_url: str
    model: str
    process: Process
    log: IO[bytes]

    async def watch(self) -> None:
        """Wait for the server's death, then raise `Stopped` with its last words.

        Run it in the task group of the work that needs the server, and cancel it when that is done;
        without it a dead server only shows as refused connections.
        """
        status = await self.process.wait()
        raise Stopped(
            f"the local model's server died (exit status {status}): {_last_words(self.log)} "
            "What was acknowledged is safe: resume the run, with fewer slots if memory is short."
        )


@asynccontextmanager
async def serve_local(
    model_path: Path, *, slots: int, context_tokens: int, threads: int | None = None, exact: bool = False
) -> AsyncIterator[LocalServer]:
    """Serve a GGUF file in the OpenAI format for the length of the context.

    `slots` replies are written at a time, each with `context_tokens` of its own (prompt and reply);
    further requests queue. `threads` is the number of computing threads, by default one per slot up to
    the number of cores. Prompts are cached per slot, and the usage says how many tokens came from there.

    `exact` makes a reply depend on its request alone. Otherwise sums are formed in an order that depends
    on what the cache held and on who shared the batch, and replies differ even with a fixed seed or at
    temperature 0: 11 of 16 prompts gave more than one reply in three servers with 1, 2 and 3 slots,
    with `exact` none did. It computes token by token on one thread: prompts are read at about half the speed,
    and more slots give no more tokens per second.

    Raises `ConfigError` when the extra is missing or the server does not start, `BadInput` for a file
    that is not a model, `UsageError` for numbers that cannot be.
    """
    wish = _wish(model_path, slots, context_tokens, threads, exact)
    with tempfile.TemporaryFile() as log:
        # A session of its own: an interrupt from the keyboard must not kill replies under way.
        process = await anyio.open_process(
            [sys.executable, "-P", str(Path(__file__).with_name("child.py")), json.dumps(wish)],
            stderr=log,
            env=_environment(),
            start_new_session=True,
        )
        try:
            address = await _read_address(process, log)
            yield LocalServer(f"{address}/v1", model_path.stem, process, log)
        finally:
            await _stop(process)


def _wish(
    model_path: Path, slots: int, context_tokens: int, threads: int | None, exact: bool
) -> dict[str, str | int]:
    """What the child is told; everything that can be wrong about it is found here."""
    if min(slots, context_tokens) < 1:
        raise UsageError(f"slots ({slots}) and context_tokens ({context_tokens}) must be at least 1")
    chosen = _choose_threads(slots, threads, exact)
    require_gguf(model_path)
    require_extra()
    return {
        "path": str(model_path.resolve()),
        "model": model_path.stem,
        "slots": slots,
        "context_tokens": context_tokens,
        "threads": chosen,
        "exact": exact,
    }


def require_extra() -> None:
    """Raise `ConfigError` where the binding that serves a model is not installed."""
    if importlib.util.find_spec("xllamacpp") is None:
        raise ConfigError(
            "a local model needs xllamacpp, which is not installed: pip install 'recsim-engine[local]'"
        )


def _choose_threads(slots: int, threads: int | None, exact: bool) -> int:
    if exact:
        if threads not in (None, 1):
            raise UsageError(f"exact replies are computed on 1 thread, not {threads}: leave threads out")
        return 1
    if threads is not None and threads < 1:
        raise UsageError(f"threads ({threads}) must be at least 1")
    return threads or min(slots, os.cpu_count() or 1)


def _environment() -> dict[str, str]:
    """The user's environment, with OpenMP threads that spin briefly and without a call of gdb on a crash.

    Two threads beside two busy processes on two cores: 41 tokens/s, against 20 with OpenMP's default;
    no loss on a quiet machine, where OMP_WAIT_POLICY=passive costs nearly half (53 against 100).
    """
    return {"GOMP_SPINCOUNT": "1000", **os.environ, "GGML_NO_BACKTRACE": "1"}


async def _read_address(process: Process, log: IO[bytes]) -> str:
    """The one line that the child writes when the model is loaded and the port answers."""
    assert process.stdout is not None
    try:
        with anyio.fail_after(_LOAD_DEADLINE_S):
            line = await BufferedByteReceiveStream(process.stdout).receive_until(b"\n", 200)
    except (anyio.IncompleteRead, anyio.EndOfStream, anyio.BrokenResourceError, TimeoutError) as error:
        why = f"not ready after {_LOAD_DEADLINE_S:.0f} s" if isinstance(error, TimeoutError) else "it died"
        raise ConfigError(
            f"the local model's server did not start ({why}): {_last_words(log)} "
            "Check that the model file is one that llama.cpp can run, and that memory is free."
        ) from error
    return line.decode()


def _last_words(log: IO[bytes]) -> str:
    """The last lines of the server's log; at its level they hold no prompts of valid requests."""
    size = log.seek(0, os.SEEK_END)
    log.seek(max(0, size - 2000))
    lines = log.read().decode(errors="replace").strip().splitlines()
    return " | ".join(line.strip() for line in lines[-3:]) or "it said nothing."


async def _stop(process: Process) -> None:
    """End the child by ending its input; kill it if it does not listen. Cancellation does not cut in."""
    with anyio.CancelScope(shield=True):
        assert process.stdin is not None
        await process.stdin.aclose()
        with anyio.move_on_after(_STOP_DEADLINE_S):
            await process.wait()
        if process.returncode is None:
            process.kill()
        await process.aclose()
