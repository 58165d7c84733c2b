from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from engine.llm.breaker import PROBES, Breaker, BreakerState


def fail(breaker: Breaker, now: float, times: int = 1) -> None:
    for _ in range(times):
        breaker.begin(now)
        breaker.fail(now)


def test_few_failures_or_a_small_share_do_not_open() -> None:
    breaker = Breaker(Random(1))
    fail(breaker, 0.0, 9)
    assert breaker.may_send(0.0)
    breaker = Breaker(Random(1))
    for _ in range(60):
        breaker.begin(0.0)
        breaker.succeed(0.0)
    fail(breaker, 1.0, 50)
    assert breaker.state(1.0) is BreakerState.CLOSED


def test_old_outcomes_do_not_count() -> None:
    breaker = Breaker(Random(1))
    fail(breaker, 0.0, 9)
    fail(breaker, 31.0, 1)
    assert breaker.state(31.0) is BreakerState.CLOSED


def test_opens_probes_gently_and_closes_after_successes() -> None:
    breaker = Breaker(Random(1))
    fail(breaker, 0.0, 10)
    assert breaker.state(0.0) is BreakerState.OPEN
    assert 12 <= breaker.wait_s(0.0) <= 18
    now = 18.0
    allowed = []
    done = 0
    while breaker.state(now) is BreakerState.HALF_OPEN:
        sent = 0
        while breaker.may_send(now) and sent < 100:
            breaker.begin(now)
            sent += 1
        allowed.append(sent)
        for _ in range(sent):
            if breaker.state(now) is BreakerState.HALF_OPEN:
                breaker.succeed(now)
                done += 1
    assert allowed[0] == 1
    assert allowed[1] == 2
    assert done == PROBES
    assert breaker.state(now) is BreakerState.CLOSED


def test_relapses_wait_twice_as_long_up_to_the_longest() -> None:
    breaker = Breaker(Random(1))
    fail(breaker, 0.0, 10)
    now, waits = 0.0, []
    for _ in range(8):
        waits.append(breaker.wait_s(now))
        now += waits[-1]
        assert breaker.may_send(now)
        fail(breaker, now)
    assert all(0.8 * 15 * 2**k <= wait <= 1.2 * 15 * 2**k for k, wait in enumerate(waits[:4]))
    assert max(waits) <= 1.2 * 300


def test_abandoned_probe_frees_its_place() -> None:
    breaker = Breaker(Random(1))
    fail(breaker, 0.0, 10)
    breaker.begin(20.0)
    assert not breaker.may_send(20.0)
    breaker.abandon(20.0)
    assert breaker.may_send(20.0)


@given(st.lists(st.tuples(st.sampled_from(["ok", "fail", "abandon"]), st.floats(0, 40)), max_size=80))
def test_never_stuck(script: list[tuple[str, float]]) -> None:
    """Whatever happens, within the longest rest a call may go again once those in the air have ended."""
    breaker, now = Breaker(Random(0)), 0.0
    for what, pause in script:
        now += pause
        if breaker.may_send(now):
            breaker.begin(now)
            {"ok": breaker.succeed, "fail": breaker.fail, "abandon": breaker.abandon}[what](now)
        assert breaker.wait_s(now) <= 361
    assert breaker.may_send(now + 361)
