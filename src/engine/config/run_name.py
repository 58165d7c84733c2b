"""What a run may be called: its folder has the same name."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator

RUN_NAME_RULE = "letters, digits, dots, dashes and underscores, 64 at most"


def is_run_name(name: str) -> bool:
    """Whether a run, and so its folder, may be called `name`."""
    return re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", name) is not None


def _names_a_run(name: str) -> str:
    if not is_run_name(name):
        raise ValueError(f"{name[:80]!r} is no name of a run: {RUN_NAME_RULE}")
    return name


RunName = Annotated[str, AfterValidator(_names_a_run)]
