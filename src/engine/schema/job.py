"""A job is profile x scenario x repeat; its id is made of those, never of a position in a plan.

Where a run holds each job with several models (a matrix), a conversation is that of a job in a *cell*, and
its id names the cell behind the job's: `travel-3-p1-0@small~good`.
"""

from __future__ import annotations

import re
from typing import NamedTuple

# Ids become parts of file names and of HTTP bodies: nothing that could leave its folder.
TASK_PATTERN = re.compile(r"[a-z][a-z0-9_]{0,31}")
PROFILE_ID_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
LEVEL_PATTERN = re.compile(r"[a-z][a-z0-9_]{0,23}")
BEHAVIOUR_PATTERN = re.compile(rf"{LEVEL_PATTERN.pattern}(?:\.{LEVEL_PATTERN.pattern}){{0,7}}")
CELL_MARK = "@"


# A named tuple, since a resume makes one for each conversation that has ended: a frozen dataclass takes three
# times as long to make.
class Job(NamedTuple):
    """One conversation to be held. `opener` overrides the run's opener for this job alone.

    `cell` is the cell of the run's matrix; empty where it has none. `behaviour` names levels of the behaviour
    axes (`hurried.guarded`); empty where the simulator is told of none.
    """

    task: str
    scenario_number: int
    profile_id: str
    repeat: int = 0
    opener: str | None = None
    cell: str = ""
    behaviour: str = ""

    @property
    def job_id(self) -> str:
        """`<task>-<scenario number>-<profile id>-<repeat>`, and `-<behaviour>` or `@<cell>` if it has one."""
        shared = f"{self.task}-{self.scenario_number}-{self.profile_id}-{self.repeat}"
        if self.behaviour:
            shared = f"{shared}-{self.behaviour}"
        return f"{shared}{CELL_MARK}{self.cell}" if self.cell else shared

    @classmethod
    def parse(cls, job_id: str) -> Job:
        """The job of an id; the opener, which is no part of it, stays open. Raises ValueError."""
        shared, _, cell = job_id.partition(CELL_MARK)
        task, number, rest = shared.split("-", 2)
        profile_id, _, repeat = rest.rpartition("-")
        behaviour = ""
        if BEHAVIOUR_PATTERN.fullmatch(repeat):
            behaviour = repeat
            profile_id, _, repeat = profile_id.rpartition("-")
        return cls(task, int(number), profile_id, int(repeat), cell=cell, behaviour=behaviour)


def without_cell(job_id: str) -> str:
    """The id of the job alone, under which the conversations of all cells are paired."""
    return job_id.partition(CELL_MARK)[0]


def cell_of(job_id: str) -> str:
    """The cell that an id names; empty where it names none."""
    return job_id.partition(CELL_MARK)[2]
