"""The benchmark runs: its server, the engine and the yardstick hold the same conversations."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks import contenders, processes

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
