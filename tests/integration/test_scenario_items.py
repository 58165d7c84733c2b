"""An external list in a scenario: shown, matched, counted, and part of what makes a run the same run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import orjson
import pytest
from anyio.from_thread import start_blocking_portal
from tests.doubles.command_line import engine, records

from engine.rehearsal.replies import Reply
from engine.rehearsal.server import serve

TEMPLATES = Path(__file__).resolve().parents[2] / "templates"
SLUG = "restaurant_list"
Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory whose templates hold the example."""
    templates = shutil.copytree(TEMPLATES, tmp_path / "templates")
    shutil.copytree(templates / "_examples" / SLUG, templates / SLUG)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def counted(capsys: Capture, *arguments: str | Path) -> Any:
    capsys.readouterr()
    assert engine("scenarios", "items", *arguments, "--json") == 0
    (found,) = json.loads(capsys.readouterr().out).values()
    return found


@pytest.mark.parametrize("language", ["en", "zh"])
def test_recommendations_are_counted_in_records_summary_and_command(
    here: Path, capsys: Capture, language: str
) -> None:
    assert engine("run", "--task", SLUG, "--language", language, "--limit", "30", "--run", "r") == 0
    assert engine("verify", "r") == 0
    found = records(here / "runs" / "r" / "conversations.jsonl")
    kept = [record for record in found if record["kept"]]
    assert len(kept) >= 20
    items: list[Any] = [record["items"] for record in kept]
    # Nearly every first reply of the rehearsal offers something of the list; defects do not.
    assert sum(any(each["turn"] == 1 for each in its["named"]) for its in items) >= 0.8 * len(kept)
    assert all(its["targets"] for its in items)
    counts = counted(capsys, "r")
    summary = orjson.loads((here / "runs" / "r" / "summary.json").read_bytes())["items"]
    assert {name: counts[name] for name in summary} == summary
    assert counts["conversations"] == len(kept)
    assert counts["recall"]["10"][9] > counts["recall"]["1"][9] > 0
    assert counts["leaked"] == 0
    assert counted(capsys, here / "runs" / "r" / "conversations.jsonl") == counts
    assert counted(capsys, "r", "--raw")["conversations"] == len(found)


def test_another_list_is_another_run_and_nothing_is_sent(here: Path, capsys: Capture) -> None:
    command = ("run", "--task", SLUG, "--limit", "4", "--run", "r")
    assert engine(*command) == 0
    dataset = (here / "runs" / "r" / "conversations.jsonl").read_bytes()
    lines = here / "templates" / SLUG / "items.en.csv"
    before = lines.read_text("utf-8")
    lines.write_text(before.replace("fish of the day", "fish of the week"), "utf-8")
    capsys.readouterr()
    assert engine(*command) == 78
    assert f"template task/{SLUG}/items" in capsys.readouterr().err
    # A run outlives its templates: what it needs of the list is in its journal.
    shutil.rmtree(here / "templates" / SLUG)
    assert engine("verify", "r") == 0
    assert engine("export", "r", "--raw", "--out", here / "again.jsonl") == 0
    assert (here / "again.jsonl").read_bytes() == dataset


def test_a_simulator_that_names_its_target_first_is_flagged(here: Path, capsys: Capture) -> None:
    def reply(request: dict[str, Any], raw: bytes) -> Reply | None:
        is_simulator = "You are going to play a person" in request["messages"][0]["content"]
        if not is_simulator or len(request["messages"]) > 2:
            return None
        said = "I would like a suggestion for tonight. Is The Blue Door open?"
        choice = {"index": 0, "message": {"role": "assistant", "content": said}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18}
        return Reply(body=orjson.dumps({"id": "x", "model": "s", "choices": [choice], "usage": usage}))

    with start_blocking_portal() as portal, portal.wrap_async_context_manager(serve(replier=reply)) as server:
        models = ("--simulator", "s", "--assistant", "a", "--base-url", server.base_url)
        assert engine("run", "--task", SLUG, "--limit", "3", "--run", "leaky", *models) == 0
    # The target of scenario 0 alone is the one that was named.
    counts = counted(capsys, "leaky", "--raw")
    assert (counts["leaked"], counts["leaks"]) == (1, [f"{SLUG}-0-p001-0"])
    assert engine("scenarios", "items", "leaky", "--raw") == 0
    shown = capsys.readouterr().out
    assert f"leaked: {SLUG}-0-p001-0: the simulator named a target before the assistant had" in shown


def test_mistakes_are_told(capsys: Capture) -> None:
    assert engine("run", "--task", "travel", "--limit", "2", "--run", "plain") == 0
    assert engine("scenarios", "items", "plain") == 65
    assert "no conversation whose task has a list of items" in capsys.readouterr().err
    assert engine("scenarios", "items", "plain", "--k", "1,zero") == 2
    assert "--k: write numbers above 0, such as 1,3,5,10; it is '1,zero'." in capsys.readouterr().err
