"""The benchmark can be trusted: its server counts right, and clients hold the same conversations."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from benchmarks import affinity, contenders, processes, report
from benchmarks.canned import ASSISTANT, SIMULATOR
from benchmarks.journal_maker import make_finished_run
from benchmarks.prefix_cache import PrefixCache
from benchmarks.server_limits import SlidingWindow, TokenBucket
from tests.doubles.command_line import run_engine

CONVERSATIONS = 6


def test_engine_and_script_make_the_same_calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contenders, "TEMPORARY", tmp_path)
    contenders.write_prompts(tmp_path / "prompts.jsonl")
    calls = {}
    with processes.running_server(latency_s=0.001) as server:
        for contender in (contenders.ENGINE, contenders.SCRIPT):
            figures = contenders.run_contender(
                contender, server, conversations=CONVERSATIONS, concurrency=3, timeout_s=30
            )
            assert figures["cpu_us_per_call"] > 0
            assert 1 <= figures["server"]["peak_in_flight"] <= 3
            calls[contender.name] = figures["calls"]
    assert calls["engine"] == calls["script"]
    assert 7 * CONVERSATIONS <= calls["engine"] <= 9 * CONVERSATIONS


def test_without_affinity_calls_lose_their_prefixes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(affinity, "TEMPORARY", tmp_path)
    cached = {}
    for keeps in (True, False):
        with processes.running_server(4, latency_s=0.01, sigma=0.5, cache_tokens=10**6) as server:
            affinity.hold(list(server.base_urls), 24, 8, affinity=keeps)
            stats = [server.stats(number) for number in range(4)]
        assert all(replica["replies"] for replica in stats)
        cached[keeps] = sum(replica["cached_tokens"] for replica in stats)
    assert cached[False] < 0.8 * cached[True]


def test_server_refuses_over_the_limit_and_follows_a_changed_one() -> None:
    with processes.running_server(requests_per_min=2, window="sliding") as server:
        statuses = [_post(server.base_urls[0])[0] for _ in range(3)]
        assert statuses == [200, 200, 429]
        _, headers = _post(server.base_urls[0])
        assert 1 <= int(headers["retry-after"]) <= 60
        assert headers["x-ratelimit-limit-requests"] == "2"
        assert headers["x-ratelimit-remaining-requests"] == "0"
        server.control(requests_per_min=None)
        assert _post(server.base_urls[0])[0] == 200
        stats = server.stats()
    assert (stats["replies"], stats["refused"], stats["refused_for"]) == (3, 2, {"requests": 2})


def _post(base_url: str) -> tuple[int, dict[str, str]]:
    body = json.dumps({"model": ASSISTANT, "messages": [{"role": "user", "content": "Hello"}]}).encode()
    try:
        with urlopen(Request(f"{base_url}/chat/completions", data=body), timeout=10) as response:
            assert json.load(response)["choices"][0]["message"]["content"]
            return response.status, dict(response.headers)
    except HTTPError as error:
        with error:
            return error.code, dict(error.headers)


@pytest.mark.parametrize("allowance", [SlidingWindow(60), TokenBucket(60, burst_s=60.0)])
def test_an_allowance_lets_its_amount_through_and_says_when_more_fits(
    allowance: SlidingWindow | TokenBucket,
) -> None:
    for _ in range(60):
        assert allowance.wait_s(0.0, 1) == 0
        allowance.take(0.0, 1)
    wait_s = allowance.wait_s(0.0, 1)
    assert wait_s > 0
    assert allowance.wait_s(wait_s + 1e-6, 1) == 0


def test_prefix_cache_counts_the_longest_prefix_that_is_held() -> None:
    cache = PrefixCache(10_000)
    messages = [{"role": "system", "content": "s" * 400}, {"role": "user", "content": "u" * 400}]
    first, cached = cache.look_up(_request(messages))
    assert cached == 0
    longer, cached = cache.look_up(_request([*messages, {"role": "assistant", "content": "a" * 400}]))
    assert cached == first < longer
    assert cache.look_up(_request([{"role": "system", "content": "t" * 400}, *messages[1:]]))[1] == 0


def _request(messages: list[dict[str, str]]) -> bytes:
    return json.dumps({"model": SIMULATOR, "messages": messages}).encode()


def test_a_page_and_a_plot_show_every_part_and_who_is_absent(tmp_path: Path) -> None:
    def row(name: str, concurrency: int, **figures: float) -> dict[str, object]:
        every = {key: [value, value] for key, value in figures.items()}
        return {"contender": name, "label": name, "concurrency": concurrency, "conversations": 8,
                "latency_s": 0.5, "repeats": 2, "failure": "", "all": every, **figures}  # fmt: skip

    shares = {"steady": 0.9, "start": 0.8, "tail": 0.5, "cpu_us_per_call": 200.0, "peak_mb": 90.0}
    results = {
        "mode": "quick",
        "date": "2030-01-01",
        "machine": {"cpu": "a CPU", "cores": 2, "memory_gb": 8.0, "python": "3.11.0", "load": 0.5},
        "versions": {"engine": "0"},
        "absent": {"litellm": "pip: no such version"},
        "fsync": {"median_ms": 0.2, "p95_ms": 0.3},
        "cpu": [
            row("engine", 64, cpu_us_per_call=150.0, calls_per_s=4000.0, peak_mb=80.0),
            row("script", 64, cpu_us_per_call=100.0, calls_per_s=6000.0, peak_mb=60.0),
            {"contender": "litellm", "label": "litellm", "concurrency": 1024, "failure": "absent: pip: no"},
        ],
        "ideal": [row("engine", n, work_peak_mb=mb, **shares) for n, mb in ((64, 80.0), (1064, 130.0))],
        "limits": [
            {"name": "requests/min", "phase": "x 1", "is_known": True, "share": 0.98, "calls": 99,
             "refused": 1, "refused_share": 0.01, "p95_over_unloaded": 1.1, "seconds": 90.0}
        ],
        "affinity": [
            {"name": "four replicas", "cached_share": 0.7, "of_attainable": 0.95, "calls_per_s": 9.0,
             "failed": 0, "by_replica": [1, 2], "repeat": 0}
        ],
        "jobs_memory": [{"jobs": 500, "work_peak_mb": 70.0, "peak_mb": 90.0, "dataset_us_per_call": 9.0}],
    }  # fmt: skip
    page = report.markdown(results)
    assert "Absent: litellm (pip: no such version)." in page
    assert "| litellm | 1,024 | absent: pip: no |" in page
    assert "| engine | 64 | 150 (150-150) | 1.50 |" in page
    assert "| 1,064 | 130 | 50 |" in page
    for part in ("Use of limits", "Prefix-cache affinity", "against the number of jobs"):
        assert part in page
    assert report.plot(results, tmp_path / "all.png")
    assert (tmp_path / "all.png").stat().st_size > 10_000
    assert not report.plot({"machine": results["machine"]}, tmp_path / "none.png")


def test_a_run_that_was_made_as_finished_is_one(tmp_path: Path) -> None:
    make_finished_run(tmp_path / "full", conversations=44, calls_each=4, base_url="http://127.0.0.1:9/v1")
    code, output = asyncio.run(run_engine("status", "full", "--runs-dir", tmp_path))
    assert code == 0, output
    assert "44 of 44 ended" in output
    assert "176 paid replies" in output
