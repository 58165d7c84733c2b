"""When failures that are alike are the configuration's, and when they are the conversations' own."""

from __future__ import annotations

from typing import cast

import pytest

from engine.errors import CallFailed, ConfigError, ReplyUnusable, ServerFailed
from engine.llm.drain import Drain
from engine.llm.endpoint import Endpoint
from engine.llm.exchange import Exchange
from engine.llm.limits import Admission
from engine.llm.pool import EndpointPool
from engine.llm.transport import Transport
from engine.runner.first_answers import FEW, FirstAnswers
from engine.schema.conversation import Role
from engine.wire.status import failure_for_status


class StillClock:
    """Never moves."""

    def now(self) -> float:
        return 0.0

    def wall(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        raise AssertionError(seconds)


def endpoint(name: str = "e") -> Endpoint:
    return Endpoint(name, "http://h/v1", {}, cast(Transport, None), Admission(StillClock()), 1.0)


def refusal(message: str = "Unsupported parameter: 'max_tokens'", status: int = 400) -> ServerFailed:
    return failure_for_status(status, {}, b'{"error": {"message": "%s"}}' % message.encode(), wall=0.0)


class Bench:
    """One endpoint, or two, and a run whose conversations all fail."""

    def __init__(self, *names: str, answered_before: bool = False) -> None:
        self.endpoints = [endpoint(name) for name in names or ("e",)]
        self.drain = Drain()
        self.first: FirstAnswers[Exchange] = FirstAnswers(self.drain, lambda name, side: answered_before)

    def fail(self, failure: CallFailed, side: Role = Role.USER, at: int = 0) -> bool:
        pool = EndpointPool(self.endpoints)
        exchange = cast(Exchange, object())
        return self.first.holds_back(exchange, side, self.endpoints[at], pool, failure, "note")


def test_a_few_alike_and_no_reply_stop_the_run_with_the_servers_words() -> None:
    bench = Bench()
    for number in range(FEW):
        assert not bench.drain.is_requested
        assert bench.fail(refusal(f"Unsupported parameter: 'max_tokens' (request req_{number}ab)"))
    assert isinstance(bench.drain.cause, ConfigError)
    assert "Unsupported parameter: 'max_tokens'" in str(bench.drain.cause)
    assert "max_tokens_field: max_completion_tokens" in str(bench.drain.cause)
    assert bench.fail(refusal("Unsupported parameter: 'max_tokens' (request req_9z)")), "was in the air"
    bench.first.answered(bench.endpoints[0], Role.USER)
    assert bench.first.take_released() == []


@pytest.mark.parametrize(
    "other",
    [
        refusal("another thing"),
        refusal(status=500),
        ReplyUnusable("empty", "the reply is empty"),
        refusal("The response was filtered due to the content management policy"),
    ],
)
def test_a_failure_that_differs_says_that_each_is_its_own(other: CallFailed) -> None:
    bench = Bench()
    assert bench.fail(refusal())
    assert not bench.fail(other)
    assert len(bench.first.take_released()) == 1
    assert bench.first.take_released() == []
    assert not any(bench.fail(refusal()) for _ in range(2 * FEW))
    assert not bench.drain.is_requested


def test_a_filter_never_stops_a_run() -> None:
    bench = Bench()
    assert not any(bench.fail(refusal("Input flagged by the content filter")) for _ in range(2 * FEW))
    assert not bench.drain.is_requested


def test_a_reply_now_or_in_an_earlier_session_says_so_too() -> None:
    bench = Bench()
    for _ in range(FEW - 1):
        assert bench.fail(refusal())
    bench.first.answered(bench.endpoints[0], Role.USER)
    assert len(bench.first.take_released()) == FEW - 1
    assert not bench.fail(refusal())
    before = Bench(answered_before=True)
    for _ in range(FEW):
        before.fail(refusal())
    assert len(before.first.take_released()) == FEW
    assert not before.drain.is_requested


def test_sides_are_told_apart_and_the_end_of_the_plan_releases_all() -> None:
    bench = Bench()
    bench.first.answered(bench.endpoints[0], Role.USER)
    for _ in range(FEW - 1):
        assert bench.fail(refusal(), Role.ASSISTANT)
    bench.first.end()
    assert len(bench.first.take_released()) == FEW - 1
    assert not bench.drain.is_requested


def test_another_endpoint_that_serves_keeps_the_run_going() -> None:
    bench = Bench("a", "b")
    for _ in range(FEW):
        assert bench.fail(refusal())
    assert isinstance(bench.endpoints[0].refusal, ConfigError)
    assert not bench.drain.is_requested
    for _ in range(FEW):
        assert bench.fail(refusal(), at=1)
    assert bench.drain.is_requested
