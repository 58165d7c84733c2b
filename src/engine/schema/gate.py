"""Gates by name, and what they said of a turn: an answer that a gate refuses is asked for again.

`GATES_VERSION` is part of a run's identity where gates are used, since it decides which replies are asked for
again. It changes with any verdict of any gate.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

GATES_VERSION = "2"
GateName = Literal["role", "system_note", "parrot", "repeat", "language", "cut_off", "early_goodbye"]
GATE_NAMES: tuple[GateName, ...] = get_args(GateName)


@dataclass(frozen=True, slots=True)
class Firing:
    """One reply that gates spoke against: which, at which step and attempt, and whether it was kept.

    `gates` is empty where the journal says that a reply was asked for again and today's gates see no reason.
    """

    step: str
    attempt: int
    gates: tuple[str, ...]
    kept: bool
