"""The authors' own data through import, statistics and export: every figure exactly, every record back."""

from __future__ import annotations

import gzip
import json
import time
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.doubles.command_line import engine

from engine.analysis.definitions import MERGED_TRAVEL, PAPER, Definitions
from engine.analysis.statistics import Statistics
from engine.dataset.source import open_dataset
from engine.dataset.tokens import count_tokens

REFERENCE = Path(__file__).parents[3] / "shared" / "reference"
LLM = REFERENCE / "recllmsim-conversations.jsonl.gz"
HUMAN = REFERENCE / "recllmsim-human.jsonl.gz"
SPLIT = REFERENCE / "paper-intent-split-dev.json"

pytestmark = pytest.mark.skipif(not LLM.exists(), reason="the reference data is not beside the project")


@pytest.fixture(scope="module")
def expected() -> dict[str, Any]:
    figures: dict[str, Any] = orjson.loads((REFERENCE / "reference-figures.json").read_bytes())
    return figures


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs that holds both files, imported."""
    folder = tmp_path_factory.mktemp("runs")
    assert engine("import", LLM, "--name", "llm", "--runs-dir", folder) == 0
    assert engine("import", HUMAN, "--name", "human", "--runs-dir", folder) == 0
    return folder


@pytest.fixture(scope="module")
def paper(runs: Path) -> dict[str, Any]:
    """What the paper's definitions give of the imported LLM part."""
    statistics = Statistics(count_tokens, PAPER)
    for conversation in open_dataset(runs / "llm"):
        statistics.add(conversation)
    return statistics.as_dict()


def test_table_1_with_the_papers_averages(paper: dict[str, Any], expected: dict[str, Any]) -> None:
    row, part = paper["table1"]["kept"], expected["developers_part"]
    without = part["without_new_travel_planning"]
    assert paper["table1"]["raw"] == row
    # Counts are of all tasks, averages of those that the paper averaged over.
    assert (row["conversations"], row["scenarios"]) == (
        part["all"]["conversations"],
        part["all"]["scenarios"],
    )
    assert row["averaged_over"] == without["conversations"]
    assert round(row["mean_utterances"], 4) == without["avg_utterances"]
    assert round(row["mean_tokens"], 2) == without["avg_tokens"]
    assert round(row["mean_user_tokens"], 2) == without["avg_user_utt_tokens"]
    assert round(row["mean_assistant_tokens"], 2) == without["avg_assistant_utt_tokens"]
    assert row["user_utterances"] == without["user_utterances"]
    assert row["assistant_utterances"] == without["assistant_utterances"]
    assert paper["distinct_profiles"] == part["distinct_profiles"]


def test_table_1_over_all_tasks(
    runs: Path, expected: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert engine("stats", "llm", "--runs-dir", runs, "--json") == 0
    row = json.loads(capsys.readouterr().out)["table1"]["kept"]
    everything = expected["developers_part"]["all"]
    assert round(row["mean_utterances"], 4) == everything["avg_utterances"]
    assert round(row["mean_tokens"], 2) == everything["avg_tokens"]
    assert round(row["mean_user_tokens"], 2) == everything["avg_user_utt_tokens"]
    assert round(row["mean_assistant_tokens"], 2) == everything["avg_assistant_utt_tokens"]
    assert row["averaged_over"] == everything["conversations"]


def test_all_28_cells_of_table_2(paper: dict[str, Any], expected: dict[str, Any]) -> None:
    ours = {
        task: {metric: round(mean, 3) for metric, mean in row.items()}
        for task, row in paper["table2"].items()
    }
    assert sum(len(row) for row in ours.values()) == 28
    assert ours == expected["developers_part"]["table2"]
    assert MERGED_TRAVEL in ours


def test_the_terminal_shows_each_of_them_whole(
    runs: Path, expected: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert engine("stats", "llm", "--paper", "--runs-dir", runs) == 0
    shown = capsys.readouterr().out.partition("Table 2")[2].partition("Figure 6")[0].split()
    for row in expected["developers_part"]["table2"].values():
        assert {f"{mean:.3f}" for mean in row.values()} <= set(shown)


def test_figure_6_intents_and_hallucinations(paper: dict[str, Any], expected: dict[str, Any]) -> None:
    part = expected["developers_part"]
    assert paper["figure6"] == part["figure6_counts"]
    assert paper["table3"]["totals"] == part["intent_counts"]
    assert paper["table3"]["user_utterances"] == part["all"]["user_utterances"]
    assert paper["hallucinated_replies"]["hallucinated"] == part["hallucinated_replies"]
    assert paper["hallucinated_replies"]["replies"] == part["all"]["assistant_utterances"]


def test_the_papers_split_gives_every_user_turn_its_part(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert engine("stats", "llm", "--runs-dir", runs, "--split", SPLIT, "--json") == 0
    table3 = json.loads(capsys.readouterr().out)["table3"]
    letters = "".join(orjson.loads(SPLIT.read_bytes())["split"].values())
    names = {"t": "train", "v": "validation", "e": "test"}
    assert {name: table3["split"][name]["utterances"] for name in names.values()} == {
        name: letters.count(letter) for letter, name in names.items()
    }
    assert sum(part["utterances"] for part in table3["split"].values()) == table3["user_utterances"]


def test_the_human_part_has_its_own_labels(runs: Path, expected: dict[str, Any]) -> None:
    statistics = Statistics(count_tokens, Definitions())
    for conversation in open_dataset(runs / "human"):
        statistics.add(conversation)
    found: dict[str, Any] = statistics.as_dict()
    row, part = found["table1"]["kept"], expected["human"]["hu1_and_hu2_and_part"]["developers_part"]
    assert (row["conversations"], row["scenarios"]) == (part["conversations"], part["scenarios"])
    assert round(row["mean_utterances"], 4) == part["avg_utterances"]
    assert round(row["mean_tokens"], 2) == part["avg_tokens"]
    assert round(row["mean_user_tokens"], 2) == part["avg_user_utt_tokens"]
    assert round(row["mean_assistant_tokens"], 2) == part["avg_assistant_utt_tokens"]
    assert (row["user_utterances"], row["assistant_utterances"]) == (
        part["user_utterances"], part["assistant_utterances"]
    )  # fmt: skip
    assert found["people"] == 25
    assert set(found["table3"]["totals"]) == {"推荐", "规划", "评估", "其它"}
    assert sum(found["table3"]["totals"].values()) > found["table3"]["labelled"]
    assert found["hallucinated_replies"]["cannot_tell"] > 0
    assert found["construction"] == {"human-LLM": 242}


@pytest.mark.parametrize(("run", "source"), [("llm", LLM), ("human", HUMAN)])
def test_every_record_comes_back_byte_for_byte(runs: Path, tmp_path: Path, run: str, source: Path) -> None:
    out = tmp_path / "back.jsonl"
    assert engine("export", run, "--runs-dir", runs, "--format", "reference", "--out", out) == 0
    assert out.read_bytes() == gzip.decompress(source.read_bytes())


def test_records_carry_all_that_they_hold(runs: Path) -> None:
    """Every value of a record is in the conversation's fields; nothing hides in the stored bytes alone."""
    lines = gzip.decompress(LLM.read_bytes()).splitlines()
    for conversation, line in zip(open_dataset(runs / "llm"), lines, strict=True):
        record = orjson.loads(line)
        kinds = {annotation.kind for annotation in conversation.annotations}
        assert kinds == {"rating", "preference_summary", "profile_mapped"}
        assert conversation.extra == {}
        assert len(conversation.profile.fields) == 9
        for turn, message in zip(conversation.turns, record["history"], strict=True):
            assert (turn.content, turn.translations["zh"]) == (message["content"], message["content_zh"])
            assert turn.extra == {}
            assert len(turn.annotations) == 1


def test_import_and_statistics_take_seconds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """About 3 s on two shared cores; the bound is for machines under load."""
    started = time.monotonic()
    assert engine("import", LLM, "--name", "timed", "--runs-dir", tmp_path) == 0
    assert engine("stats", "timed", "--paper", "--runs-dir", tmp_path) == 0
    assert time.monotonic() - started < 15
    assert "counted in" in capsys.readouterr().out
