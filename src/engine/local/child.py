"""The model server's own process: it serves until its standard input ends, then exits at once.

Whatever happens to the parent, SIGKILL included, the operating system closes the pipe's other end, so
this process never outlives it. It is started by its path and imports nothing of the engine.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import threading
from typing import Any


def main() -> None:
    """Serve as told by the first argument (JSON); write one line, the address, once ready."""
    # llama.cpp writes to both streams: keep the pipe for the one line, and send all else to the log.
    report = os.dup(1)
    os.dup2(2, 1)
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    try:
        server = _start(json.loads(sys.argv[1]))
    except Exception as error:  # noqa: BLE001 (llama.cpp's own words are in the log above this line)
        sys.exit(f"{type(error).__name__}: {error}")
    os.write(report, server.listening_address.encode() + b"\n")
    os.close(report)
    threading.Event().wait()


def _exit_with_parent() -> None:
    while os.read(0, 4096):
        pass
    # Not sys.exit: destructors would wait for the replies that are still being written.
    os._exit(0)


def _start(wish: dict[str, Any]) -> Any:
    xllamacpp: Any = importlib.import_module("xllamacpp")  # the optional extra; it has no types
    params = xllamacpp.CommonParams()
    params.model.path = wish["path"]
    params.model_alias = {wish["model"]}
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.n_parallel = wish["slots"]
    params.n_ctx = wish["slots"] * wish["context_tokens"]
    params.n_threads_http = wish["slots"] + 2
    for cpu in (params.cpuparams, params.cpuparams_batch):
        cpu.n_threads = wish["threads"]
    if wish["exact"]:
        params.n_ubatch = 1
    # Never shrink the context to fit the memory, never look for anything on the network.
    params.fit_params = False
    params.offline = True
    # No page of a browser may use the server, and no other user may read prompts from /slots.
    params.ui = False
    params.cors_origins = "http://127.0.0.1"
    params.endpoint_slots = False
    params.verbosity = 2
    return xllamacpp.Server(params)


if __name__ == "__main__":
    main()
