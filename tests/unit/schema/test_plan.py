"""A plan's laws: its order, its length, its prefixes, and what its jobs need."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

from hypothesis import given
from hypothesis import strategies as st

from engine.schema.job import Job, cell_of, without_cell
from engine.schema.plan import Plan

PROFILE_IDS = st.lists(st.sampled_from([f"p{n}" for n in range(6)]), unique=True, max_size=5).map(tuple)
SCENARIOS = st.lists(
    st.tuples(st.sampled_from(["gifts", "travel"]), st.integers(0, 3)), unique=True, max_size=5
).map(tuple)
LIMITS = st.none() | st.integers(1, 80)
PRODUCTS = st.builds(Plan, PROFILE_IDS, SCENARIOS, st.integers(1, 3), LIMITS)
JOBS = st.builds(
    Job,
    st.sampled_from(["gifts", "travel"]),
    st.integers(0, 3),
    st.sampled_from(["p0", "p1"]),
    st.integers(0, 2),
    opener=st.none(),
    cell=st.just(""),
    behaviour=st.just(""),
)
LISTS = st.builds(
    Plan,
    explicit=st.lists(JOBS, unique_by=lambda job: job.job_id, max_size=8).map(tuple),
    limit=LIMITS,
)
CELLS = st.lists(st.sampled_from(["a", "b-t0.2~c", "d"]), unique=True, max_size=3).map(tuple)
PLANS = st.builds(lambda plan, cells: replace(plan, cells=cells), PRODUCTS | LISTS, CELLS)


@given(PLANS)
def test_the_length_is_the_number_of_jobs(plan: Plan) -> None:
    assert len(plan) == len(list(plan.jobs()))


@given(PLANS)
def test_no_two_jobs_share_an_id(plan: Plan) -> None:
    ids = [job.job_id for job in plan.jobs()]
    assert len(set(ids)) == len(ids)


@given(PLANS, st.integers(1, 80))
def test_a_limited_plan_is_a_prefix_of_the_whole(plan: Plan, limit: int) -> None:
    whole = replace(plan, limit=None)
    assert list(replace(plan, limit=limit).jobs()) == list(whole.jobs())[: limit * max(1, len(plan.cells))]


@given(PRODUCTS, st.integers(1, 3))
def test_a_plan_that_is_repeated_more_begins_as_it_did(plan: Plan, more: int) -> None:
    whole = replace(plan, limit=None)
    extended = replace(whole, repeats=whole.repeats + more)
    assert list(islice(extended.jobs(), len(whole))) == list(whole.jobs())


@given(PRODUCTS)
def test_the_order_is_repeat_then_profile_then_scenario(plan: Plan) -> None:
    def place(job: Job) -> tuple[int, int, int]:
        scenario = (job.task, job.scenario_number)
        return job.repeat, plan.profile_ids.index(job.profile_id), plan.scenarios.index(scenario)

    places = [place(job) for job in plan.jobs()]
    assert places == sorted(places)
    assert len(plan) <= plan.repeats * len(plan.profile_ids) * len(plan.scenarios)


@given(PRODUCTS)
def test_every_prefix_is_balanced_over_scenarios(plan: Plan) -> None:
    counts = dict.fromkeys(plan.scenarios, 0)
    for job in plan.jobs():
        counts[job.task, job.scenario_number] += 1
        assert max(counts.values()) - min(counts.values()) <= 1


@given(LISTS)
def test_an_explicit_list_keeps_its_order(plan: Plan) -> None:
    assert plan.explicit is not None
    assert tuple(plan.jobs()) == plan.explicit[: plan.limit]


@given(PLANS)
def test_what_the_jobs_need_is_what_they_name(plan: Plan) -> None:
    jobs = list(plan.jobs())
    assert list(plan.profile_ids_used()) == list(dict.fromkeys(job.profile_id for job in jobs))
    assert list(plan.scenarios_used()) == list(dict.fromkeys((job.task, job.scenario_number) for job in jobs))


def test_jobs_are_made_when_they_are_asked_for() -> None:
    plan = Plan(tuple(f"p{n}" for n in range(1000)), (("travel", 1),), repeats=10**12)
    assert len(plan) == 10**15
    assert next(plan.jobs()) == Job("travel", 1, "p0")


@given(PRODUCTS | LISTS, CELLS.filter(bool))
def test_in_a_matrix_every_job_stands_in_every_cell_before_the_next_one_comes(
    plan: Plan, cells: tuple[str, ...]
) -> None:
    jobs = list(replace(plan, cells=cells).jobs())
    assert jobs == [job._replace(cell=cell) for job in plan.jobs() for cell in cells]
    assert [without_cell(job.job_id) for job in jobs[:: len(cells)]] == [job.job_id for job in plan.jobs()]
    assert {cell_of(job.job_id) for job in jobs} <= set(cells)


@given(PRODUCTS | LISTS, CELLS, st.sampled_from(["new", "newer"]))
def test_a_cell_more_makes_a_plan_that_includes_the_one_before(
    plan: Plan, cells: tuple[str, ...], more: str
) -> None:
    before = replace(plan, cells=cells or ("a",))
    after = replace(before, cells=(more, *before.cells))
    assert after.includes(before)
    assert before.includes(after) == (len(before) == 0)


def test_a_product_holds_no_job_with_a_behaviour_and_a_list_may() -> None:
    assert Plan(("p",), (("travel", 1),)).index().find("travel-1-p-0-hurried") is None
    job = Job("travel", 1, "p", behaviour="hurried.brief")
    listed = Plan(explicit=(job, Job("travel", 1, "p")))
    assert listed.index().find("travel-1-p-0-hurried.brief") == job
    assert listed.index().position(Job("travel", 1, "p")) == 1
    assert listed.index().find("travel-1-p-0-hurried") is None
