"""Scenario design: what the commands say of templates, and that a new task is a folder and nothing else."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import orjson
import pytest
from anyio.from_thread import start_blocking_portal
from tests.doubles.command_line import engine, records

from engine.dataset.export_formats import FORMATS
from engine.rehearsal.replies import Reply
from engine.rehearsal.server import serve

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = ROOT / "templates"
EXAMPLES = TEMPLATES / "_examples"
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def templates(tmp_path: Path) -> Path:
    return shutil.copytree(TEMPLATES, tmp_path / "templates")


def files_of(path: Path) -> list[Path]:
    return [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]


def printed(capsys: Capture) -> Any:
    return json.loads(capsys.readouterr().out)


def test_list_and_show_name_what_there_is(capsys: Capture) -> None:
    assert engine("scenarios", "list", "--templates", TEMPLATES) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 23
    assert "travel-11    travel planning: season winter, days 30, kind free" in lines
    assert engine("scenarios", "list", "--templates", TEMPLATES, "--language", "zh", "--json") == 0
    found = printed(capsys)
    assert len(found) == 22
    assert found[0]["requirements"][0] == "送什么"
    assert engine("scenarios", "show", "travel", "--templates", TEMPLATES) == 0
    shown = capsys.readouterr().out
    assert "4 of 12 combinations are used by runs" in shown
    assert shown.count("\ntravel-") == 4
    assert engine("scenarios", "show", "travel-0", "--templates", TEMPLATES) == 0
    assert "Your work takes you to Xinjiang" in capsys.readouterr().out


def test_render_shows_what_a_run_sends(tmp_path: Path, capsys: Capture) -> None:
    command = ("--templates", TEMPLATES, "--profile", "p002", "--json")
    assert engine("scenarios", "render", "travel-11", *command) == 0
    texts = printed(capsys)
    jobs, log = tmp_path / "jobs.jsonl", tmp_path / "engine.yaml"
    jobs.write_text('{"profile": "p002", "task": "travel", "scenario": 11}\n')
    log.write_text(f"templates: {TEMPLATES}\njobs: {jobs}\n")
    assert engine("run", log, "--dry-run", "--runs-dir", tmp_path) == 0
    sent = capsys.readouterr().out
    for name in ("simulator_setup", "simulator_kickoff", "end_prompt", "assistant_setup"):
        assert texts[name] in sent


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("show", "Travel!"), 2, "names no task or scenario"),
        (("show", "travle"), 65, "did you mean 'travel'?"),
        (("show", "travel-12"), 65, "use a number from 0 to 11"),
        (("render", "travel"), 2, "name one of its scenarios"),
        (("render", "travel-1", "--profile", "nobody"), 65, "there is no profile 'nobody'"),
        (("check", "--run", "nothing"), 65, "there is no run 'nothing'"),
        (("list", "--templates", "nowhere"), 65, "templates folder nowhere does not exist"),
    ],
)
def test_mistakes_are_told(arguments: tuple[str, ...], code: int, words: str, capsys: Capture) -> None:
    assert engine("scenarios", *arguments) == code
    assert words in capsys.readouterr().err


def test_check_flags_what_the_criteria_ask_for(templates: Path, tmp_path: Path, capsys: Capture) -> None:
    command = ("scenarios", "check", "--templates", templates, "--strict")
    assert engine(*command) == 0
    assert "5 tasks, 22 scenarios, 0 flagged" in capsys.readouterr().out
    (templates / "gifts" / "description.zh.jinja").unlink()
    assert engine(*command, "--json") == 65
    (flag,) = printed(capsys)["flags"]
    assert flag.startswith("gifts: not usable in the language zh: ")
    # All conversations of this pilot have a defect, among them goodbyes at the second user turn.
    config = tmp_path / "engine.yaml"
    config.write_text(f"templates: {templates}\ntasks: [gifts]\nlimit: 60\nrehearsal: {{defect_rate: 1.0}}\n")
    assert engine("run", config, "--run", "pilot", "--runs-dir", tmp_path) == 0
    capsys.readouterr()
    pilot = ("--run", "pilot", "--runs-dir", tmp_path)
    assert engine("scenarios", "check", "gifts", "--templates", templates, *pilot, "--json") == 0
    found = printed(capsys)
    counts = found["pilot"]["tasks"]["preparing gifts"]
    kept = records(tmp_path / "pilot" / "conversations.jsonl")
    one = sum(record["rounds"] == 1 for record in kept)
    assert (counts["one_round"], counts["share"]) == (one, one / counts["ended"])
    assert one > 3
    assert any("ended after one round" in flag for flag in found["flags"])


def test_check_finds_texts_in_another_language(templates: Path, capsys: Capture) -> None:
    """Every prompt and scenario that ships reads as its own language, and one that does not is named once."""
    command = ("scenarios", "check", "--templates", templates, "--json")
    for language in ("en", "zh"):
        assert engine(*command, "--language", language) == 0
        assert printed(capsys)["flags"] == []
    prompts = templates / "_prompts"
    shutil.copy(prompts / "en" / "rules.jinja", prompts / "zh" / "rules.jinja")
    shutil.copy(templates / "recipe" / "description.zh.jinja", templates / "recipe" / "description.en.jinja")
    assert engine(*command) == 0
    flags = printed(capsys)["flags"]
    assert flags == [
        "description of recipe: is meant for the language en and reads as chinese",
        "prompt rules: is meant for the language zh and reads as english",
    ]


def test_a_task_that_is_added_gets_its_ten_in_the_run_without_a_configuration(
    templates: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert engine("run", "--run", "r") == 0
    before = records(tmp_path / "runs" / "r" / "conversations.jsonl")
    shutil.copytree(EXAMPLES / "restaurant", templates / "restaurant")
    assert engine("run", "--run", "r") == 0
    after = records(tmp_path / "runs" / "r" / "conversations.jsonl")
    assert (len(before), len(after)) == (220, 250)
    assert [record for record in after if record["task"] != "restaurant"] == before


def test_a_new_task_is_a_folder_and_nothing_else(
    templates: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    """Choosing a restaurant: added, held, counted, shown, annotated and exported; no code knows of it."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(EXAMPLES / "restaurant", templates / "restaurant")
    assert engine("scenarios", "check", "restaurant", "--strict") == 0
    assert engine("run", "--task", "restaurant", "--limit", "30", "--run", "r") == 0
    found = records(tmp_path / "runs" / "r" / "conversations.jsonl")
    assert len(found) == 30
    assert {record["task_name"] for record in found} == {"choosing a restaurant"}
    assert sum(bool(record["kept"]) for record in found) >= 20
    capsys.readouterr()
    assert engine("stats", "r", "--json") == 0
    assert "choosing a restaurant" in capsys.readouterr().out
    assert engine("annotate", "r", "--with", "ratings,preferences", "--limit", "3") == 0
    assert engine("show", "r", "restaurant-0-p001-0") == 0
    assert engine("verify", "r") == 0
    assert engine("report", "r") == 0
    for form in FORMATS:
        out = tmp_path / f"out-{form}"
        assert engine("export", "r", "--format", form, "--raw", "--out", out) == 0, form
        assert "restaurant" in "".join(path.read_text(errors="replace") for path in files_of(out)), form


def test_in_a_chinese_run_prompts_end_phrase_and_checks_are_chinese(
    templates: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    """One simulator speaks Chinese and says the Chinese goodbye; the other one speaks English throughout."""
    monkeypatch.chdir(tmp_path)
    spoken = {
        "zh": ("你好，我想找一家安静的餐厅，请推荐几家。", "听起来不错，那里的鱼怎么做？", "谢谢，再见。"),
        "en": (
            "Hello, I am looking for a quiet restaurant and would like your advice on it.",
            "That sounds good to me, but what would you order there and how much would it cost?",
            "Thank you, goodbye.",
        ),
    }
    seen: list[str] = []

    def reply(request: dict[str, Any], raw: bytes) -> Reply | None:
        messages = request["messages"]
        if messages[0]["role"] != "system" or "扮演规则" not in messages[0]["content"]:
            return None
        seen.append(messages[-1]["content"])
        said = spoken[request["model"]][min(2, sum(each["role"] == "assistant" for each in messages))]
        choice = {"index": 0, "message": {"role": "assistant", "content": said}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18}
        return Reply(
            body=orjson.dumps({"id": "x", "model": request["model"], "choices": [choice], "usage": usage})
        )

    with start_blocking_portal() as portal, portal.wrap_async_context_manager(serve(replier=reply)) as server:
        for model in spoken:
            models = ("--simulator", model, "--assistant", "a", "--base-url", server.base_url)
            plan = ("--task", "travel", "--language", "zh", "--limit", "3", "--run", model)
            assert engine("run", *plan, *models) == 0
    assert seen[0] == "你好！请问有什么可以帮你的吗？"
    assert any("请只回复下面这句话" in text and "谢谢，再见。" in text for text in seen)
    chinese, english = (records(tmp_path / "runs" / name / "conversations.jsonl") for name in spoken)
    assert [record["end_reason"] for record in chinese] == ["goodbye"] * 3
    assert all(record["kept"] for record in chinese)
    assert [record["end_reason"] for record in english] == ["max_rounds"] * 3
    assert all("wrong_language" in str(record["dropped_because"]) for record in english)


def test_the_example_speaks_chinese_too(
    templates: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(EXAMPLES / "restaurant", templates / "restaurant")
    assert engine("run", "--task", "restaurant", "--language", "zh", "--limit", "30", "--run", "zh") == 0
    found = records(tmp_path / "runs" / "zh" / "conversations.jsonl")
    assert sum(bool(record["kept"]) for record in found) >= 20
    assert not [record for record in found if record["kept"] and "wrong_language" in str(record["flags"])]
    assert "餐厅" in str(found[0]["scenario"])
