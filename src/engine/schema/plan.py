"""A plan says which jobs a run holds and in which order; it is expanded lazily.

Plan order is repeat, then profile, then scenario, so that every prefix of a plan is balanced and a
pilot with a limit grows into the full run without touching what is done. In a matrix each job is held in
every cell before the next one comes, so that every prefix is paired, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice

from engine.schema.job import Job, without_cell


@dataclass(frozen=True, slots=True)
class Plan:
    """Either the product of profiles and scenarios, or an explicit list of jobs.

    `scenarios` holds (task slug, scenario number) in stable order. `limit` keeps the first jobs only. With
    `cells`, each job stands in the plan once for every cell.
    """

    profile_ids: tuple[str, ...] = ()
    scenarios: tuple[tuple[str, int], ...] = ()
    repeats: int = 1
    limit: int | None = None
    explicit: tuple[Job, ...] | None = None
    cells: tuple[str, ...] = ()

    def __len__(self) -> int:
        return self.job_count * max(1, len(self.cells))

    @property
    def job_count(self) -> int:
        """How many jobs there are, each counted once whatever the cells."""
        if self.explicit is not None:
            total = len(self.explicit)
        else:
            total = self.repeats * len(self.profile_ids) * len(self.scenarios)
        return total if self.limit is None else min(self.limit, total)

    def jobs(self) -> Iterator[Job]:
        """All jobs in plan order, one at a time; in a matrix, each of them in every cell."""
        jobs = islice(self._all_jobs(), self.limit)
        if not self.cells:
            return jobs
        return (job._replace(cell=cell) for job in jobs for cell in self.cells)

    def _all_jobs(self) -> Iterator[Job]:
        if self.explicit is not None:
            yield from self.explicit
            return
        for repeat in range(self.repeats):
            for profile_id in self.profile_ids:
                for task, number in self.scenarios:
                    yield Job(task, number, profile_id, repeat)

    def profile_ids_used(self) -> Iterator[str]:
        """Each profile id that some job of the plan needs, once, in order of first use."""
        if self.explicit is not None:
            yield from dict.fromkeys(job.profile_id for job in self.jobs())
        elif self.scenarios:
            needed = -(-self.job_count // len(self.scenarios))
            yield from self.profile_ids[: min(needed, len(self.profile_ids))]

    def scenarios_used(self) -> tuple[tuple[str, int], ...]:
        """Each (task, scenario number) that some job of the plan needs, in order."""
        if self.explicit is not None:
            return tuple(dict.fromkeys((job.task, job.scenario_number) for job in self.jobs()))
        return self.scenarios[: self.job_count]

    def of_cell(self, cell: str) -> Plan:
        """The part of the plan that one cell holds."""
        return replace(self, cells=(cell,) if cell else ())

    def index(self) -> PlanIndex:
        """Look-ups by job; its memory is that of the profiles and scenarios, or of the explicit list."""
        return PlanIndex(self)

    def includes(self, other: Plan) -> bool:
        """Whether every job of `other` is a job of this plan."""
        if replace(self, limit=None) == replace(other, limit=None):
            return len(self) >= len(other)
        index = self.index()
        return all(index.position(job) is not None for job in other.jobs())


class PlanIndex:
    """Where a job stands in a plan."""

    __slots__ = ("_cells", "_explicit", "_length", "_profiles", "_repeats", "_scenarios")

    def __init__(self, plan: Plan) -> None:
        self._length = plan.job_count
        self._cells = {cell: i for i, cell in enumerate(plan.cells or ("",))}
        self._repeats = plan.repeats
        self._profiles = {profile_id: i for i, profile_id in enumerate(plan.profile_ids)}
        self._scenarios = {scenario: i for i, scenario in enumerate(plan.scenarios)}
        self._explicit = (
            None if plan.explicit is None else {job.job_id: (i, job) for i, job in enumerate(plan.explicit)}
        )

    def position(self, job: Job) -> int | None:
        """The place of `job` in plan order, from 0; None where it is not planned."""
        cell = self._cells.get(job.cell)
        if cell is None:
            return None
        if self._explicit is not None:
            found = self._explicit.get(without_cell(job.job_id))
            position = None if found is None else found[0]
        else:
            profile = self._profiles.get(job.profile_id)
            scenario = self._scenarios.get((job.task, job.scenario_number))
            if profile is None or scenario is None or job.behaviour or not 0 <= job.repeat < self._repeats:
                return None
            position = (job.repeat * len(self._profiles) + profile) * len(self._scenarios) + scenario
        if position is None or position >= self._length:
            return None
        return position * len(self._cells) + cell

    def find(self, job_id: str) -> Job | None:
        """The planned job of this id, with its own opener; None where it is not planned."""
        try:
            job = Job.parse(job_id)
        except ValueError:
            return None
        if self.position(job) is None:
            return None
        if self._explicit is None:
            return job
        return self._explicit[without_cell(job.job_id)][1]._replace(cell=job.cell)
