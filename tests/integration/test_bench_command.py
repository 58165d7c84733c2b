"""`engine bench` against the embedded endpoint, as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from benchmarks.processes import running_server

from engine.cli.main import exit_code_of
from engine.version import __version__


def test_bench_measures_levels_and_suggests_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "engine.yaml"
    config.write_text("rehearsal: {latency_s: 0.1}\n", encoding="utf-8")
    out = tmp_path / "bench.json"
    assert exit_code_of(["bench", str(config), "--levels", "1,4", "--seconds", "1", "--out", str(out)]) == 0
    facts = json.loads(out.read_text(encoding="utf-8"))
    one, four = facts["levels"]
    assert one["goodput_calls_per_s"] == pytest.approx(10, rel=0.3)
    assert four["goodput_calls_per_s"] > 2 * one["goodput_calls_per_s"]
    assert one["e2e_latency_s"]["p50"] >= 0.1
    assert four["cached_tokens"] > 0
    assert facts["suggested_concurrency"] == 4
    assert "suggested: --concurrency 4" in capsys.readouterr().out
    assert set(tmp_path.iterdir()) == {config, out}


def test_a_server_of_ones_own_is_measured_up_to_its_slots(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plot = tmp_path / "bench.png"
    with running_server(latency_s=0.1, slots=4, cache_tokens=10**6) as server:
        url = server.base_urls[0]
        options = ["--base-url", url, "--model", "bench-assistant", "--levels", "1,4,16", "--seconds", "1"]
        assert exit_code_of(["bench", *options, "--json", "--plot", str(plot)]) == 0
        stats = server.stats()
    facts = json.loads(capsys.readouterr().out)
    # Which of the two that bring the same is for tests in virtual time (tests/unit/runner/test_sweep.py).
    assert facts["suggested_concurrency"] in (4, 16)
    assert facts["engine"] == __version__
    assert facts["endpoints"] == {"default": url.removesuffix("/v1")}
    one, four, sixteen = facts["levels"]
    assert sixteen["goodput_calls_per_s"] < 1.2 * four["goodput_calls_per_s"]
    assert sixteen["e2e_latency_s"]["p50"] > 2 * four["e2e_latency_s"]["p50"]
    assert four["completion_tokens_per_s"] > 2 * one["completion_tokens_per_s"]
    assert 0 < sixteen["cached_tokens"] < sixteen["prompt_tokens"]
    assert one["ttft_s"] is None
    assert facts["calls"] == stats["replies"]
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_streams_tell_when_the_first_token_came(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "engine.yaml"
    config.write_text("rehearsal: {latency_s: 0.2}\n", encoding="utf-8")
    assert exit_code_of(["bench", str(config), "--levels", "2", "--seconds", "1", "--stream", "--json"]) == 0
    (level,) = json.loads(capsys.readouterr().out)["levels"]
    assert 0 < level["ttft_s"]["p50"] < level["e2e_latency_s"]["p50"]
    assert 0 < level["tpot_s"]["p50"] < 0.2


def test_it_stops_before_it_has_cost_more(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "bench.json"
    options = ["--levels", "2,4", "--seconds", "1", "--max-tokens", "20000", "--out", str(out)]
    assert exit_code_of(["bench", *options]) == 75
    assert "engine bench --max-tokens" in capsys.readouterr().err
    assert json.loads(out.read_text(encoding="utf-8"))["levels"] == []


@pytest.mark.parametrize("levels", ["", "0,1", "4,2", "a"])
def test_levels_must_rise(levels: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code_of(["bench", "--levels", levels]) == 2
    assert "rising whole numbers" in capsys.readouterr().err


def test_an_endpoint_needs_a_model(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code_of(["bench", "--base-url", "http://127.0.0.1:9/v1"]) == 78
    assert "--simulator MODEL" in capsys.readouterr().err
