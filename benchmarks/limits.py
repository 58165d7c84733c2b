"""How fully the engine uses a limit, known to it or not, and how it follows one that moves.

Each setting has a server and a client of its own, and all run side by side: none of them needs a tenth of a
core. What counts is seen at the server, between two looks at its counters: the start is left out of `share`,
the 429s of the start are not.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.canned import ASSISTANT, SIMULATOR
from benchmarks.processes import ROOT, TEMPORARY, Server, running_server

Row = dict[str, Any]
SETTLE_S = 60.0
LATENCY_S = 0.5
SIGMA = 0.4
_ENDLESS = 10_000_000


class LimitSetting(NamedTuple):
    """A server's limit; `known` is the client's `limits`, None = it has to find out.

    `phases` multiply the limit, one after another.
    """

    name: str
    behaviour: Mapping[str, Any]
    known: Mapping[str, int] | None
    callers: int
    phases: tuple[float, ...] = (1.0,)


def settings() -> tuple[LimitSetting, ...]:
    """What is measured: 60 calls a second where it is a rate, 64 where it is a number in flight."""
    rate, tokens = 3600, 9_000_000
    return (
        LimitSetting("requests/min, bucket", {"requests_per_min": rate}, {"requests_per_min": rate}, 256),
        LimitSetting(
            "requests/min, sliding window", {"requests_per_min": rate, "window": "sliding"},
            {"requests_per_min": rate}, 256,
        ),
        LimitSetting("tokens/min, bucket", {"tokens_per_min": tokens}, {"tokens_per_min": tokens}, 256),
        LimitSetting(
            "tokens/min, sliding window", {"tokens_per_min": tokens, "window": "sliding"},
            {"tokens_per_min": tokens}, 256,
        ),
        LimitSetting("in flight", {"max_in_flight": 64}, {"max_in_flight": 64}, 256),
        LimitSetting("requests/min in headers, bucket", {"requests_per_min": rate}, None, 256),
        LimitSetting(
            "requests/min unknown, bucket of 1 s",
            {"requests_per_min": rate, "burst_s": 1.0, "tells": False}, None, 256,
        ),
        LimitSetting("in flight unknown", {"max_in_flight": 64}, None, 256),
        LimitSetting("serves 64, queues the rest", {"slots": 64}, None, 256),
        LimitSetting(
            "requests/min unknown: halved, doubled",
            {"requests_per_min": rate, "burst_s": 1.0, "tells": False}, None, 256, (1.0, 0.5, 1.0),
        ),
        LimitSetting("in flight unknown: halved, doubled", {"max_in_flight": 64}, None, 256, (1.0, 0.5, 1.0)),
    )  # fmt: skip


def measure_limits(seconds: float, say: Any) -> list[Row]:
    """Every setting, each phase for `seconds` (more than a minute), all at the same time."""
    wanted = settings()
    with ThreadPoolExecutor(len(wanted)) as pool:
        found = list(pool.map(lambda setting: measure(setting, seconds), wanted))
    rows = [row for rows in found for row in rows]
    for row in rows:
        say(
            f"{row['name']} (phase {row['phase']}): {row['share']:.3f} used, {row['refused']} refused in "
            f"{row['calls']}, p95 {row['p95_over_unloaded']:.1f} times unloaded"
        )
    return rows


def measure(setting: LimitSetting, seconds: float) -> list[Row]:
    """One row for each phase."""
    behaviour = {"latency_s": LATENCY_S, "sigma": SIGMA, **setting.behaviour}
    folder = TEMPORARY / "limits" / "".join(letter for letter in setting.name if letter.isalnum())
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    rows = []
    with running_server(**behaviour) as server:
        client = _start(folder, [server.base_urls[0]], setting.known, setting.callers)
        try:
            for phase, factor in enumerate(setting.phases):
                if phase:
                    server.control(**_scaled(setting.behaviour, factor))
                rows.append(_watch(setting, server, factor, phase, seconds))
        finally:
            stop(client)
    shutil.rmtree(folder, ignore_errors=True)
    return rows


def _watch(setting: LimitSetting, server: Server, factor: float, phase: int, seconds: float) -> Row:
    begin = server.stats()
    time.sleep(min(SETTLE_S, seconds / 2))
    before, before_at = server.stats(), time.monotonic()
    time.sleep(seconds - min(SETTLE_S, seconds / 2))
    after, elapsed_s = server.stats(), time.monotonic() - before_at
    calls = after["replies"] - before["replies"]
    used = {
        "requests_per_min": calls,
        "tokens_per_min": sum(after[k] - before[k] for k in ("prompt_tokens", "completion_tokens")),
    }
    limit = {name: value * factor for name, value in setting.behaviour.items() if name.endswith("per_min")}
    if limit:
        name = next(iter(limit))
        share = used[name] / (limit[name] * elapsed_s / 60)
    else:
        slots = setting.behaviour.get("max_in_flight") or setting.behaviour["slots"]
        share = calls / (slots * factor * elapsed_s / after["mean_latency_s"])
    refused = after["refused"] - begin["refused"]
    return {
        "name": setting.name,
        "phase": f"x {factor:g}",
        "is_known": setting.known is not None,
        "seconds": seconds,
        "share": share,
        "calls": after["replies"] - begin["replies"],
        "refused": refused,
        "refused_share": refused / max(1, refused + after["replies"] - begin["replies"]),
        "refused_later": after["refused"] - before["refused"],
        "p95_over_unloaded": after["p95_s"] / after["p95_unloaded_s"],
    }


def _scaled(behaviour: Mapping[str, Any], factor: float) -> dict[str, Any]:
    numbers = ("requests_per_min", "tokens_per_min", "max_in_flight", "slots")
    return {name: int(behaviour[name] * factor) for name in numbers if name in behaviour}


def _start(
    folder: Path,
    base_urls: list[str],
    limits: Mapping[str, int] | None,
    callers: int,
    *,
    affinity: bool = True,
) -> subprocess.Popen[bytes]:
    """An endless `engine run` on these endpoints."""
    config = write_config(folder, base_urls, limits)
    command = [sys.executable, "-m", "benchmarks.clients.engine_run", "--report", str(folder / "report.json")]
    command += [] if affinity else ["--no-affinity"]
    command += ["run", str(config), "--limit", str(_ENDLESS), "--repeat", "10000", "--run", "limits"]
    command += ["--concurrency", str(callers), "--runs-dir", str(folder), "--no-disk-check", "--json"]
    with (folder / "client.log").open("wb") as log:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=ROOT)


def write_config(folder: Path, base_urls: list[str], limits: Mapping[str, int] | None) -> Path:
    """An engine.yaml (JSON is YAML) for these endpoints."""
    names = [f"replica-{number}" for number in range(len(base_urls))]
    endpoint = {"limits": dict(limits)} if limits else {}
    stage = {"endpoint": names, "max_tokens": 1024}
    config = {
        "endpoints": {
            name: {"base_url": url, **endpoint} for name, url in zip(names, base_urls, strict=True)
        },
        "stages": {"simulator": {**stage, "model": SIMULATOR}, "assistant": {**stage, "model": ASSISTANT}},
        "drain_s": 5.0,
    }
    path = folder / "engine.yaml"
    path.write_text(json.dumps(config), encoding="utf-8")
    return path


def stop(client: subprocess.Popen[bytes]) -> None:
    """End it without a dataset: nothing of it is read."""
    client.send_signal(signal.SIGKILL)
    client.wait()
