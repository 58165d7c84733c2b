"""Reads an explicit list of jobs: JSON Lines, one `{"profile": ..., "task": ..., "scenario": ...}` each."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from engine.config.regular_file import refuse_special
from engine.errors import BadInput
from engine.schema.job import BEHAVIOUR_PATTERN, PROFILE_ID_PATTERN, TASK_PATTERN, Job


class _Line(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    profile: Annotated[str, Field(pattern=f"^{PROFILE_ID_PATTERN.pattern}$")]
    task: Annotated[str, Field(pattern=f"^{TASK_PATTERN.pattern}$")]
    scenario: Annotated[int, Field(ge=0, lt=2**31)]
    repeat: Annotated[int, Field(ge=0, lt=2**31)] = 0
    opener: Literal["user", "assistant"] | None = None
    behaviour: Annotated[str, Field(pattern=f"^(?:{BEHAVIOUR_PATTERN.pattern})?$")] = ""


def load_jobs(path: Path) -> tuple[Job, ...]:
    """The jobs in file order. Raises BadInput with file and line, also for a job that stands twice."""
    refuse_special(path, BadInput)
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise BadInput(f"{path}: the job file cannot be read: {error.strerror}.") from error
    jobs: dict[str, int] = {}
    found: list[Job] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = _Line.model_validate_json(line)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"])) or "the line"
            raise BadInput(
                f"{path}, line {number}: {where}: {first['msg']}. A job is written as "
                '{"profile": "p001", "task": "travel", "scenario": 11}.'
            ) from error
        job = Job(row.task, row.scenario, row.profile, row.repeat, row.opener, behaviour=row.behaviour)
        if job.job_id in jobs:
            raise BadInput(
                f"{path}, line {number}: job {job.job_id} stands already in line {jobs[job.job_id]}; give "
                'one of them another "repeat".'
            )
        jobs[job.job_id] = number
        found.append(job)
    if not found:
        raise BadInput(f"{path}: the job file holds no job.")
    return tuple(found)
