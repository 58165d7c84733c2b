"""Gates on rehearsal defects: fewer spoilt conversations, every attempt paid for, the promises kept."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from tests.doubles.command_line import engine, records

from engine.config import identity
from engine.dialogue import gates
from engine.journal.journal import JOURNAL_NAME
from engine.journal.reader import Reader
from engine.schema.conversation import STAGE
from engine.schema.gate import GATE_NAMES

Capture = pytest.CaptureFixture[str]
CONFIG = "rehearsal: {defect_rate: 1.0}\n"


def hold(tmp_path: Path, name: str, *options: str, config: str = CONFIG) -> Path:
    file = tmp_path / f"{name}.yaml"
    file.write_text(config)
    assert engine("run", file, "--run", name, "--runs-dir", tmp_path, "--limit", "110", *options) == 0
    return tmp_path / name


def texts(path: Path) -> dict[object, list[str]]:
    """The utterances of each conversation."""
    return {
        record["id"]: [turn["content"] for turn in record["history"]]  # type: ignore[attr-defined]
        for record in records(path)
    }


def summary(folder: Path) -> dict[str, dict[str, int]]:
    return dict(orjson.loads((folder / "summary.json").read_bytes()))


def test_gates_spare_conversations_and_every_attempt_is_paid_for(tmp_path: Path, capsys: Capture) -> None:
    without, gated = hold(tmp_path, "without"), hold(tmp_path, "gated", "--gates")
    kept = [
        sum(bool(record["kept"]) for record in records(f / "conversations.jsonl")) for f in (without, gated)
    ]
    assert kept[1] > kept[0] + 20
    assert "replies asked for again; turns by gate:" in capsys.readouterr().out
    assert "gates" not in summary(without)
    counts = summary(gated)["gates"]
    assert counts["asked_again"] > 0

    reader = Reader(gated / JOURNAL_NAME)
    calls = list(reader.calls_from(0))
    reader.close()
    assert sum(call.attempt > 0 for call in calls) == counts["asked_again"]
    assert len({(call.item, call.step, call.attempt) for call in calls}) == len(calls)
    assert summary(gated)["usage"]["calls"] == len(calls)
    tokens = sum(
        side["completion_tokens"]
        for record in records(gated / "conversations.jsonl")
        for side in record["usage"].values()  # type: ignore[attr-defined]
    )
    assert tokens == sum(call.completion_tokens for call in calls)

    firings = [firing for record in records(gated / "conversations.jsonl") for firing in record["gates"]]  # type: ignore[attr-defined]
    assert sum(not firing["kept"] for firing in firings) == counts["asked_again"]
    flagged = [
        turn
        for record in records(gated / "conversations.jsonl")
        for turn in record["history"]  # type: ignore[attr-defined]
        if any(flag.startswith("gate:") for flag in turn.get("flags", ()))
    ]
    assert flagged, "what no attempt could mend stays, and says so"

    capsys.readouterr()
    assert engine("verify", "gated", "--runs-dir", tmp_path) == 0
    assert "0 problems" in capsys.readouterr().out
    again = next(call for call in calls if call.attempt == 1)
    assert engine("show", "gated", again.item, "--raw", "--runs-dir", tmp_path) == 0
    assert f"{again.step}.1\t" in capsys.readouterr().out
    assert engine("show", "gated", again.item, "--as-sent", "simulator", "--runs-dir", tmp_path) == 0


def test_concurrency_changes_no_byte_with_gates(tmp_path: Path) -> None:
    datasets = {
        (hold(tmp_path, f"c{n}", "--gates", "--concurrency", str(n)) / "conversations.jsonl").read_bytes()
        for n in (1, 64)
    }
    assert len(datasets) == 1


def test_gates_of_another_run_are_refused_and_paper_has_none(tmp_path: Path, capsys: Capture) -> None:
    hold(tmp_path, "gated", "--gates")
    capsys.readouterr()
    assert engine("run", tmp_path / "gated.yaml", "--run", "gated", "--runs-dir", tmp_path) == 78
    assert "gates.use" in capsys.readouterr().err
    assert engine("run", "--gates", "--paper", "--runs-dir", tmp_path) == 2
    config = f"gates: {{use: [{', '.join(GATE_NAMES)}]}}\n{CONFIG}"
    paper = hold(tmp_path, "paper", "--paper", config=config)
    assert "gates" not in summary(paper)
    reader = Reader(paper / JOURNAL_NAME)
    assert not [field for field in reader.identity(STAGE) if field.startswith("gates")]
    reader.close()


def test_what_gates_once_decided_is_read_and_not_decided_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    folder = hold(tmp_path, "gated", "--gates")
    before = texts(folder / "conversations.jsonl")
    monkeypatch.setattr(gates, "GATES", dict.fromkeys(GATE_NAMES, lambda turn: False))
    assert engine("export", "gated", "--runs-dir", tmp_path, "--out", tmp_path / "later.jsonl") == 0
    later = texts(tmp_path / "later.jsonl")
    assert len(later) > 90
    assert later.items() <= before.items()
    assert engine("verify", "gated", "--runs-dir", tmp_path) == 0
    monkeypatch.setattr(identity, "GATES_VERSION", "0")
    capsys.readouterr()
    assert engine("run", tmp_path / "gated.yaml", "--gates", "--run", "gated", "--runs-dir", tmp_path) == 78
    assert "gates.version" in capsys.readouterr().err
