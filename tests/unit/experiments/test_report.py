"""The report shows every row, says where each number is from, and can be read by programs."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
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
from engine.schema.dataset import ConversationTurn

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


def test_a_model_that_cannot_run_has_one_row_in_each_table(tmp_path: Path) -> None:
    few = {"mode": "few-shot", "group": "plm", "cannot": "/ (96 tokens needed, 95 possible)"}
    runners: list[CellRunner] = [
        Constant(name="one", group="plm", mode="zero-shot"),
        Constant(name="two", group="plm", mode="zero-shot"),
        Constant(name="one", **few),  # type: ignore[arg-type]
        Constant(name="far", **few | {"group": "llm"}),  # type: ignore[arg-type]
    ]
    plan = Plan(runners, [SplitKind.UTTERANCE], [42])
    folder = CellFolder(tmp_path / "cells")
    data = collect_samples(labelled())
    write_report(
        run_experiment(data, plan, folder, command=COMMAND, say=lambda line: None), tmp_path, COMMAND
    )
    text = (tmp_path / "intents.md").read_text("utf-8")
    assert text.count("| one, few-shot | - | / (96 tokens needed, 95 possible) |") == 1
    assert text.count("| far, few-shot | - | / (96 tokens needed, 95 possible) |") == 1
    with (tmp_path / "table4.csv").open(encoding="utf-8", newline="") as file:
        rows = [(row["model"], row["mode"], row["cannot_run"]) for row in csv.DictReader(file)]
    assert rows == [
        ("one", "zero-shot", ""),
        ("two", "zero-shot", ""),
        ("one", "few-shot", few["cannot"]),
        ("far", "few-shot", few["cannot"]),
    ]


def in_chinese(turn: ConversationTurn) -> ConversationTurn:
    """The turn in one word that no other turn has, with an intent that is not the paper's."""
    intents = {"Planning": "规|划\n计划", "Others": "其它", "Search": "搜索", "Recommendation": "推荐"}
    annotations = tuple(replace(each, value=[intents[each.value[0]]]) for each in turn.annotations)  # type: ignore[index]
    return replace(turn, content=f"请{turn.content}".replace(" ", ""), annotations=annotations)


def test_other_intents_and_unknown_words_are_said(tmp_path: Path) -> None:
    conversations = [replace(each, turns=tuple(map(in_chinese, each.turns))) for each in labelled()]
    plan = Plan([TraditionalModel("BernoulliNB")], [SplitKind.CONVERSATION], [42])
    result = run_experiment(
        collect_samples(conversations), plan, CellFolder(tmp_path), command=COMMAND, say=lambda line: None
    )
    write_report(result, tmp_path, COMMAND)
    text = (tmp_path / "intents.md").read_text("utf-8")
    assert "The intents are not the paper's" in text
    assert "12 of 12 utterances (first seed) have no word of the training part" in text
    assert "| 规\\|划 计划 |" in text
