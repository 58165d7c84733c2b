"""Table 4 from cells: one row per model and mode, means over seeds, and what each number was made from.

Everything here is computed from the cells' stored answers, so that a table can be made again without a model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from engine.experiments.cells import Cell
from engine.experiments.intervals import (
    Answers,
    Comparison,
    Interval,
    bootstrap_intervals,
    compare,
    holm,
    resampled_interval,
)
from engine.experiments.paper_figures import TRADITIONAL, Figures
from engine.experiments.scores import Scores, expected_calibration_error, score
from engine.experiments.splits import Split, SplitKind

# Blocks of the table in the paper's order; the last is none of the paper's.
GROUPS: Mapping[str, str] = {
    "traditional": "Traditional models",
    "plm": "Pretrained language models",
    "llm": "Large language models",
    "baseline": "Stronger baseline (no part of the reproduction)",
}


@dataclass(frozen=True, slots=True)
class MadeCell:
    """A cell, its split and its scores."""

    cell: Cell
    split: Split
    scores: Scores
    answers: Answers

    @property
    def calibration_error(self) -> float | None:
        confidence = self.cell.confidence
        if confidence is None:
            return None
        return expected_calibration_error(self.cell.gold, self.cell.predicted, confidence)


@dataclass(frozen=True, slots=True)
class Row:
    """One model in one mode on one kind of split. Cells are in the order of their seeds.

    `accuracy` and `macro_f1` are means over cells, `*_sd` their deviation (None for one cell), `*_interval`
    95 % intervals: corrected for overlapping training parts over random splits, else by bootstrap.
    """

    name: str
    group: str
    mode: str
    kind: SplitKind
    cells: tuple[MadeCell, ...]
    accuracy: float
    macro_f1: float
    accuracy_sd: float | None
    macro_f1_sd: float | None
    accuracy_interval: Interval
    macro_f1_interval: Interval
    interval_kind: str
    paper: Figures | None

    @property
    def label(self) -> str:
        return f"{self.name}, {self.mode}" if self.mode else self.name

    @property
    def unanswered(self) -> int:
        return sum(cell.scores.unanswered for cell in self.cells)


@dataclass(frozen=True, slots=True)
class Tested:
    """A comparison of two rows' first cells, with p values corrected by Holm's method over the table."""

    first: str
    second: str
    comparison: Comparison
    mcnemar_p: float
    f1_p: float


def make_cell(cell: Cell, split: Split, conversations: Sequence[str], labels: Sequence[str]) -> MadeCell:
    """Score a cell; `conversations` of the whole data, by position."""
    answers = Answers(cell.gold, cell.predicted, tuple(conversations[i] for i in split.test), tuple(labels))
    return MadeCell(cell, split, score(cell.gold, cell.predicted, labels), answers)


def make_rows(cells: Sequence[MadeCell]) -> list[Row]:
    """The rows, by block, in the order in which their first cells come."""
    grouped: dict[tuple[SplitKind, str, str, str], list[MadeCell]] = {}
    for cell in cells:
        model = cell.cell.key["model"]
        key = (cell.split.kind, model["group"], model["name"], model["mode"])
        grouped.setdefault(key, []).append(cell)
    rows = [_row(kind, group, name, mode, of) for (kind, group, name, mode), of in grouped.items()]
    order = list(GROUPS)
    return sorted(rows, key=lambda row: order.index(row.group))


def compare_rows(rows: Sequence[Row]) -> list[Tested]:
    """Every pair of rows, each by its first cell, which must be of one split."""
    pairs = [
        (first, second, compare(first.cells[0].answers, second.cells[0].answers))
        for i, first in enumerate(rows)
        for second in rows[i + 1 :]
        if first.cells[0].split == second.cells[0].split
    ]
    mcnemar = holm([comparison.mcnemar_p for *_, comparison in pairs])
    f1 = holm([comparison.f1_p for *_, comparison in pairs])
    return [
        Tested(first.label, second.label, comparison, p, q)
        for (first, second, comparison), p, q in zip(pairs, mcnemar, f1, strict=True)
    ]


def _row(kind: SplitKind, group: str, name: str, mode: str, cells: Sequence[MadeCell]) -> Row:
    accuracies = [cell.scores.accuracy for cell in cells]
    f1s = [cell.scores.macro_f1 for cell in cells]
    split = cells[0].split
    several = len(cells) > 1
    accuracy_interval = macro_f1_interval = None
    if kind is not SplitKind.FILE:
        ratio = len(split.test) / len(split.train)
        accuracy_interval = resampled_interval(accuracies, test_to_train=ratio)
        macro_f1_interval = resampled_interval(f1s, test_to_train=ratio)
    interval_kind = "over splits"
    if accuracy_interval is None or macro_f1_interval is None:
        accuracy_interval, macro_f1_interval = bootstrap_intervals(cells[0].answers)
        interval_kind = "bootstrap of conversations, first seed" if several else "bootstrap of conversations"
    return Row(
        name=name,
        group=group,
        mode=mode,
        kind=kind,
        cells=tuple(cells),
        accuracy=fmean(accuracies),
        macro_f1=fmean(f1s),
        accuracy_sd=stdev(accuracies) if several else None,
        macro_f1_sd=stdev(f1s) if several else None,
        accuracy_interval=accuracy_interval,
        macro_f1_interval=macro_f1_interval,
        interval_kind=interval_kind,
        paper=TRADITIONAL.get(name) if group == "traditional" else None,
    )
