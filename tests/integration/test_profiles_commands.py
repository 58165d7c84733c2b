"""The commands beside generation: check, show, stats, derive, refine, versions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.doubles.command_line import engine, records

from engine.scenarios.profile_pool import load_profiles

ROOT = Path(__file__).parents[2]
POOL = ROOT / "profiles" / "pool.en.jsonl"
REFERENCE = ROOT.parent / "shared" / "reference" / "recllmsim-conversations.jsonl.gz"


def printed(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


@pytest.mark.skipif(not REFERENCE.exists(), reason="needs ../shared/reference")
def test_check_finds_the_twelve_duplicates_of_the_published_pool(capsys: pytest.CaptureFixture[str]) -> None:
    assert engine("profiles", "check", REFERENCE, "--json") == 0
    found = printed(capsys)
    assert found["profiles"] == 80
    assert found["duplicates"]["count"] == 12
    assert found["near_duplicates"]["count"] == 21
    assert engine("profiles", "check", REFERENCE, "--strict") == 65


def test_check_compares_with_a_reference_pool(capsys: pytest.CaptureFixture[str]) -> None:
    assert engine("profiles", "check", POOL, "--reference", POOL, "--json") == 0
    found = printed(capsys)["reference"]
    assert found["like"]["count"] == 120
    assert {row["distance"] for row in found["aspects"]} == {0.0}


def test_show_and_stats(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert engine("profiles", "show", POOL, "p007", "p003") == 0
    shown = capsys.readouterr().out
    assert shown.index("p003") < shown.index("p007")
    assert "9. Other Aspects: " in shown
    pytest.importorskip("matplotlib")
    plot = tmp_path / "plot.png"
    assert engine("profiles", "stats", POOL, "--plot", plot) == 0
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_derive_writes_a_profile_of_each_person_with_the_ids_of_its_sources(tmp_path: Path) -> None:
    source, out = tmp_path / "reviews.jsonl", tmp_path / "pool.jsonl"
    rows = [
        {"review_id": f"r{i}", "user": f"u{i % 4}", "title": "Pan", "text": "Heats evenly", "note": "secret"}
        for i in range(10)
    ]
    source.write_text("\n".join(map(json.dumps, rows)))
    arguments = ("profiles", "derive", source, "--out", out, "--runs-dir", tmp_path)
    assert engine(*arguments) == 0
    pool = load_profiles(out)
    assert [profile.provenance["source_ids"] for profile in pool] == [
        "r0, r4, r8",
        "r1, r5, r9",
        "r2, r6",
        "r3, r7",
    ]
    before = out.read_bytes()
    assert engine(*arguments) == 0
    assert out.read_bytes() == before


def test_refine_keeps_versions_and_feeds_accepted_profiles_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    decisions = tmp_path / "decisions.jsonl"
    decisions.write_text(
        '{"id": "g000001", "decision": "accept"}\n{"id": "g000003", "decision": "reject"}\n'
        '{"id": "g000002", "decision": "edit", "aspects": {"dislikes": "Beaches; also crowds"}}\n'
        '{"id": "g000004", "decision": "accept", "version": 2}\n'
    )
    folder = tmp_path / "examples"
    arguments = (
        "profiles", "refine", folder, "--aspects", "six-aspects", "--decisions", decisions, "--json",
    )  # fmt: skip
    assert engine(*arguments) == 0
    found = printed(capsys)
    assert found["decisions"] == {"accept": 1, "edit": 1, "reject": 1}
    first, second = found["versions"]
    assert (first["examples"], second["examples"]) == (0, 2)
    assert second["words"] > first["words"], "the next generation writes as the examples do"
    examples = records(folder / "version-2" / "examples.en.jsonl")
    assert examples[1]["dislikes"] == "Beaches; also crowds"
    kept = (folder / "version-1" / "pool.jsonl").read_bytes()
    assert engine(*arguments) == 0
    assert len(records(folder / "version-3" / "examples.en.jsonl")) == 5
    assert (folder / "version-1" / "pool.jsonl").read_bytes() == kept
    out = tmp_path / "pool.jsonl"
    assert engine("profiles", "generate", "--count", "5", "--aspects", folder / "version-2", "--out", out,
                  "--runs-dir", tmp_path) == 0  # fmt: skip
    assert "dislikes" in records(out)[0]


def test_a_person_decides_on_the_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = iter(["a", "e", "r", "q"])
    monkeypatch.setattr("engine.cli.profiles_refine.click.prompt", lambda *_, **__: next(words))
    monkeypatch.setattr(
        "engine.cli.profiles_refine.click.edit", lambda text, **_: text.replace("Gender: ", "Gender: Still ")
    )
    assert engine("profiles", "refine", tmp_path / "d", "--aspects", "six-aspects") == 0
    said = records(tmp_path / "d" / "version-1" / "decisions.jsonl")
    assert [each["decision"] for each in said] == ["accept", "edit", "reject"]
    [_, edited] = records(tmp_path / "d" / "version-2" / "examples.en.jsonl")
    assert str(edited["gender"]).startswith("Still ")


def test_versions_stand_side_by_side_with_a_sample_of_each(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert engine("profiles", "versions", "--count", "6", "--runs-dir", tmp_path) == 0
    shown = capsys.readouterr().out
    assert [shown.count(f"== {name}") for name in ("six-aspects", "first-example", "nine-aspects")] == [
        1,
        1,
        1,
    ]
    assert "Versions side by side" in shown


def test_a_pool_stops_within_its_budget_and_goes_on_with_a_higher_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def generate(name: str, *options: str) -> int:
        out = tmp_path / f"{name}.jsonl"
        where = ("--run", name, "--out", out, "--runs-dir", tmp_path)
        return engine("profiles", "generate", "--count", "60", *where, "--json", *options)

    assert generate("whole") == 0
    whole = printed(capsys)
    half = (whole["prompt_tokens"] + whole["completion_tokens"]) // 2
    assert generate("limited", "--max-tokens", str(half), "--concurrency", "1") == 75
    said = capsys.readouterr().err
    assert "the budget is used up" in said
    assert "the same command with --max-tokens" in said
    assert not (tmp_path / "limited.jsonl").exists()
    assert generate("limited", "--max-tokens", str(100 * half)) == 0
    assert (tmp_path / "limited.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    assert generate("other", "--max-cost", "1") == 78
    assert "a limit in money needs the price of every model" in capsys.readouterr().err
    assert not (tmp_path / "profiles" / "other").exists()


def test_profiles_of_people_stop_within_their_budget_and_go_on_with_a_higher_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = tmp_path / "reviews.jsonl", tmp_path / "people.jsonl"
    lines = [f'{{"user": "u{n}", "id": "r{n}", "text": "Tent {n} leaks"}}\n' for n in range(12)]
    source.write_text("".join(lines))
    derive = ("profiles", "derive", source, "--out", out, "--run", "people", "--runs-dir", tmp_path)
    assert engine(*derive, "--max-tokens", "9000") == 75
    assert "the same command with --max-tokens" in capsys.readouterr().err
    assert not out.exists()
    assert engine(*derive, "--max-tokens", "900000") == 0
    assert len(records(out)) == 12
    assert engine("profiles", "derive", source, "--out", out, "--run", "x", "--runs-dir", tmp_path,
                  "--max-cost", "1") == 78  # fmt: skip
    assert not (tmp_path / "profiles" / "x").exists()


def test_refining_stops_within_its_budget_and_goes_on_with_a_higher_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    decisions = tmp_path / "decisions.jsonl"
    decisions.write_text('{"id": "g000001", "decision": "accept"}\n')
    refine = ("profiles", "refine", tmp_path / "d", "--decisions", decisions)
    assert engine(*refine, "--max-tokens", "5000") == 75
    assert "the same command with --max-tokens" in capsys.readouterr().err
    assert engine(*refine, "--max-tokens", "500000") == 0
    assert len(records(tmp_path / "d" / "version-2" / "pool.jsonl")) == 5
