"""The paper's plan, whole: 2,130 conversations of 22 scenarios, rehearsed 64 at a time.

What this tests is the rehearsal: that it gives a dataset of the shape of the paper's, so that a rehearsed run
is worth rehearsing. It says nothing about any model. Reference figures lie outside the repository.
"""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from tests.doubles.command_line import engine

ROOT = Path(__file__).resolve().parents[2]
FIGURES = ROOT.parent / "shared" / "reference" / "reference-figures.json"
NAMES = {
    "gifts": "preparing gifts", "newtravel": "new travel planning", "recipe": "recipe planning",
    "skills": "skills learning planning", "travel": "travel planning",
}  # fmt: skip
TOLERANCE = 0.10


@pytest.mark.slow
@pytest.mark.skipif(not FIGURES.is_file(), reason=f"the reference figures are not there: {FIGURES}")
def test_rehearsed_plan_of_the_paper_has_the_shape_of_its_dataset(tmp_path: Path) -> None:
    assert engine("run", "--limit", "2130", "--concurrency", "64", "--run", "r", "--runs-dir", tmp_path) == 0
    summary = orjson.loads((tmp_path / "r" / "summary.json").read_bytes())
    assert summary["table1"]["raw"]["conversations"] == 2130
    assert summary["table1"]["raw"]["scenarios"] == summary["table1"]["kept"]["scenarios"] == 22
    shape = orjson.loads(FIGURES.read_bytes())["dialogue_shape"]
    differences: dict[str, float] = {}
    for task, name in NAMES.items():
        kept = summary["table1_by_task"]["kept"][task]
        rounds = shape["turns_fit"][name]["mean"]
        pairs = {
            "rounds": (kept["mean_rounds"], rounds),
            "utterances": (kept["mean_utterances"], 2 * rounds),  # each of its user turns is answered
            "tokens": (kept["mean_tokens"], shape["lengths"]["conversation_tokens"][name]["mean"]),
        }
        differences |= {f"{task} {what}": ours / theirs - 1 for what, (ours, theirs) in pairs.items()}
    far = {what: round(by, 3) for what, by in differences.items() if abs(by) > TOLERANCE}
    assert not far
