"""What the rest of a run will take, from the conversations that have ended: tokens, money, time.

A scenario's coming conversations are taken to be like those of it that have ended; where those are fewer than
three, like its task's, else like all. The interval is a bootstrap: conversations are drawn anew within these
groups, and then as many as are to come from what was drawn, so that both the pilot's smallness and the spread
of single conversations are in it. With few conversations it is too narrow, which is said.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from random import Random
from typing import NamedTuple

from engine.config.endpoint_settings import EndpointSettings
from engine.config.model_settings import StageName
from engine.config.settings import RunConfig
from engine.journal.reader import Reader
from engine.llm.prices import Price, usd
from engine.schema.call import CallRecord, Usage
from engine.schema.conversation import STAGE, Role
from engine.schema.plan import Plan

COVERAGE = 0.90
FEW = 10
_STAGES: dict[Role, StageName] = {Role.USER: "simulator", Role.ASSISTANT: "assistant"}
_LOOKUP = 500
_FEWEST = 3
# More conversations would hardly narrow the interval any further.
_MOST_READ = 500
_REPLICATES = 500
# A sum of more draws is as good as normal; what it lacks in spread is made up for.
_DRAWS = 20
_SEED = 7

Scenario = tuple[str, int]
# Per conversation, for each side in the order of `Role`: calls; prompt, cached, completion tokens; seconds.
Facts = tuple[float, ...]
_PER_SIDE = 5


class Range(NamedTuple):
    """An expected amount and its interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class SideEstimate:
    """What one side's calls to come will take; `cost_usd` is None where no price is known."""

    stage: StageName
    model: str
    calls: Range
    prompt_tokens: Range
    cached_tokens: Range
    completion_tokens: Range
    cost_usd: Range | None
    price: Price | None


@dataclass(frozen=True, slots=True)
class Pace:
    """How long what is to come takes at least under one limit, in seconds."""

    limit: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Basis:
    """What an estimate rests on: conversations that were read; scenarios, by whose they are taken like."""

    conversations: int
    profiles: int
    scenarios: int
    own: int
    by_task: int
    by_all: int


@dataclass(frozen=True, slots=True)
class RunEstimate:
    """The whole. `paces` begin with the limit that holds the run back most."""

    planned: int
    ended: int
    sides: tuple[SideEstimate, ...]
    cost_usd: Range | None
    paces: tuple[Pace, ...]
    basis: Basis


def estimate_run(
    reader: Reader,
    plan: Plan,
    config: RunConfig,
    endpoints: Mapping[str, EndpointSettings],
    prices: Mapping[str, Price],
) -> RunEstimate | None:
    """What is left of `plan`; None where no conversation has ended yet."""
    planned, ended, pilot, profiles = _read_pilot(reader, plan)
    if not pilot:
        return None
    to_come = {scenario: count - ended[scenario] for scenario, count in planned.items()}
    groups, basis = _groups(pilot, to_come, profiles)
    totals = _replicates(groups)
    expected = _sum(
        _scaled(_mean(group), float(sum(counts))) for group, counts in groups
    ) or (0.0,) * (2 * _PER_SIDE)  # fmt: skip

    def ranged(amount: Callable[[Facts], float]) -> Range:
        return _range(amount(expected), [amount(total) for total in totals])

    sides = []
    costs: list[Callable[[Facts], float]] = []
    for number, role in enumerate(Role):
        settings = config.stages[_STAGES[role]]
        price, at = prices.get(settings.model), number * _PER_SIDE
        cost = None if price is None else _cost_of(price, at)
        if cost is not None:
            costs.append(cost)
        calls, prompt, cached, completion = (ranged(_column(at + part)) for part in range(4))
        sides.append(
            SideEstimate(
                _STAGES[role], settings.model, calls, prompt, cached, completion,
                None if cost is None else ranged(cost), price,
            )
        )  # fmt: skip
    whole = ranged(lambda facts: sum(cost(facts) for cost in costs)) if len(costs) == len(Role) else None
    return RunEstimate(
        len(plan), sum(ended.values()), tuple(sides), whole,
        tuple(_paces(expected, sum(to_come.values()), config, endpoints)), basis,
    )  # fmt: skip


def _all_of(pilot: Mapping[Scenario, Sequence[Facts]]) -> list[Facts]:
    """All conversations that were read."""
    return [facts for group in pilot.values() for facts in group]


def _read_pilot(
    reader: Reader, plan: Plan
) -> tuple[Counter[Scenario], Counter[Scenario], dict[Scenario, list[Facts]], int]:
    """Planned and ended conversations by scenario, what the first ones took, and of how many profiles."""
    profiles: set[str] = set()
    planned: Counter[Scenario] = Counter()
    ended: Counter[Scenario] = Counter()
    pilot: dict[Scenario, list[Facts]] = {}
    unread, left = _MOST_READ, reader.ended(STAGE)
    jobs = plan.jobs()
    while batch := list(islice(jobs, _LOOKUP)):
        planned.update((job.task, job.scenario_number) for job in batch)
        if not left:
            continue
        outcomes = reader.outcomes(STAGE, [job.job_id for job in batch])
        left -= len(outcomes)
        for job in batch:
            if (outcome := outcomes.get(job.job_id)) is None:
                continue
            scenario = job.task, job.scenario_number
            ended[scenario] += 1
            if unread and outcome.calls:
                unread -= 1
                profiles.add(job.profile_id)
                pilot.setdefault(scenario, []).append(_facts(reader.calls(outcome.calls)))
    return planned, ended, pilot, len(profiles)


def _facts(calls: Iterable[CallRecord]) -> Facts:
    facts = [0.0] * (2 * _PER_SIDE)
    for call in calls:
        at = 0 if "user-" in call.step else _PER_SIDE
        values = (1, call.prompt_tokens, call.cached_tokens, call.completion_tokens, call.latency_s)
        for part, value in enumerate(values):
            facts[at + part] += value
    return tuple(facts)


_Group = tuple[Sequence[Facts], tuple[int, ...]]


def _groups(
    pilot: Mapping[Scenario, list[Facts]], to_come: Mapping[Scenario, int], profiles: int
) -> tuple[list[_Group], Basis]:
    """What is read of each group, with how many conversations like it each of its scenarios has to come."""
    by_task: dict[str, list[Facts]] = {}
    for (task, _), found in pilot.items():
        by_task.setdefault(task, []).extend(found)
    everything = _all_of(pilot)
    counts: dict[tuple[str, str], tuple[Sequence[Facts], list[int]]] = {}
    rests_on: Counter[str] = Counter()
    for scenario, count in to_come.items():
        level, key, group = "all", "", everything
        if len(pilot.get(scenario, [])) >= _FEWEST:
            level, key, group = "own", f"{scenario}", pilot[scenario]
        elif len(by_task.get(scenario[0], [])) >= _FEWEST:
            level, key, group = "task", scenario[0], by_task[scenario[0]]
        rests_on[level] += 1
        counts.setdefault((level, key), (group, []))[1].append(count)
    basis = Basis(len(everything), profiles, len(to_come), rests_on["own"], rests_on["task"], rests_on["all"])
    return [(group, tuple(several)) for group, several in counts.values()], basis


def _replicates(groups: Sequence[_Group]) -> list[Facts]:
    """Totals as they might have been with another pilot and other conversations to come."""
    random = Random(_SEED)
    totals = []
    for _ in range(_REPLICATES):
        parts = []
        for group, counts in groups:
            drawn = random.choices(group, k=len(group))
            mean, count = _mean(drawn), sum(counts)
            few = min(count, _DRAWS)
            if few:
                coming = _mean(random.choices(drawn, k=few))
                spread = (count * few) ** 0.5
                parts.append(
                    tuple(count * m + spread * (c - m) for m, c in zip(mean, coming, strict=True))
                )  # fmt: skip
        totals.append(_sum(parts) or (0.0,) * (2 * _PER_SIDE))
    return totals


def _paces(
    expected: Facts,
    to_come: int,
    config: RunConfig,
    endpoints: Mapping[str, EndpointSettings],
) -> Iterator[Pace]:
    """The least time under each limit, the longest first; latencies are as they were in the pilot."""
    found = []
    loads: dict[tuple[str, ...], list[float]] = {}
    for number, role in enumerate(Role):
        names = config.stages[_STAGES[role]].endpoint_names
        load = loads.setdefault(names, [0.0] * _PER_SIDE)
        for part in range(_PER_SIDE):
            load[part] += expected[number * _PER_SIDE + part]
    for names, (calls, prompt, _, completion, seconds) in loads.items():
        limits = [endpoints[name].limits for name in names if name in endpoints]
        for key, amount, per_s in (
            ("requests_per_min", calls, 60.0), ("tokens_per_min", prompt + completion, 60.0),
            ("input_tokens_per_min", prompt, 60.0), ("output_tokens_per_min", completion, 60.0),
            ("max_in_flight", seconds, 1.0),
        ):  # fmt: skip
            values = [getattr(each, key) for each in limits]
            if values and all(value is not None for value in values):
                found.append(Pace(f"{key} of {', '.join(names)}", amount / sum(values) * per_s))
    held = min(config.concurrency, max(1, to_come))
    whole = expected[_PER_SIDE - 1] + expected[2 * _PER_SIDE - 1]
    found.append(Pace(f"concurrency ({config.concurrency})", whole / held))
    return iter(sorted(found, key=lambda pace: -pace.seconds))


def _cost_of(price: Price, at: int) -> Callable[[Facts], float]:
    def cost(facts: Facts) -> float:
        usage = Usage(round(facts[at + 1]), round(facts[at + 3]), round(facts[at + 2]))
        return usd(price.cost(usage))

    return cost


def _column(number: int) -> Callable[[Facts], float]:
    return lambda facts: facts[number]


def _range(mean: float, values: Sequence[float]) -> Range:
    ordered = sorted(values)
    tail = round(len(ordered) * (1 - COVERAGE) / 2)
    return Range(mean, max(0.0, ordered[tail]), max(0.0, ordered[-1 - tail]))


def _mean(group: Sequence[Facts]) -> Facts:
    return tuple(sum(column) / len(group) for column in zip(*group, strict=True))


def _scaled(facts: Facts, by: float) -> Facts:
    return tuple(value * by for value in facts)


def _sum(parts: Iterable[Facts]) -> Facts:
    return tuple(sum(column) for column in zip(*parts, strict=True))
