"""What a figure counts: each choice that the paper left open is a named option, with the paper's set.

The paper's averages in Table 1 leave one task out while its counts do not, and its Table 2 takes both travel
tasks as one. Neither is said in its text; both come out exactly on the authors' data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

MERGED_TRAVEL = "travel planning (both travel tasks merged)"

Sides = Literal["both", "user", "assistant"]


@dataclass(frozen=True, slots=True)
class Definitions:
    """The options of all tables.

    `averages_without`: tasks that Table 1's averages leave out (its counts of conversations and scenarios
    never do). `utterances`: whose turns are utterances, and whose tokens count, in those averages. `merged`:
    task to the name under which Table 2 has it. `author`: whose annotations count; None is the first's.
    """

    averages_without: frozenset[str] = frozenset()
    utterances: Sides = "both"
    merged: Mapping[str, str] = field(default_factory=dict)
    author: str | None = None


PAPER = Definitions(
    averages_without=frozenset({"new travel planning"}),
    utterances="both",
    merged={"travel planning": MERGED_TRAVEL, "new travel planning": MERGED_TRAVEL},
    author="dataset",
)
