"""Each claim is judged from what was run, and not at all where something is missing."""

from __future__ import annotations

from engine.experiments.claims import judge_claims
from engine.experiments.intervals import Interval
from engine.experiments.paper_figures import Figures
from engine.experiments.splits import SplitKind
from engine.experiments.table import Row


def row(group: str, name: str, mode: str, accuracy: float, macro_f1: float) -> Row:
    none = Interval(0, 1)
    paper = Figures(0.7, 0.6) if group == "traditional" else None
    return Row(
        name, group, mode, SplitKind.UTTERANCE, (), accuracy, macro_f1, None, None, none, none, "", paper
    )  # fmt: skip


TRADITIONAL = row("traditional", "SVM", "", 0.75, 0.6)
UNTRAINED = row("plm", "BERT", "zero-shot", 0.3, 0.2)
TUNED = row("plm", "BERT", "fine-tuned", 0.8, 0.7)
ZERO, FEW = row("llm", "L", "zero-shot", 0.5, 0.4), row("llm", "L", "few-shot", 0.6, 0.5)


def verdicts(*rows: Row) -> list[str]:
    return [claim.verdict for claim in judge_claims(rows)]


def test_all_five_hold_where_all_was_run_and_says_so() -> None:
    assert verdicts(TRADITIONAL, UNTRAINED, TUNED, ZERO, FEW) == ["holds"] * 5


def test_what_was_not_run_is_not_judged() -> None:
    assert verdicts(TRADITIONAL) == ["not run"] * 5
    assert verdicts(TRADITIONAL, ZERO) == ["not run"] * 3 + ["holds", "not run"]


def test_a_claim_that_does_not_hold_is_said_to_and_by_which_score() -> None:
    strong = row("llm", "L", "zero-shot", 0.9, 0.9)
    assert verdicts(TRADITIONAL, strong)[3] == "does not"
    half = row("llm", "L", "zero-shot", 0.7, 0.9)
    assert verdicts(TRADITIONAL, half)[3] == "does not (by accuracy alone it would)"


def test_few_shot_is_compared_within_one_model() -> None:
    weak = row("llm", "M", "zero-shot", 0.1, 0.1)
    assert verdicts(weak, FEW)[2] == "not run"
    assert verdicts(weak, ZERO, FEW)[2] == "holds"


def test_canned_answers_judge_nothing() -> None:
    assert verdicts(TRADITIONAL, row("llm", "rehearsal", "zero-shot", 0.5, 0.4)) == ["not run"] * 5
