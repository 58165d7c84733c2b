"""`engine experiment intents --plm`: tiny models of two architectures go into Table 4 beside the others."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from tests.doubles.command_line import engine
from tests.doubles.labelled_conversations import as_reference, labelled
from tests.doubles.tiny_models import save_tiny_model

pytest.importorskip("torch")
pytest.importorskip("transformers")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning")]


def test_models_from_folders_are_rows_of_the_table_and_the_claims_are_judged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gifts = as_reference(labelled(30), tmp_path / "gifts.jsonl")
    save_tiny_model("bert", tmp_path / "weights" / "bert-base-uncased", positions=60)
    gpt2 = save_tiny_model("gpt2", tmp_path / "weights" / "tiny")
    arguments = (
        "experiment", "intents", gifts, "--model", "BernoulliNB", "--seeds", "1", "--out", tmp_path / "out",
        "--plm", gpt2, "--plm", tmp_path / "weights" / "bert-base-uncased",
        "--mode", "zero-shot", "--mode", "few-shot", "--mode", "fine-tuned",
    )  # fmt: skip
    assert engine(*arguments) == 0
    said = capsys.readouterr().out
    assert "6 cells computed, 0 found" in said
    with (tmp_path / "out" / "table4.csv").open(encoding="utf-8", newline="") as file:
        rows = {(row["model"], row["mode"]): row["cannot_run"] for row in csv.DictReader(file)}
    modes = {"zero-shot", "few-shot", "fine-tuned"}
    assert rows.keys() == {
        ("BernoulliNB", ""),
        *((model, mode) for mode in modes for model in ("tiny", "bert-base-uncased")),
    }
    without = [row for row, reason in rows.items() if reason]
    assert without == [("bert-base-uncased", "few-shot")]
    assert "tokens needed" in rows["bert-base-uncased", "few-shot"]
    text = (tmp_path / "out" / "intents.md").read_text("utf-8")
    assert text.count("| bert-base-uncased, few-shot | - | / (") == 1
    figures = json.loads((tmp_path / "out" / "intents.json").read_bytes())
    verdicts = [claim["verdict"] for claim in figures["splits"][0]["claims"]]
    assert verdicts[0] != "not run"
    assert verdicts[1:] == ["not run"] * 4
    assert not list((tmp_path / "out" / "cells").glob("*.work"))
    assert engine(*arguments, "--json") == 0
    assert json.loads(capsys.readouterr().out)["made"] == 0
