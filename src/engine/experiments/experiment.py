"""Runs an experiment: every split, model and seed asked for, each cell once, in a fixed order.

What is already in the folder is taken from there, so an experiment that was stopped goes on where it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.experiments.cells import CannotRun, CellFolder, CellRunner, cell_key
from engine.experiments.claims import Verdict, judge_claims
from engine.experiments.samples import IntentData
from engine.experiments.splits import (
    PAPER_SEED,
    Split,
    SplitKind,
    make_split,
    read_split_file,
    table3,
    take,
    with_fewer_tests,
)
from engine.experiments.table import MadeCell, Row, Tested, compare_rows, make_cell, make_rows


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run. `seeds` decide the split and the model's own randomness; the first one is shown in detail.

    `split_file` adds the split that it holds; seeds are then the model's alone. `most_tests` shortens every
    test part, for all models alike.
    """

    runners: Sequence[CellRunner]
    kinds: Sequence[SplitKind]
    seeds: Sequence[int]
    split_file: Path | None = None
    most_tests: int | None = None


@dataclass(frozen=True, slots=True)
class CannotRunRow:
    """A model that could not be used in this way, and what stands in the table instead of figures."""

    name: str
    mode: str
    group: str
    reason: str

    @property
    def label(self) -> str:
        return f"{self.name}, {self.mode}" if self.mode else self.name


@dataclass(frozen=True, slots=True)
class SplitResult:
    """All that was found on one kind of split. Table 3 is that of the first seed."""

    kind: SplitKind
    split: Split
    table3: list[tuple[str, dict[str, int]]]
    rows: list[Row]
    cannot_run: list[CannotRunRow]
    comparisons: list[Tested]
    claims: list[Verdict]


@dataclass(frozen=True, slots=True)
class Result:
    """An experiment's cells, computed into tables. `made` cells are new, the others were there."""

    data: IntentData
    splits: list[SplitResult]
    made: int
    found: int


def run_experiment(
    data: IntentData, plan: Plan, folder: CellFolder, *, command: str, say: Callable[[str], None]
) -> Result:
    """Make the cells that are missing and compute the tables. `say` is told about each cell.

    A split that the data does not give, and weights or a prompt that cannot be read, are found before the
    first cell. Raises BadInput, UsageError, and RunLocked where another process makes cells of `folder`.
    """
    splits = list(_splits(data, plan))
    for runner in plan.runners:
        cell_key(data.digest, splits[0][1][0], runner, plan.seeds[0])
    with folder.alone():
        return _run(data, plan, splits, folder, command, say)


def _run(
    data: IntentData,
    plan: Plan,
    all_splits: Sequence[tuple[SplitKind, list[Split]]],
    folder: CellFolder,
    command: str,
    say: Callable[[str], None],
) -> Result:
    conversations = [sample.conversation_id for sample in data.samples]
    made = found = 0
    results = []
    for kind, splits in all_splits:
        cells: list[MadeCell] = []
        cannot_run: dict[str, CannotRunRow] = {}
        for runner, seed, split in _cells(plan, splits):
            name = ", ".join(filter(None, (runner.name, runner.mode)))
            if name in cannot_run:
                continue
            key = cell_key(data.digest, split, runner, seed)
            cell = folder.find(key)
            if cell is None:
                try:
                    cell = folder.make(key, runner, take(data, split), seed, command)
                except CannotRun as reason:
                    cannot_run[name] = CannotRunRow(runner.name, runner.mode, runner.group, str(reason))
                    say(f"{kind:<12} seed {seed:<4} {name:<24} {reason}")
                    continue
                made += 1
            else:
                found += 1
            cells.append(make_cell(cell, split, conversations, data.labels))
            scores = cells[-1].scores
            say(
                f"{kind:<12} seed {seed:<4} {name:<24} accuracy {scores.accuracy:.4f}"
                f"  macro-F1 {scores.macro_f1:.4f}  {cell.seconds:.1f} s"
            )
        rows = make_rows(cells)
        results.append(
            SplitResult(
                kind=kind,
                split=splits[0],
                table3=table3(data, splits[0]),
                rows=rows,
                cannot_run=list(cannot_run.values()),
                comparisons=compare_rows(rows),
                claims=judge_claims(rows),
            )
        )
    return Result(data, results, made, found)


def _splits(data: IntentData, plan: Plan) -> Iterator[tuple[SplitKind, list[Split]]]:
    if plan.split_file is not None:
        split = _shortened(read_split_file(data, plan.split_file), plan)
        yield SplitKind.FILE, [split] * len(plan.seeds)
    for kind in plan.kinds:
        yield kind, [_shortened(make_split(data, kind, seed), plan) for seed in plan.seeds]


def _shortened(split: Split, plan: Plan) -> Split:
    return split if plan.most_tests is None else with_fewer_tests(split, plan.most_tests)


def _cells(plan: Plan, splits: Sequence[Split]) -> Iterator[tuple[CellRunner, int, Split]]:
    for runner in plan.runners:
        for i, (seed, split) in enumerate(zip(plan.seeds, splits, strict=True)):
            # The same parts and no randomness: the same answers again.
            if i and split == splits[0] and not runner.is_seeded:
                continue
            yield runner, seed, split


def default_seeds(count: int) -> list[int]:
    """The paper's seed, then 0, 1, 2, ..."""
    return [PAPER_SEED, *(seed for seed in range(count) if seed != PAPER_SEED)][:count]
