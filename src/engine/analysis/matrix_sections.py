"""A comparison of a matrix's cells as tables, and what it says of objections in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from engine.analysis.manners import MANNERS_VERSION
from engine.analysis.matrix import COST, OBJECTING, Factor, Line, MatrixComparison
from engine.analysis.sections import Section, number, section, within

_MOST_GROUPS = 2


def matrix_sections(found: MatrixComparison) -> list[Section]:
    """All tables: which cells there are, then for each factor means and paired differences."""
    return [_cells(found), *(each for factor in found.factors for each in _factor(found, factor))]


def objections(found: MatrixComparison) -> Iterator[str]:
    """For each simulator and assistant beside the baseline: do users object more? A sentence each."""
    for factor in found.factors:
        if factor.by == "cell":
            continue
        line = next((line for line in factor.lines if line.measure == OBJECTING), None)
        for each in () if line is None else line.contrasts:
            if each.difference is None or line is None or line.baseline is None or each.mean is None:
                continue
            shares = f"{each.mean.value:.1%} of user turns object, {line.baseline.value:.1%} with"
            if each.low is None or each.high is None:
                told = "too few jobs for an interval"
            elif each.low > 0 or each.high < 0:
                told = (
                    f"{'more' if each.low > 0 else 'fewer'}, by {_points(each.low)} to {_points(each.high)}"
                )
            else:
                told = (
                    f"no difference that {each.jobs} jobs show ({_points(each.low)} to {_points(each.high)})"
                )
            yield f"{factor.by} {each.group}: {shares} {factor.baseline}; {told}."


def _points(share: float) -> str:
    return f"{100 * share:.1f} points"


def _cells(found: MatrixComparison) -> Section:
    of = "" if found.of == found.jobs + found.incomplete else f", a sample of {found.of:,}"
    left = (
        f"; {found.incomplete:,} that some cell has not held yet count for nothing"
        if found.incomplete
        else ""
    )
    return section(
        f"{found.name}: {found.jobs:,} jobs in each of {len(found.cells)} cells",
        ("cell", "simulator", "assistant", "cost of these jobs, USD"),
        (
            (cell.name, cell.simulator or "-", cell.assistant or "-", number(cost, 4))
            for cell, cost in zip(found.cells, found.cost_usd, strict=True)
        ),
        f"Jobs are scenario x profile x repeat{of}{left}. Dropped conversations count as well.",
    )


def _factor(found: MatrixComparison, factor: Factor) -> Iterator[Section]:
    """One table, or one for each group where they are many: a page is only so wide."""
    note = (
        f"Baseline: {factor.baseline}. Differences are paired by job; in brackets is their 95 % interval, by "
        f"drawing {found.draws}s. Of twenty intervals one misses the truth by chance. Manners are told by "
        f"phrases (rules version {MANNERS_VERSION}); *rule* and *ended* rows are shares of conversations."
    )
    places = range(len(factor.groups))
    if len(places) <= _MOST_GROUPS:
        yield _table(f"By {factor.by}", factor, places, note)
        return
    for at in places:
        yield _table(f"By {factor.by}: {factor.groups[at]}", factor, [at], "" if at else note)


def _table(title: str, factor: Factor, places: Sequence[int], note: str) -> Section:
    columns = ["", factor.baseline]
    for at in places:
        columns += [factor.groups[at], f"{factor.groups[at]} less {factor.baseline}"]
    return section(title, columns, (_line(line, places) for line in factor.lines), note)


def _line(line: Line, places: Sequence[int]) -> list[str]:
    digits = 6 if line.measure == COST else 3
    cells = [line.measure, number(None if line.baseline is None else line.baseline.value, digits)]
    for at in places:
        each = line.contrasts[at]
        cells.append(number(None if each.mean is None else each.mean.value, digits))
        cells.append(within(each.difference, each.low, each.high, digits))
    return cells
