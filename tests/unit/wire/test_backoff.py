"""What follows a failed try: waits in bounds, counted tries, and what ends a call or a run."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import CallFailed, ReplyUnusable, ServerFailed, TransportFailed
from engine.wire.backoff import (
    SHORTEST_HINT_S,
    Decision,
    GiveUp,
    StopRun,
    Tries,
    Wait,
    decide,
    is_transient,
    throttle_wait_s,
    transient_wait_s,
)

RANDOMS = st.integers().map(Random)
HINTS = st.floats(SHORTEST_HINT_S, 86_400)


def server(reason: str, hint_s: float | None = None) -> ServerFailed:
    return ServerFailed(reason, "x", status=500, retry_after_s=hint_s)


def transport(reason: str, *, paid: bool = True, no_byte: bool = True) -> TransportFailed:
    return TransportFailed(reason, "x", possibly_paid=paid, no_byte_received=no_byte)


def decisions(
    failure: CallFailed, count: int, *, attempts: int = 8, tries: Tries | None = None
) -> list[Decision]:
    tries = tries or Tries()
    return [decide(failure, tries, attempts=attempts, random=Random(1)) for _ in range(count)]


# --- waits -----------------------------------------------------------------------------------------


@given(st.integers(0, 10_000), RANDOMS)
def test_waits_without_a_hint_grow_to_a_bound(n: int, random: Random) -> None:
    top = min(60.0, 2.0 * 2.0 ** min(n, 10))
    assert top / 2 <= throttle_wait_s(n, None, random) <= top
    assert 0 <= transient_wait_s(n, None, random) <= min(30.0, 0.5 * 2.0 ** min(n, 10))


@given(st.integers(0, 10_000), HINTS, RANDOMS)
def test_no_wait_is_shorter_than_the_hint_or_far_beyond_it(n: int, hint_s: float, random: Random) -> None:
    for wait_s in (throttle_wait_s(n, hint_s, random), transient_wait_s(n, hint_s, random)):
        assert hint_s <= wait_s <= hint_s + min(0.1 * hint_s, 5.0)


@given(st.integers(0, 10_000), st.floats(0, SHORTEST_HINT_S, exclude_max=True), st.integers())
def test_a_hint_of_next_to_nothing_is_no_reason_to_storm(n: int, hint_s: float, seed: int) -> None:
    for wait_s in (throttle_wait_s, transient_wait_s):
        assert wait_s(n, hint_s, Random(seed)) == wait_s(n, None, Random(seed))


def test_callers_at_the_bound_do_not_wait_alike() -> None:
    assert len({throttle_wait_s(50, None, Random(seed)) for seed in range(20)}) == 20
    assert len({transient_wait_s(50, None, Random(seed)) for seed in range(20)}) == 20


# --- no capacity -----------------------------------------------------------------------------------

NO_CAPACITY = [server("throttled"), server("throttled", 3.0), transport("connect", paid=False)]


@pytest.mark.parametrize("failure", NO_CAPACITY, ids=str)
def test_having_no_capacity_waits_for_ever_and_uses_no_attempt(failure: CallFailed) -> None:
    tries = Tries()
    for decision in decisions(failure, 500, attempts=1, tries=tries):
        assert isinstance(decision, Wait)
        assert not decision.uses_attempt
        assert decision.seconds > 0
    assert tries.transient == 0
    assert tries.waited_for_capacity == 500


# --- transient failures ----------------------------------------------------------------------------

TRANSIENT = [
    server("server_error"),
    ReplyUnusable("not_json", "x"),
    ReplyUnusable("empty", "x"),
    transport("deadline"),
    transport("protocol"),
    transport("reset", no_byte=False),
    transport("connect", paid=True),
]


@pytest.mark.parametrize(
    "failure", TRANSIENT, ids=lambda failure: f"{type(failure).__name__}-{failure.reason}"
)
@pytest.mark.parametrize("attempts", [1, 2, 8])
def test_a_transient_failure_is_tried_exactly_as_often_as_allowed(failure: CallFailed, attempts: int) -> None:
    *before, last = decisions(failure, attempts, attempts=attempts)
    assert all(isinstance(decision, Wait) and decision.uses_attempt for decision in before)
    assert last == GiveUp()


@given(
    st.lists(st.sampled_from([*NO_CAPACITY, *TRANSIENT, transport("reset")]), max_size=60), st.integers(1, 9)
)
def test_any_mixture_gives_up_at_the_last_attempt_and_not_before(
    failures: list[CallFailed], attempts: int
) -> None:
    tries, used = Tries(), 0
    for failure in failures:
        decision = decide(failure, tries, attempts=attempts, random=Random(0))
        if isinstance(decision, GiveUp):
            used += 1
            break
        assert isinstance(decision, Wait)
        used += decision.uses_attempt
        assert used < attempts
    else:
        return
    assert used == attempts


def test_a_server_error_with_a_hint_waits_at_least_that_long() -> None:
    (decision,) = decisions(server("server_error", 40.0), 1)
    assert isinstance(decision, Wait)
    assert decision.seconds >= 40.0


# --- the idle-close race ---------------------------------------------------------------------------


def test_a_reset_before_the_first_byte_is_tried_again_at_once_but_once_only() -> None:
    first, *rest = decisions(transport("reset"), 9, attempts=8)
    assert first == Wait(0.0, uses_attempt=False)
    assert all(isinstance(decision, Wait) and decision.uses_attempt for decision in rest[:-1])
    assert rest[-1] == GiveUp()


def test_a_reset_inside_a_reply_is_not_free() -> None:
    (decision,) = decisions(transport("reset", no_byte=False), 1)
    assert isinstance(decision, Wait)
    assert decision.uses_attempt


# --- what ends a call or a run ---------------------------------------------------------------------


@pytest.mark.parametrize("reason", ["quota", "key_refused", "not_served", "not_found"])
def test_what_every_other_call_would_meet_stops_the_run(reason: str) -> None:
    assert decisions(server(reason, 5.0), 1) == [StopRun()]


@pytest.mark.parametrize(
    "failure",
    [server("bad_request"), server("context_full"), transport("too_large")],
    ids=lambda failure: failure.reason,
)
def test_what_would_be_the_same_again_ends_the_call_at_once(failure: CallFailed) -> None:
    tries = Tries()
    assert not is_transient(failure)
    assert decisions(failure, 1, tries=tries) == [GiveUp()]
    assert repr(tries) == repr(Tries())
