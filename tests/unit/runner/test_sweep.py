"""The sweep against servers of known capacity, in virtual time: the knee is where it must be."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import orjson
import pytest
from tests.doubles.virtual_clock import VirtualClock, VirtualLoop

from engine.config.model_settings import ModelSettings
from engine.config.settings import RunConfig
from engine.llm.drain import Drain
from engine.llm.endpoint import Endpoint
from engine.llm.limits import Admission
from engine.llm.pool import EndpointPool, Model
from engine.llm.transport import RawReply
from engine.runner.endpoints import request_form
from engine.runner.prepare import prepare
from engine.runner.sweep import Level, SweepResult, has_passed_the_knee, suggested, sweep
from engine.schema.conversation import Role

REPLY_S = 0.5
REPLY = orjson.dumps(
    {
        "choices": [{"message": {"content": "Where shall we begin?"}, "finish_reason": "stop"}],
        "usage": {
            "prompt_tokens": 100,
            "completion_tokens": 10,
            "prompt_tokens_details": {"cached_tokens": 50},
        },
    }
)


class Slots:
    """Serves `slots` calls at a time, half a second each; the rest wait, or are refused."""

    def __init__(self, slots: int, *, refuses: bool = False, first_s: float | None = None) -> None:
        self._free = asyncio.Semaphore(slots)
        self._refuses = refuses
        self._first_s = first_s

    async def post(self, url: str, headers: Mapping[str, str], body: bytes, *, deadline_s: float) -> RawReply:
        if self._refuses and self._free.locked():
            await asyncio.sleep(0.02)
            return RawReply(429, {}, b'{"error": {"message": "slow down"}}')
        async with self._free:
            await asyncio.sleep(REPLY_S)
        return RawReply(200, {}, REPLY, self._first_s)

    async def aclose(self) -> None:
        return None


def swept(
    slots: int, levels: list[int], *, refuses: bool = False, first_s: float | None = None,
    most: int | None = None,
) -> SweepResult:  # fmt: skip
    loop = VirtualLoop()
    clock = VirtualClock(loop)

    async def work() -> SweepResult:
        transport = Slots(slots, refuses=refuses, first_s=first_s)
        endpoint = Endpoint("default", "http://127.0.0.1:1/v1", {}, transport, Admission(clock), 600.0)
        model = Model(request_form(ModelSettings(model="m")), EndpointPool([endpoint]))
        return await sweep(
            prepare(RunConfig(drain_s=60.0)), dict.fromkeys(Role, model), levels, seconds=10.0,
            clock=clock, drain=Drain(), most_calls=most,
        )  # fmt: skip

    try:
        return loop.run_until_complete(work())
    finally:
        loop.close()


def test_the_knee_of_a_server_that_queues_is_its_number_of_slots() -> None:
    result = swept(8, [1, 2, 4, 8, 16, 32, 64])
    best = suggested(result.levels)
    assert best is not None
    assert best.concurrency == 8
    assert best.calls_per_s == pytest.approx(8 / REPLY_S, rel=0.05)
    assert best.p95_s == pytest.approx(REPLY_S, rel=0.01)
    assert [level.concurrency for level in result.levels] == [1, 2, 4, 8, 16, 32]  # two levels beyond it
    assert result.levels[4].p50_s == pytest.approx(2 * REPLY_S, rel=0.05)
    assert best.cached_tokens * 2 == best.prompt_tokens
    assert best.tokens_per_s == pytest.approx(10 * best.calls_per_s)
    assert result.stopped_by is None


def test_streamed_replies_tell_the_time_to_the_first_token_and_of_each_further_one() -> None:
    (seen,) = swept(8, [4], first_s=0.05).levels
    assert seen.ttft_s == (0.05, 0.05, 0.05)
    assert seen.tpot_s == pytest.approx((0.05, 0.05, 0.05))  # 0.45 s for nine tokens
    (whole,) = swept(8, [4]).levels
    assert whole.ttft_s is None
    assert whole.tpot_s is None


def test_a_server_that_refuses_ends_the_sweep_at_the_first_refused_level() -> None:
    result = swept(6, [2, 4, 8, 16], refuses=True)
    assert [level.concurrency for level in result.levels] == [2, 4, 8]
    assert result.levels[-1].refused["throttled"] > 0
    best = suggested(result.levels)
    assert best is not None
    assert best.concurrency == 4


def test_a_server_that_keeps_up_is_tried_to_the_end() -> None:
    assert [level.concurrency for level in swept(1000, [1, 4, 16, 64]).levels] == [1, 4, 16, 64]


def test_it_ends_after_the_most_calls() -> None:
    result = swept(1000, [4, 8, 16], most=1)
    assert len(result.levels) == 1


def level(concurrency: int, calls_per_s: float, refused: int = 0) -> Level:
    return Level(concurrency, 1.0, 100, calls_per_s, 0.0, 0, 0, 0.1, 0.1, 0.1, {"throttled": refused})


def test_one_flat_level_is_not_yet_the_knee() -> None:
    assert not has_passed_the_knee([level(1, 10), level(2, 10.1)])
    assert has_passed_the_knee([level(1, 10), level(2, 10.1), level(4, 10.2)])
    assert not has_passed_the_knee([level(1, 10), level(2, 10.1), level(4, 20)])


def test_nothing_is_suggested_where_all_is_refused() -> None:
    assert suggested([level(1, 10, refused=50)]) is None
    assert suggested([]) is None
