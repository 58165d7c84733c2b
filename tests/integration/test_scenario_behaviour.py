"""A behaviour axis beside the profile: chosen combinations as a list of jobs, each told how to behave."""

from __future__ import annotations

import json
import shutil
from itertools import combinations
from pathlib import Path

import pytest
from tests.doubles.command_line import engine, records

TEMPLATES = Path(__file__).resolve().parents[2] / "templates"
AXES = ("--axis", "patience", "--axis", "disclosure", "--axis", "verbosity")
Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(TEMPLATES, tmp_path / "templates")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def combine(out: Path, *options: str) -> list[dict[str, object]]:
    assert engine("scenarios", "combine", *options, "--out", out) == 0
    return records(out)


def test_all_a_subset_or_a_pairwise_sample(here: Path, capsys: Capture) -> None:
    every = combine(here / "all.jsonl", "--first", "3", *AXES)
    assert len(every) == 3 * 22 * 8
    assert "528 of 528 combinations (3 profiles x 22 scenarios x 2 levels" in capsys.readouterr().out
    subset = combine(
        here / "some.jsonl", "travel", "gifts-0", "--profile", "p003", "--profile", "p002",
        "--axis", "verbosity=brief", "--axis", "patience",
    )  # fmt: skip
    assert [line["profile"] for line in subset] == ["p002"] * 10 + ["p003"] * 10
    assert [line["behaviour"] for line in subset][:2] == ["patient.brief", "hurried.brief"]
    assert subset[0]["scenario"] == 0
    sample = combine(here / "pairs.jsonl", "--first", "3", *AXES, "--pairwise")
    assert len(sample) == 3 * 22

    def pairs(lines: list[dict[str, object]]) -> set[tuple[object, object]]:
        values = [
            (line["profile"], (line["task"], line["scenario"]), *str(line["behaviour"]).split("."))
            for line in lines
        ]
        return {pair for each in values for pair in combinations(each, 2)}

    assert pairs(sample) == pairs(every)
    plain = combine(here / "plain.jsonl", "travel", "--first", "2")
    assert plain[0] == {"profile": "p001", "task": "travel", "scenario": 1}


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_run_with_behaviour_goes_from_end_to_end(here: Path, capsys: Capture, language: str) -> None:
    jobs = here / "jobs.jsonl"
    lines = combine(jobs, "recipe", "--first", "4", *AXES, "--pairwise", "--language", language)
    command = ("run", "--jobs", jobs, "--language", language, "--run", "r")
    assert engine(*command, "--limit", "5") == 0
    assert engine(*command) == 0
    found = records(here / "runs" / "r" / "conversations.jsonl")
    assert [
        f"{line['task']}-{line['scenario']}-{line['profile']}-0-{line['behaviour']}" for line in lines
    ] == [record["id"] for record in found]
    for line, record in zip(lines, found, strict=True):
        assert record["behaviour"] == dict(
            zip(("patience", "disclosure", "verbosity"), str(line["behaviour"]).split("."), strict=True)
        )
    assert sum(bool(record["kept"]) for record in found) >= 10
    assert engine("verify", "r") == 0
    capsys.readouterr()
    assert engine(*command, "--dry-run") == 0
    told = capsys.readouterr().out
    assert ("How you behave in this conversation" if language == "en" else "你在这段对话里的表现") in told
    # Its texts are what makes the run the same run.
    axes = here / "templates" / "_behaviour" / "axes.yaml"
    axes.write_text(
        axes.read_text("utf-8").replace("in a hurry", "in haste").replace("很赶时间", "赶时间"), "utf-8"
    )
    assert engine(*command) == 78
    assert "template behaviour/axes" in capsys.readouterr().err


def test_levels_are_compared_and_bytes_are_the_same_at_any_concurrency(here: Path, capsys: Capture) -> None:
    shutil.copytree(TEMPLATES / "_examples" / "restaurant_list", here / "templates" / "restaurant_list")
    jobs = here / "jobs.jsonl"
    lines = combine(jobs, "restaurant_list", "--first", "8", "--axis", "patience", "--axis", "verbosity")
    for name in ("1", "64"):
        assert engine("run", "--jobs", jobs, "--concurrency", name, "--run", f"c{name}") == 0
    one, many = (here / "runs" / f"c{name}" / "conversations.jsonl" for name in ("1", "64"))
    assert one.read_bytes() == many.read_bytes()
    capsys.readouterr()
    assert engine("scenarios", "check", "restaurant_list", "--run", "c64", "--json") == 0
    levels = json.loads(capsys.readouterr().out)["pilot"]["levels"]
    assert [(each["axis"], each["level"]) for each in levels] == [
        ("patience", "hurried"), ("patience", "patient"), ("verbosity", "brief"), ("verbosity", "talkative")
    ]  # fmt: skip
    assert {each["ended"] for each in levels} == {len(lines) // 2}
    assert engine("scenarios", "check", "restaurant_list", "--run", "c64") == 0
    assert "Pilot: by level of behaviour" in capsys.readouterr().out


def test_the_same_conversation_without_behaviour_stays_as_it_was(here: Path) -> None:
    jobs = here / "jobs.jsonl"
    jobs.write_text(
        '{"profile": "p001", "task": "travel", "scenario": 11, "behaviour": "hurried"}\n'
        '{"profile": "p001", "task": "travel", "scenario": 11}\n'
    )
    assert engine("run", "--jobs", jobs, "--run", "both") == 0
    assert engine("run", "--task", "travel", "--limit", "4", "--run", "plain") == 0
    hurried, plain = records(here / "runs" / "both" / "conversations.jsonl")
    assert (hurried["id"], plain["id"]) == ("travel-11-p001-0-hurried", "travel-11-p001-0")
    assert plain in records(here / "runs" / "plain" / "conversations.jsonl")
    assert "behaviour" not in plain
    assert hurried["history"] != plain["history"]


def test_mistakes_are_told(here: Path, capsys: Capture) -> None:
    out = here / "out.jsonl"

    def told(*arguments: str) -> tuple[int, str]:
        code = engine("scenarios", "combine", *arguments, "--out", out)
        return code, capsys.readouterr().err

    assert told("--axis", "mood") == (2, "engine: --axis: there is no axis 'mood'; known ones: "
                                         "patience, disclosure, verbosity.\n")  # fmt: skip
    assert "axis patience has no level 'calm'" in told("--axis", "patience=calm")[1]
    assert "there is no profile 'nobody' in the pool" in told("--profile", "nobody")[1]
    assert told("travel", "--first", "1")[0] == 0
    code, words = told("gifts", "--first", "1")
    assert (code, "choose another name, or --force" in words) == (2, True)
    assert told("gifts", "--first", "1", "--force")[0] == 0
    for behaviour in ('"hurried.patient"', '"HURRIED"'):
        out.write_text(f'{{"profile": "p001", "task": "travel", "scenario": 1, "behaviour": {behaviour}}}\n')
        assert engine("run", "--jobs", out, "--run", "r") == 65
        assert "behaviour" in capsys.readouterr().err
    assert not (here / "runs" / "r").exists()
