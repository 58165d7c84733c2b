"""How commands name a task or one of its scenarios: `travel`, `travel-11`."""

from __future__ import annotations

import re
from typing import NamedTuple

from engine.errors import UsageError
from engine.schema.job import TASK_PATTERN

_NAME = re.compile(rf"({TASK_PATTERN.pattern})-(\d{{1,9}})")


class Wanted(NamedTuple):
    """What an argument names: a task, or one of its scenarios."""

    task: str
    number: int | None


def parse_name(name: str) -> Wanted:
    """`travel` or `travel-11`. Raises UsageError for anything else."""
    if TASK_PATTERN.fullmatch(name):
        return Wanted(name, None)
    if found := _NAME.fullmatch(name):
        return Wanted(found[1], int(found[2]))
    raise UsageError(f"{name!r} names no task or scenario: write it as `travel` or `travel-11`.")
