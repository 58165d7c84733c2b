"""What keeping a conversation on its replica brings: four replicas with a simulated prefix cache each.

What can be had at most is what one replica with an unbounded cache sees of the same conversations; the share
of that is what counts. `no affinity` is the same engine sending each call to the replica with the fewest in
flight. The time to a reply grows with the prompt tokens that are not cached, as prefill does. In the last
setting, which is longer, one replica is killed and comes back on its port.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from benchmarks.limits import write_config
from benchmarks.processes import ROOT, TEMPORARY, Server, run_client, running_server

Row = dict[str, Any]
REPLICAS = 4
# A cached token is free; 0.1 ms for each other one is a small model's prefill on a GPU that is shared.
BEHAVIOUR = {"latency_s": 0.05, "sigma": 0.3, "s_per_prompt_token": 1e-4}
CACHE_TOKENS = 2_000_000
_TIMEOUT_S = 900.0
# Beyond the 15 s or so for which a breaker stays open.
_LONGER = 5


def measure_affinity(conversations: int, concurrency: int, repeats: int, say: Any) -> list[Row]:
    """One unbounded replica, four with and without affinity, in turns; then four of which one dies."""
    rows = []
    for repeat in range(repeats):
        attainable = 0.0
        for name, replicas, affinity in (
            ("one replica, unbounded cache", 1, True),
            ("four replicas, affinity", REPLICAS, True),
            ("four replicas, no affinity", REPLICAS, False),
        ):
            size = CACHE_TOKENS if replicas > 1 else 10**9
            with running_server(replicas, cache_tokens=size, **BEHAVIOUR) as server:
                wall_s, failed = hold(list(server.base_urls), conversations, concurrency, affinity=affinity)
                row = _row(name, [server.stats(number) for number in range(replicas)], wall_s, failed)
            attainable = attainable or row["cached_share"]
            row["of_attainable"] = row["cached_share"] / attainable
            rows.append({**row, "repeat": repeat})
            say(_line(rows[-1]))
    rows.append({**_with_a_death(_LONGER * conversations, concurrency), "repeat": 0})
    say(_line(rows[-1]))
    return rows


def hold(
    base_urls: list[str], conversations: int, concurrency: int, *, affinity: bool = True
) -> tuple[float, int]:
    """(seconds, failed conversations) of `engine run` on these replicas, to its end."""
    folder = TEMPORARY / "affinity"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    config = write_config(folder, base_urls, {"max_in_flight": concurrency})
    report = folder / "report.json"
    command = [sys.executable, "-m", "benchmarks.clients.engine_run", "--report", str(report)]
    command += [] if affinity else ["--no-affinity"]
    command += ["run", str(config), "--limit", str(conversations), "--repeat", "100", "--run", "affinity"]
    command += ["--concurrency", str(concurrency), "--runs-dir", str(folder), "--json"]
    figures = run_client(command, report, timeout_s=_TIMEOUT_S)
    summary = json.loads((folder / "affinity" / "summary.json").read_text(encoding="utf-8"))
    shutil.rmtree(folder, ignore_errors=True)
    return figures["wall_s"], summary["end_reasons"].get("failed", 0)


def _with_a_death(conversations: int, concurrency: int) -> Row:
    """Kill one of four replicas after 3 s and bring it back 3 s later."""
    behaviour = json.dumps({"cache_tokens": CACHE_TOKENS, **BEHAVIOUR})
    command = [sys.executable, "-m", "benchmarks.server", "--behaviour", behaviour]

    def begin(port: int = 0) -> tuple[subprocess.Popen[bytes], str]:
        process = subprocess.Popen([*command, "--port", str(port)], stdout=subprocess.PIPE, cwd=ROOT)
        assert process.stdout is not None
        return process, json.loads(process.stdout.readline())["base_urls"][0]

    replicas = [begin() for _ in range(REPLICAS)]
    try:
        urls = [url for _, url in replicas]
        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(hold, urls, conversations, concurrency)
            time.sleep(3.0)
            replicas[0][0].kill()
            replicas[0][0].wait()
            time.sleep(3.0)
            port = int(urls[0].removesuffix("/v1").rpartition(":")[2])
            replicas[0] = begin(port)
            wall_s, failed = running.result()
        row = _row(
            "four replicas, affinity, one dies", [Server((url,)).stats() for url in urls], wall_s, failed
        )
        return {**row, "of_attainable": float("nan")}
    finally:
        for process, _ in replicas:
            process.terminate()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()


def _row(name: str, stats: list[dict[str, Any]], wall_s: float, failed: int) -> Row:
    prompt = sum(replica["prompt_tokens"] for replica in stats)
    replies = sum(replica["replies"] for replica in stats)
    return {
        "name": name,
        "cached_share": sum(replica["cached_tokens"] for replica in stats) / prompt,
        "calls": replies,
        "calls_per_s": replies / wall_s,
        "failed": failed,
        "by_replica": [replica["replies"] for replica in stats],
    }


def _line(row: Row) -> str:
    return (
        f"{row['name']}: {row['cached_share']:.3f} of the prompt tokens cached, "
        f"{row['calls_per_s']:.0f} calls/s, {row['failed']} conversations failed"
    )
