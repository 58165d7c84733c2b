"""Throughput at two limits compared: longer replies are not slower ones, and noise is known."""

from __future__ import annotations

import pytest

from engine.llm.throughput import Sample


def sample(limit: int, latencies_s: list[float], tokens: int) -> Sample:
    made = Sample(limit)
    for latency_s in latencies_s:
        made.add(latency_s, tokens)
    return made


def test_same_latency_at_twice_the_limit_is_twice_the_throughput() -> None:
    assert sample(20, [1.0] * 5, 10).gain_over(sample(10, [1.0] * 9, 10)) == pytest.approx(2.0)


def test_replies_twice_as_long_are_no_loss_at_best() -> None:
    long, short = sample(10, [2.0] * 5, 20), sample(10, [1.0] * 5, 10)
    assert long.best_gain_over(short) == pytest.approx(1.0)
    assert long.gain_over(short) == pytest.approx(0.5**0.5)


def test_without_tokens_calls_count() -> None:
    assert sample(10, [2.0] * 5, 0).gain_over(sample(10, [1.0] * 5, 10)) == pytest.approx(0.5)


def test_variance_is_that_of_the_mean() -> None:
    assert sample(1, [1.0] * 7, 1).variance() == pytest.approx(0.0)
    assert sample(1, [0.5, 1.5] * 50, 1).variance() == pytest.approx(0.25 / 100)
