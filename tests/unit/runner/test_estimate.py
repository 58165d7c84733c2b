"""An estimate: whose conversations stand for whose, intervals that hold, time under each limit."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from engine.clock import SystemClock
from engine.config.endpoint_settings import EndpointSettings
from engine.config.settings import RunConfig
from engine.journal.journal import Journal
from engine.llm.prices import Price
from engine.runner.estimate import Facts, Range, _groups, _replicates, estimate_run
from engine.schema.call import CallKey, Usage
from engine.schema.conversation import STAGE
from engine.schema.plan import Plan

MILLION = 10**6
PRICES = {"s": Price(MILLION, 0, MILLION, 0), "a": Price(0, 0, 0, MILLION)}
LIMITS = {"requests_per_min": 30, "tokens_per_min": 100, "max_in_flight": 2}
CONFIG = RunConfig.model_validate(
    {
        "concurrency": 2,
        "endpoints": {"e": {"base_url": "http://h/v1", "limits": LIMITS}},
        "stages": {name: {"endpoint": "e", "model": name[0]} for name in ("simulator", "assistant")},
    }
)
PLAN = Plan(tuple(f"p{i}" for i in range(10)), (("t", 0), ("t", 1), ("u", 0)))


async def hold(journal: Journal, plan: Plan, count: int) -> None:
    """Hold the plan's first conversations; those of task `u` take twice as much."""
    for job in list(plan.jobs())[:count]:
        size = 2 if job.task == "u" else 1
        seqs = [
            await journal.append_reply(
                CallKey(STAGE, job.job_id, step), request_digest=b"d", reply=b"{}", endpoint="e", tries=1,
                sent_at=1.0, latency_s=3.0, usage=Usage(10 * size, 5 * size, 2),
            )
            for step in ("user-1", "assistant-1")
        ]  # fmt: skip
        await journal.append_outcome(STAGE, job.job_id, result="goodbye", note="", rounds=1, calls=seqs)


@pytest.mark.asyncio
async def test_nothing_is_estimated_from_nothing(tmp_path: Path) -> None:
    async with Journal(tmp_path, SystemClock()) as journal:
        assert estimate_run(journal.reader, PLAN, CONFIG, CONFIG.endpoints, PRICES) is None


@pytest.mark.asyncio
async def test_scenarios_are_taken_like_their_own_conversations_and_alike_ones_leave_no_doubt(
    tmp_path: Path,
) -> None:
    async with Journal(tmp_path, SystemClock()) as journal:
        await hold(journal, PLAN, 9)
        found = estimate_run(journal.reader, PLAN, CONFIG, CONFIG.endpoints, PRICES)
    assert found is not None
    assert (found.planned, found.ended, found.basis.conversations, found.basis.profiles) == (30, 9, 9, 3)
    assert (found.basis.own, found.basis.by_task, found.basis.by_all) == (3, 0, 0)
    simulator, assistant = found.sides
    # 14 conversations of task t and 7 of u, twice as large.
    assert simulator.calls == Range(21, 21, 21)
    assert simulator.prompt_tokens == Range(280, 280, 280)
    assert simulator.cached_tokens == Range(42, 42, 42)
    assert simulator.cost_usd == pytest.approx((238e-6, 238e-6, 238e-6))
    assert assistant.cost_usd == pytest.approx((140e-6, 140e-6, 140e-6))
    assert found.cost_usd == pytest.approx((378e-6, 378e-6, 378e-6))


@pytest.mark.asyncio
async def test_time_is_given_for_each_limit_the_longest_first(tmp_path: Path) -> None:
    async with Journal(tmp_path, SystemClock()) as journal:
        await hold(journal, PLAN, 9)
        found = estimate_run(journal.reader, PLAN, CONFIG, CONFIG.endpoints, PRICES)
    assert found is not None
    seconds = {pace.limit.split()[0]: pace.seconds for pace in found.paces}
    # 42 calls, 560 + 280 tokens, 42 calls of 3 s two at a time.
    assert seconds == pytest.approx(
        {"tokens_per_min": 840 / 100 * 60, "requests_per_min": 84, "max_in_flight": 63, "concurrency": 63}
    )
    assert found.paces[0].limit == "tokens_per_min of e"


@pytest.mark.asyncio
async def test_an_unpriced_model_leaves_the_cost_unknown(tmp_path: Path) -> None:
    async with Journal(tmp_path, SystemClock()) as journal:
        await hold(journal, PLAN, 3)
        found = estimate_run(
            journal.reader, PLAN, CONFIG, {"e": EndpointSettings(base_url="http://h")}, {"s": PRICES["s"]}
        )
    assert found is not None
    assert found.cost_usd is None
    assert [side.cost_usd is None for side in found.sides] == [False, True]
    assert [pace.limit for pace in found.paces] == ["concurrency (2)"]
    # Two conversations of task t and one of u are too few for any of their own.
    assert (found.basis.own, found.basis.by_task, found.basis.by_all) == (0, 0, 3)


def one(value: float) -> Facts:
    return (value,) + (0.0,) * 9


def test_intervals_hold_about_as_often_as_they_say() -> None:
    """90 of 100 of a known world's totals within them; a few fewer, since the pilot is small."""
    random = Random(5)

    def draw() -> float:
        return random.lognormvariate(0, 0.5)

    trials, inside = 60, 0
    for _ in range(trials):
        pilot = {("t", 0): [one(draw()) for _ in range(20)], ("u", 0): [one(3 * draw()) for _ in range(20)]}
        groups, _ = _groups(pilot, {("t", 0): 40, ("u", 0): 40}, 20)
        truth = sum(draw() for _ in range(40)) + sum(3 * draw() for _ in range(40))
        totals = sorted(total[0] for total in _replicates(groups))
        inside += totals[25] <= truth <= totals[-26]
    assert 0.78 * trials <= inside < trials
