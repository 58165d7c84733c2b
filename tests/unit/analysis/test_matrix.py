"""Paired comparison of a matrix's cells: each job against itself, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from statistics import fmean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.doubles.talks import talk

from engine.analysis.draws import digest
from engine.analysis.matrix import COST, OBJECTING, Factor, MatrixComparison, PairedJobs, compare_cells
from engine.analysis.matrix_sections import matrix_sections, objections
from engine.analysis.measures import Reading
from engine.analysis.sections import markdown
from engine.schema.dataset import Conversation

READING = Reading(lambda text: len(text.split()))
NO = "That is not what I asked."


def held(job: str, cell: str, *texts: str, flags: tuple[str, ...] = ()) -> Conversation:
    simulator, _, assistant = cell.rpartition("~")
    said = {"name": cell, "simulator": simulator, "assistant": assistant}
    found = talk(*(texts or ("Hello", "Hi")), name=f"{job}@{cell}")
    return replace(found, extra={"cell": said}, end_reason="goodbye", flags=flags, dropped_because=flags)


def paired_of(*conversations: Conversation, size: int = 100) -> PairedJobs:
    paired = PairedJobs(size)
    for each in conversations:
        paired.add(each, READING)
    return paired


def factor(found: MatrixComparison, by: str) -> Factor:
    return next(each for each in found.factors if each.by == by)


def difference(found: MatrixComparison, measure: str, by: str = "assistant") -> tuple[float | None, int]:
    line = next(each for each in factor(found, by).lines if each.measure == measure)
    return line.contrasts[0].difference, line.contrasts[0].jobs


ROUNDS = st.lists(st.tuples(st.integers(1, 6), st.integers(1, 6)), min_size=2, max_size=12)


@settings(max_examples=25, deadline=None)
@given(ROUNDS, st.randoms(use_true_random=False))
def test_the_difference_is_the_mean_of_each_jobs_own_whatever_the_order(
    rounds: list[tuple[int, int]], random: object
) -> None:
    talks = [
        held(f"travel-1-p{n}-0", cell, *("Hello", "Hi") * count)
        for n, counts in enumerate(rounds)
        for cell, count in zip(("good", "bad"), counts, strict=True)
    ]
    first = talks[0]
    random.shuffle(talks)  # type: ignore[attr-defined]
    found = compare_cells("r", paired_of(first, *(each for each in talks if each is not first)))
    by_job = [other - one for one, other in rounds]
    value, jobs = difference(found, "rounds")
    assert value == pytest.approx(fmean(by_job))
    assert jobs == found.jobs == len(rounds)
    line = next(line for line in factor(found, "assistant").lines if line.measure == "rounds")
    low, high = line.contrasts[0].low, line.contrasts[0].high
    assert low is not None
    assert high is not None
    assert min(by_job) <= low <= high <= max(by_job)


def test_a_shift_that_every_job_shares_has_no_spread_however_jobs_differ() -> None:
    talks = [
        held(f"travel-1-p{n}-0", cell, *("Hello", "Hi") * (n + more))
        for n in range(1, 9)
        for cell, more in (("good", 0), ("bad", 2))
    ]
    line = factor(compare_cells("r", paired_of(*talks)), "assistant").lines[0]
    contrast = line.contrasts[0]
    assert (line.measure, contrast.difference, contrast.low, contrast.high) == ("rounds", 2.0, 2.0, 2.0)
    assert line.baseline is not None
    assert line.baseline.low is not None
    assert line.baseline.low < line.baseline.value


def test_jobs_that_a_cell_has_not_held_count_for_nothing() -> None:
    talks = [held("travel-1-p1-0", cell) for cell in ("good", "bad")]
    found = compare_cells("r", paired_of(*talks, held("travel-1-p2-0", "good", *("Hello", "Hi") * 5)))
    assert (found.jobs, found.incomplete, found.of) == (1, 1, 2)
    assert difference(found, "rounds") == (0.0, 1)
    line = factor(found, "assistant").lines[0]
    assert line.contrasts[0].low is None, "one job tells nothing of the spread"


def test_a_side_is_averaged_over_the_other_and_cells_stand_by_themselves() -> None:
    rounds = {"s~good": 1, "s~bad": 2, "t~good": 3, "t~bad": 6}
    talks = [
        held(f"travel-1-p{n}-0", cell, *("Hello", "Hi") * count)
        for n in (1, 2)
        for cell, count in rounds.items()
    ]
    found = compare_cells("r", paired_of(*talks), baselines=("bad", "t~good"))
    assert [each.by for each in found.factors] == ["simulator", "assistant", "cell"]
    assert difference(found, "rounds", "simulator")[0] == (3 + 6) / 2 - (1 + 2) / 2
    assert factor(found, "assistant").baseline == "bad"
    assert difference(found, "rounds", "assistant")[0] == (1 + 3) / 2 - (2 + 6) / 2
    assert factor(found, "cell").baseline == "t~good"
    assert factor(found, "cell").groups == ("s~good", "s~bad", "t~bad")


def test_a_rule_that_did_not_fire_counts_as_nought() -> None:
    talks = [
        held(f"travel-1-p{n}-0", cell, flags=("repeated_turn",) if cell == "bad" and n else ())
        for n in range(4)
        for cell in ("good", "bad")
    ]
    found = compare_cells("r", paired_of(*talks))
    assert difference(found, "rule: repeated_turn") == (0.75, 4)
    assert difference(found, "dropped by validation") == (0.75, 4)


def test_objections_are_told_in_a_sentence_with_their_interval() -> None:
    talks = [
        held(f"travel-1-p{n}-0", cell, "Hello", "Hi", NO if cell == "bad" or n == 0 else "Fine", "Well")
        for n in range(6)
        for cell in ("good", "bad")
    ]
    found = compare_cells("r", paired_of(*talks))
    assert difference(found, OBJECTING)[0] == pytest.approx(5 / 12)
    (said,) = objections(found)
    assert said.startswith("assistant bad: 50.0% of user turns object, 8.3% with good; more, by ")
    alike = compare_cells("r", paired_of(*(held(f"j-1-p{n}-0", c, NO, "x") for n in (1, 2) for c in "ab")))
    assert "no difference that 2 jobs show (0.0 points to 0.0 points)" in next(objections(alike))


def test_costs_are_added_by_side_and_kept_to_the_sample() -> None:
    paired = paired_of(
        *(held(f"travel-1-p{n}-0", cell) for n in range(9) for cell in ("good", "bad")), size=3
    )
    chosen = sorted((f"travel-1-p{n}-0" for n in range(9)), key=digest)[:3]
    assert sorted(paired.measured) == sorted(chosen)
    for n in range(9):
        for cell, cost in (("good", 0.25), ("bad", 0.5)):
            for _ in range(2):
                paired.add_cost(f"travel-1-p{n}-0@{cell}", cell, cost)
    found = compare_cells("r", paired)
    assert (found.jobs, found.of, found.cost_usd) == (3, 9, (1.5, 3.0))
    assert difference(found, COST) == (0.5, 3)


def test_what_is_no_cell_of_a_matrix_is_passed_over() -> None:
    assert paired_of(talk("Hello", "Hi")).cells == {}


def test_many_groups_get_a_table_each_and_names_break_no_page() -> None:
    cells = ["a~x", "a~y|z", "b~x", "b~y|z"]
    talks = [held(f"travel-1-p{n}-0", cell) for n in range(3) for cell in cells]
    page = markdown("m", matrix_sections(compare_cells("r", paired_of(*talks))))
    assert page.count("\n## By cell: ") == 3
    assert "a~y\\|z" in page
