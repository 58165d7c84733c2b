"""The plan of a merged run: all jobs of all plans, in plan order."""

from __future__ import annotations

import pytest

from engine.errors import BadInput
from engine.runner.merge import merge_plans
from engine.schema.job import Job
from engine.schema.plan import Plan

SCENARIOS = (("gifts", 0), ("travel", 1))


def test_plans_that_differ_in_their_limit_give_the_longest() -> None:
    plans = [Plan(("p", "q"), SCENARIOS, 2, limit) for limit in (3, None, 5)]
    assert merge_plans(plans) == plans[1]


def test_jobs_of_parts_come_in_plan_order_and_once() -> None:
    parts = [Plan(("p",), SCENARIOS, 1), Plan(("q",), SCENARIOS, 2), Plan(("p", "q"), SCENARIOS[:1], 1)]
    whole = merge_plans(parts)
    assert [job.job_id for job in whole.jobs()] == [
        "gifts-0-p-0", "travel-1-p-0", "gifts-0-q-0", "travel-1-q-0", "gifts-0-q-1", "travel-1-q-1",
    ]  # fmt: skip


def test_a_job_with_two_openers_is_refused_by_name() -> None:
    plans = [Plan(explicit=(Job("gifts", 0, "p", 0, opener),)) for opener in ("user", "assistant")]
    with pytest.raises(BadInput, match="gifts-0-p-0"):
        merge_plans(plans)
