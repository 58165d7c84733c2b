"""A job is profile x scenario x repeat; its id is made of those, never of a position in a plan."""

from __future__ import annotations

import re
from dataclasses import dataclass

# Ids become parts of file names and of HTTP bodies: nothing that could leave its folder.
TASK_PATTERN = re.compile(r"[a-z][a-z0-9_]{0,31}")
PROFILE_ID_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True, slots=True)
class Job:
    """One conversation to be held. `opener` overrides the run's opener for this job alone."""

    task: str
    scenario_number: int
    profile_id: str
    repeat: int = 0
    opener: str | None = None

    @property
    def job_id(self) -> str:
        """`<task>-<scenario number>-<profile id>-<repeat>`, stable across plans."""
        return f"{self.task}-{self.scenario_number}-{self.profile_id}-{self.repeat}"

    @classmethod
    def parse(cls, job_id: str) -> Job:
        """The job of an id; the opener, which is no part of it, stays open. Raises ValueError."""
        task, number, rest = job_id.split("-", 2)
        profile_id, _, repeat = rest.rpartition("-")
        return cls(task, int(number), profile_id, int(repeat))
