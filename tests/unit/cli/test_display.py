"""The progress line: what a person reads of a run at work."""

from __future__ import annotations

from engine.cli.display import Display
from engine.llm.caller import CallCounts
from engine.runner.progress import RunProgress


def line(prompt_tokens: int, cached_tokens: int) -> str:
    calls = CallCounts(replies=8, prompt_tokens=prompt_tokens, cached_tokens=cached_tokens)
    progress = RunProgress(planned=4, ended={"goodbye": 1}, calls=calls)
    return Display("r", progress)._status()


def test_the_share_of_cached_tokens_is_shown_where_a_server_reports_any() -> None:
    assert "64% of tokens in cached" in line(1_000, 640)
    assert "cached" not in line(1_000, 0)
    assert line(0, 5)  # a server's nonsense is no reason to end a run
