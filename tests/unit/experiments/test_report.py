"""The report shows every row, says where each number is from, and can be read by programs."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from tests.doubles.constant_model import Constant
from tests.doubles.labelled_conversations import labelled

from engine.experiments.cells import CellFolder, CellRunner
from engine.experiments.experiment import Plan, Result, run_experiment
from engine.experiments.plot import is_plotting_possible, plot_rows
from engine.experiments.report import write_report
from engine.experiments.samples import collect_samples
from engine.experiments.splits import SplitKind
from engine.experiments.traditional import TraditionalModel

COMMAND = "engine experiment intents gifts.jsonl"


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    versions = {"scikit-learn": "1"}
    runners: list[CellRunner] = [
        TraditionalModel("BernoulliNB"),
        Constant(name="AdaBoost", versions=versions),
        Constant(name="Baseline", group="baseline", versions=versions, confidence=0.5),
    ]
    plan = Plan(runners, [SplitKind.UTTERANCE, SplitKind.PROFILE], [42, 0, 1, 2, 3])
    folder = CellFolder(tmp_path_factory.mktemp("cells"))
    return run_experiment(collect_samples(labelled()), plan, folder, command=COMMAND, say=lambda line: None)


def test_report_holds_table_claims_differences_and_origins(result: Result, tmp_path: Path) -> None:
    write_report(result, tmp_path, COMMAND)
    text = (tmp_path / "intents.md").read_text("utf-8")
    for part in (
        "## Split by utterance",
        "## Split by profile",
        "SAMME.R",
        "McNemar",
        "0.6901 / 0.5748",
        "Calibration error",
    ):
        assert part in text
    assert text.count("| **not run** |") == 10
    assert f"cells made by `{COMMAND}`" in text
    assert result.data.digest in text
    apart = text.index("no part of the reproduction")
    assert text.index("**Traditional models**") < apart < text.index("| Baseline |")


def test_each_row_and_cell_is_in_the_csv_files(result: Result, tmp_path: Path) -> None:
    write_report(result, tmp_path, COMMAND)
    with (tmp_path / "table4.csv").open(encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    with (tmp_path / "cells.csv").open(encoding="utf-8", newline="") as file:
        cells = {row["cell"]: row for row in csv.DictReader(file)}
    assert [row["model"] for row in table] == ["BernoulliNB", "AdaBoost", "Baseline"] * 2
    assert len(cells) == 30
    for row in table:
        own = [cells[name] for name in row["cell_ids"].split()]
        assert float(row["accuracy"]) == pytest.approx(sum(float(c["accuracy"]) for c in own) / 5, abs=1e-4)
        assert {c["command"] for c in own} == {COMMAND}
        assert "scikit-learn" in json.loads(own[0]["versions"])
    figures = json.loads((tmp_path / "intents.json").read_bytes())
    assert [split["kind"] for split in figures["splits"]] == ["utterance", "profile"]


@pytest.mark.skipif(not is_plotting_possible(), reason="matplotlib is not installed")
def test_plot_is_a_picture(result: Result, tmp_path: Path) -> None:
    path = plot_rows(result.splits[0].rows, tmp_path)
    assert path.name == "table4-utterance.png"
    assert path.read_bytes().startswith(b"\x89PNG")
