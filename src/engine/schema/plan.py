"""A plan says which jobs a run holds and in which order; it is expanded lazily.

Plan order is repeat, then profile, then scenario, so that every prefix of a plan is balanced and a
pilot with a limit grows into the full run without touching what is done.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from engine.schema.job import Job


@dataclass(frozen=True, slots=True)
class Plan:
    """Either the product of profiles and scenarios, or an explicit list of jobs.

    `scenarios` holds (task slug, scenario number) in stable order. `limit` keeps the first jobs only.
    """

    profile_ids: tuple[str, ...] = ()
    scenarios: tuple[tuple[str, int], ...] = ()
    repeats: int = 1
    limit: int | None = None
    explicit: tuple[Job, ...] | None = None

    def __len__(self) -> int:
        if self.explicit is not None:
            total = len(self.explicit)
        else:
            total = self.repeats * len(self.profile_ids) * len(self.scenarios)
        return total if self.limit is None else min(self.limit, total)

    def jobs(self) -> Iterator[Job]:
        """All jobs in plan order, one at a time."""
        return islice(self._all_jobs(), self.limit)

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
            needed = -(-len(self) // len(self.scenarios))
            yield from self.profile_ids[: min(needed, len(self.profile_ids))]

    def scenarios_used(self) -> tuple[tuple[str, int], ...]:
        """Each (task, scenario number) that some job of the plan needs, in order."""
        if self.explicit is not None:
            return tuple(dict.fromkeys((job.task, job.scenario_number) for job in self.jobs()))
        return self.scenarios[: len(self)]
