"""`engine bench` against the embedded endpoint, as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.cli.main import exit_code_of


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


@pytest.mark.parametrize("levels", ["", "0,1", "4,2", "a"])
def test_levels_must_rise(levels: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code_of(["bench", "--levels", levels]) == 2
    assert "rising whole numbers" in capsys.readouterr().err


def test_an_endpoint_needs_a_model(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code_of(["bench", "--base-url", "http://127.0.0.1:9/v1"]) == 78
    assert "--simulator MODEL" in capsys.readouterr().err
