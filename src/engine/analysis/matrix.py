"""The cells of a matrix side by side, paired: the same jobs, held by other models.

A job's value in a cell less its value in the baseline's is free of all that makes jobs differ (scenario,
profile, seed), so fewer conversations show a difference than two separate runs would need. Only jobs that
every cell has held count. Intervals are a paired bootstrap: it draws jobs, or profiles, with all of their
cells. Nothing is left out for being dropped: what validation drops is a result here.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from engine.analysis.draws import DRAWS, Mean, UserDraws, digest, interval
from engine.analysis.measures import ALL, Measured, Reading, measure
from engine.schema.conversation import EndReason
from engine.schema.dataset import Conversation
from engine.schema.job import without_cell

OBJECTING = "user turns that object"
COST = "cost, USD"
TOKENS = ("tokens in", "tokens out")
DROPPED = "dropped by validation"
REFUSED = "replies that gates refused"
ENDED, RULE = "ended: ", "rule: "


@dataclass(frozen=True, slots=True)
class CellName:
    """A cell and the variants that hold it; one of them is empty where only one side has several."""

    name: str
    simulator: str
    assistant: str


@dataclass(frozen=True, slots=True)
class Contrast:
    """One group against the baseline: mean of its jobs, and of its paired differences from the baseline's.

    `jobs` have a value in both; None where there is none, or too few jobs for an interval.
    """

    group: str
    mean: Mean | None
    difference: float | None
    low: float | None
    high: float | None
    jobs: int


@dataclass(frozen=True, slots=True)
class Line:
    """One measure: the baseline's mean and the other groups' contrasts, in order."""

    measure: str
    baseline: Mean | None
    contrasts: tuple[Contrast, ...]


@dataclass(frozen=True, slots=True)
class Factor:
    """One way to divide the conversations: `by` simulator, assistant or cell; others are averaged over."""

    by: str
    baseline: str
    groups: tuple[str, ...]
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class MatrixComparison:
    """`jobs` were held in every cell; `incomplete` jobs were not and count for nothing; `of` were there.

    `cost_usd` is what those jobs cost in each cell, where prices are known; `draws` says what the bootstrap
    drew: job or profile.
    """

    name: str
    cells: tuple[CellName, ...]
    cost_usd: tuple[float | None, ...]
    jobs: int
    incomplete: int
    of: int
    draws: str
    factors: tuple[Factor, ...]


class PairedJobs:
    """Collects what was measured, by job and cell; at most `size` jobs, chosen by their ids' digests."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._heap: list[tuple[int, str]] = []
        self._held: Counter[str] = Counter()
        self.profiles: dict[str, str] = {}
        self.measured: dict[str, dict[str, Measured]] = {}
        self.cells: dict[str, CellName] = {}

    @property
    def of(self) -> int:
        """How many jobs there are to choose from: as many as the cell has that has held most."""
        return max(self._held.values(), default=0)

    def add(self, conversation: Conversation, reading: Reading) -> None:
        """Measure one conversation of a matrix; others are passed over."""
        said = conversation.extra.get("cell")
        if not isinstance(said, Mapping):
            return
        cell = CellName(*(str(said.get(key, "")) for key in ("name", "simulator", "assistant")))
        self.cells.setdefault(cell.name, cell)
        self._held[cell.name] += 1
        job = without_cell(conversation.conversation_id)
        if job not in self.measured and not self._takes(job):
            return
        self.profiles[job] = conversation.profile.profile_id or conversation.profile.text
        self.measured[job][cell.name] = measure_held(conversation, reading)

    def _takes(self, job: str) -> bool:
        at = -digest(job)
        if len(self._heap) >= self._size:
            if at <= self._heap[0][0]:
                return False
            _, gone = heapq.heappop(self._heap)
            del self.measured[gone], self.profiles[gone]
        heapq.heappush(self._heap, (at, job))
        self.measured[job] = {}
        return True

    def add_cost(self, conversation_id: str, cell: str, cost_usd: float) -> None:
        """What a conversation cost, all calls of it; passed over where it is not in the sample."""
        found = self.measured.get(without_cell(conversation_id), {}).get(cell)
        if found is not None:
            found[COST] = (found.get(COST) or 0.0) + cost_usd


def measure_held(conversation: Conversation, reading: Reading) -> Measured:
    """What is compared: the measures of all datasets, and how the engine held and judged the conversation."""
    extra = conversation.extra
    found = measure(conversation, reading)
    found |= {f"{ENDED}{reason.value}": float(conversation.end_reason == reason) for reason in EndReason}
    found[DROPPED] = float(not conversation.is_kept)
    found |= {f"{RULE}{rule}": 1.0 for rule in conversation.flags}
    usage = extra.get("usage")
    if isinstance(usage, Mapping):
        for name, key in zip(TOKENS, ("prompt_tokens", "completion_tokens"), strict=True):
            found[name] = float(sum(int(side.get(key, 0)) for side in usage.values()))
    gates = extra.get("gates")
    if isinstance(gates, list):
        found[REFUSED] = float(sum(not firing.get("kept") for firing in gates))
    return found


def compare_cells(
    name: str,
    paired: PairedJobs,
    *,
    baselines: Sequence[str] = (),
    by_profile: bool = False,
    draws: int = DRAWS,
) -> MatrixComparison:
    """Compare all cells with the baseline: the first of `baselines` that is one, else the first there is."""
    cells = tuple(paired.cells.values())
    jobs = [job for job, held in paired.measured.items() if len(held) == len(cells)]
    rows = [paired.measured[job] for job in jobs]
    units = UserDraws([paired.profiles[job] if by_profile else job for job in jobs], draws) if jobs else None
    costs = [[cost for row in rows if (cost := row[cell.name].get(COST)) is not None] for cell in cells]
    factors: list[Factor] = []
    for by, of in (("simulator", "simulator"), ("assistant", "assistant"), ("cell", "name")):
        groups: dict[str, list[str]] = {}
        for cell in cells:
            groups.setdefault(getattr(cell, of), []).append(cell.name)
        is_cell_alone = by == "cell" and any(len(factor.groups) + 1 == len(cells) for factor in factors)
        if len(groups) > 1 and units is not None and not is_cell_alone:
            baseline = next((each for each in baselines if each in groups), next(iter(groups)))
            factors.append(_factor(by, baseline, groups, rows, units))
    return MatrixComparison(
        name, cells, tuple(sum(each) if each else None for each in costs),
        len(jobs), len(paired.measured) - len(jobs), paired.of,
        "profile" if by_profile else "job", tuple(factors),
    )  # fmt: skip


def _factor(
    by: str,
    baseline: str,
    groups: Mapping[str, Sequence[str]],
    rows: Sequence[Mapping[str, Measured]],
    units: UserDraws,
) -> Factor:
    others = tuple(group for group in groups if group != baseline)
    lines = []
    for name in _names(rows):
        values = {group: [_value(row, cells, name) for row in rows] for group, cells in groups.items()}
        if all(value in (None, 0.0) for group in values.values() for value in group):
            continue
        contrasts = [_contrast(group, values[baseline], values[group], units) for group in others]
        lines.append(Line(name, units.mean(values[baseline]), tuple(contrasts)))
    return Factor(by, baseline, others, tuple(lines))


def _names(rows: Sequence[Mapping[str, Measured]]) -> list[str]:
    """Every measure that occurs: those of all datasets first, rules last."""
    found = {name for row in rows for measured in row.values() for name in measured}
    ended = [f"{ENDED}{reason.value}" for reason in EndReason]
    first = [*ALL, *ended, DROPPED, REFUSED, *TOKENS, COST]
    return [name for name in first if name in found] + sorted(found - set(first))


def _value(row: Mapping[str, Measured], cells: Iterable[str], name: str) -> float | None:
    """A job's mean over the cells of a group; a rule that did not fire counts 0."""
    default = 0.0 if name.startswith(RULE) else None
    values = [value for cell in cells if (value := row[cell].get(name, default)) is not None]
    return fmean(values) if values else None


def _contrast(
    group: str, before: Sequence[float | None], after: Sequence[float | None], units: UserDraws
) -> Contrast:
    differences = [
        None if one is None or other is None else other - one
        for one, other in zip(before, after, strict=True)
    ]
    there = [each for each in differences if each is not None]
    if not there:
        return Contrast(group, units.mean(after), None, None, None, 0)
    low, high = interval(units.means(differences)) if units.n > 1 else (None, None)
    return Contrast(group, units.mean(after), fmean(there), low, high, len(there))
