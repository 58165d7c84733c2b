"""A matrix in one run: each cell as if it were alone, growth, refusals, forks, a bad assistant compared."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from tests.doubles.command_line import engine, records

from engine.journal.journal import JOURNAL_NAME
from engine.journal.reader import Reader

Capture = pytest.CaptureFixture[str]

PRICES = "prices: {dear: {input: 2, output: 8}, rehearsal-assistant: {input: 1, output: 4}}\n"
TWO = "matrix:\n  assistants: {plain: {}, poor: {prompt: inattentive}}\n"
FOUR = PRICES + TWO + "  simulators: {dear: {model: dear}, warm: {model: dear, temperatures: [0.1, 1]}}\n"


class Study:
    """A folder with configurations and runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, name: str, config: str = "", *options: str) -> int:
        path = self.folder / "study.yaml"
        path.write_text(config)
        return engine("run", path, "--run", name, "--runs-dir", self.folder, *options)

    def records(self, name: str) -> list[dict[str, object]]:
        return records(self.folder / name / "conversations.jsonl")

    def cell(self, name: str, cell: str) -> list[dict[str, object]]:
        """What a run holds of one cell, as a run without a matrix would."""
        found = [each for each in self.records(name) if each["cell"]["name"] == cell]  # type: ignore[index]
        return [
            {key: value for key, value in each.items() if key != "cell"}
            | {"id": str(each["id"]).split("@")[0]}
            for each in found
        ]


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return Study(tmp_path)


def test_a_cell_holds_what_a_run_with_its_models_alone_would(study: Study) -> None:
    assert study.run("m", FOUR, "--limit", "8", "--seed", "3") == 0
    assert study.run("alone", "stages: {simulator: {model: dear, temperature: 1}}\n", "--limit", "8",
                     "--seed", "3") == 0  # fmt: skip
    assert study.cell("m", "warm-t1~plain") == study.records("alone")
    assert len(study.records("m")) == 8 * 6


def test_the_bytes_do_not_depend_on_the_concurrency(study: Study) -> None:
    for name, concurrency in (("one", "1"), ("many", "40")):
        assert study.run(name, FOUR, "--limit", "3", "--concurrency", concurrency) == 0
    one, many = (study.folder / name / "conversations.jsonl" for name in ("one", "many"))
    assert one.read_bytes() == many.read_bytes()


def test_a_matrix_grows_by_a_cell_and_keeps_what_it_has(study: Study, capsys: Capture) -> None:
    assert study.run("m", TWO, "--limit", "4") == 0
    before = study.cell("m", "plain"), study.cell("m", "poor")
    grown = TWO.replace("plain: {}", "plain: {}, warm: {temperature: 1}")
    assert study.run("m", grown, "--limit", "4") == 0
    assert "12 of 12 conversations, 4 of them now" in capsys.readouterr().out
    assert (study.cell("m", "plain"), study.cell("m", "poor")) == before
    with_reader = Reader(study.folder / "m" / JOURNAL_NAME)
    replies = with_reader.totals().replies
    with_reader.close()
    assert study.run("m", TWO, "--limit", "4") == 78
    said = capsys.readouterr().err
    assert 'cell warm: then ["","warm"], now -' in said
    assert "Nothing was sent" in said
    assert study.run("m", grown.replace("temperature: 1", "temperature: 0.9"), "--limit", "4") == 78
    assert "assistant@warm.temperature: then 1, now 0.9" in capsys.readouterr().err.replace("1.0", "1")
    reader = Reader(study.folder / "m" / JOURNAL_NAME)
    assert reader.totals().replies == replies
    reader.close()
    assert engine("verify", "m", "--runs-dir", study.folder) == 0


def test_a_prompts_text_is_identity(study: Study, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    assert engine("init", study.folder / "s") == 0
    monkeypatch.chdir(study.folder / "s")
    assert study.run("m", TWO, "--limit", "2") == 0
    text = study.folder / "s" / "templates" / "_assistants" / "inattentive.en.txt"
    text.write_text(text.read_text() + " More.\n")
    assert study.run("m", TWO, "--limit", "2") == 78
    assert "assistant's prompt inattentive: then" in capsys.readouterr().err


def test_a_fork_takes_over_what_a_run_without_a_matrix_has_held(study: Study, capsys: Capture) -> None:
    assert study.run("plain", "", "--limit", "4") == 0
    assert study.run("plain", TWO, "--limit", "4") == 78
    assert study.run("plain", TWO, "--limit", "4", "--fork", "m") == 0
    assert "8 of 8 conversations, 4 of them now" in capsys.readouterr().out
    assert study.cell("m", "plain") == study.records("plain")
    assert study.run("whole", TWO, "--limit", "4") == 0
    m, whole = (study.folder / name / "conversations.jsonl" for name in ("m", "whole"))
    assert m.read_bytes() == whole.read_bytes()


def test_whoever_ignores_the_user_is_objected_to(study: Study, capsys: Capture) -> None:
    assert study.run("m", FOUR, "--limit", "12") == 0
    assert engine("annotate", "m", "--with", "ratings", "--all", "--runs-dir", study.folder) == 0
    capsys.readouterr()
    assert engine("matrix", "m", "--json", "--runs-dir", study.folder) == 0
    found = orjson.loads(capsys.readouterr().out)
    assert (found["jobs"], found["incomplete"], len(found["cells"])) == (12, 0, 6)
    factors = {factor["by"]: factor for factor in found["factors"]}
    lines = {line["measure"]: line["contrasts"][0] for line in factors["assistant"]["lines"]}
    assert lines["user turns that object"]["low"] > 0.1
    assert lines["rule: repeated_turn"]["difference"] > 0.9
    assert {"rounds", "tokens of a user turn", "ended: goodbye", "cost, USD", "tokens in"} <= lines.keys()
    assert any(name.startswith("rating: ") for name in lines)
    # The same simulator says the same at first, whoever will answer it.
    assert lines["tokens of the first user turn"]["high"] == 0
    report = study.folder / "cells.md"
    assert engine("matrix", "m", "--out", report, "--draw", "profile", "--runs-dir", study.folder) == 0
    assert "assistant poor: " in capsys.readouterr().out
    assert "| user turns that object |" in report.read_text()


def test_costs_of_the_cells_are_those_of_the_run(study: Study, capsys: Capture) -> None:
    assert study.run("m", FOUR, "--limit", "3") == 0
    summary = orjson.loads((study.folder / "m" / "summary.json").read_bytes())
    rows = summary["cost"]["by_model"]
    assert {row["cell"] for row in rows} == set(summary["cells"])
    assert sum(row["usd"] for row in rows) == pytest.approx(summary["cost"]["usd"])
    capsys.readouterr()
    assert engine("matrix", "m", "--json", "--runs-dir", study.folder) == 0
    of_cells = orjson.loads(capsys.readouterr().out)["cost_usd"]
    assert sum(of_cells) == pytest.approx(summary["cost"]["usd"])
    path = study.folder / "study.yaml"
    where = ("--run", "m", "--runs-dir", study.folder)
    assert engine("estimate", path, *where, "--limit", "6", "--json") == 0
    cells = orjson.loads(capsys.readouterr().out)["cells"]
    assert {name: cell["planned"] - cell["ended"] for name, cell in cells.items()} == dict.fromkeys(cells, 3)
    assert engine("estimate", path, *where, "--limit", "6") == 0
    assert "USD to come" in capsys.readouterr().out


def test_parts_of_a_matrix_are_merged(study: Study) -> None:
    assert study.run("whole", TWO, "--limit", "6") == 0
    assert study.run("a", TWO, "--limit", "3") == 0
    assert study.run("b", TWO, "--limit", "6") == 0
    assert engine("runs", "merge", "c", "a", "b", "--runs-dir", study.folder) == 0
    assert engine("export", "c", "--runs-dir", study.folder) == 0
    c, whole = (study.folder / name / "conversations.jsonl" for name in ("c", "whole"))
    assert c.read_bytes() == whole.read_bytes()
