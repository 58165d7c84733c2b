"""`engine annotate` over runs and imports, without a key: judges and people, stopped and gone on with."""

from __future__ import annotations

import asyncio
import gzip
import json
import math
import shutil
import signal
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path

import orjson
import pytest
import yaml
from tests.doubles.command_line import engine, start_engine
from tests.doubles.waiting import until

from engine.annotation.stored import RunAnnotations
from engine.dataset.source import open_dataset
from engine.journal.journal import JOURNAL_NAME
from engine.journal.reader import Reader
from engine.rehearsal.judge import true_hallucination, true_intent, true_ratings, true_satisfaction
from engine.schema.annotation import (
    METRICS,
    PAPER_INTENTS,
    Kind,
    find,
    hallucination_of,
    intents_of,
    ratings_of,
)
from engine.schema.conversation import Role
from engine.schema.dataset import Conversation

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT.parent / "shared" / "reference"
Capture = pytest.CaptureFixture[str]
JUDGE = "judge:rehearsal-judge"


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ENGINE_RUNS_DIR", str(tmp_path / "runs"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "runs"


def told(capture: Capture) -> dict[str, object]:
    found = json.loads(capture.readouterr().out)
    assert isinstance(found, dict)
    return found


def annotated(folder: Path) -> Iterator[Conversation]:
    with closing(RunAnnotations(folder)) as stored:
        yield from open_dataset(folder, annotate=stored)


def configuration(path: Path, **changes: object) -> Path:
    path.write_text(yaml.safe_dump({"concurrency": 4, **changes}))
    return path


def assert_within(right: int, count: int, rate: float) -> None:
    """Five standard deviations of a binomial count around what a judge of this rate should get right."""
    expected = count * (1 - rate)
    assert abs(right - expected) <= 5 * math.sqrt(count * rate * (1 - rate)) + 1, (right, expected)


def agreements(conversations: Iterator[Conversation]) -> dict[str, list[bool]]:
    """For each kind whether each judgement is what is true."""
    said: dict[str, list[bool]] = {kind: [] for kind in ("intent", "hallucination", "satisfaction", "rating")}
    for each in conversations:
        for turn in each.turns:
            if intents := intents_of(turn.annotations, JUDGE):
                said["intent"].append(intents == (true_intent(turn.content, PAPER_INTENTS.labels),))
            if verdict := hallucination_of(turn.annotations, JUDGE):
                said["hallucination"].append(verdict.is_hallucinated == true_hallucination(turn.content))
            if satisfaction := find(turn.annotations, Kind.SATISFACTION, JUDGE):
                said["satisfaction"].append(satisfaction.value == true_satisfaction(turn.content))
        if ratings := ratings_of(each.annotations, JUDGE):
            truth = true_ratings(each.turns[0].content, {metric.name: metric.most for metric in METRICS})
            said["rating"].append(ratings == truth)
    return said


def test_judges_are_wrong_as_often_as_they_are_said_to_be(
    runs: Path, tmp_path: Path, capsys: Capture
) -> None:
    config = configuration(tmp_path / "c.yaml", concurrency=32, rehearsal={"judge_error_rate": 0.2}, limit=90)
    assert engine("run", config, "--run", "r", "--json") == 0
    names = "intent,hallucination,satisfaction,ratings"
    assert engine("annotate", "r", "--config", config, "--with", names) == 0
    said = agreements(annotated(runs / "r"))
    for kind, right in said.items():
        assert len(right) > (60 if kind == "rating" else 200), kind
        assert_within(sum(right), len(right), 0.2)
    config = configuration(config, rehearsal={"judge_error_rate": 0.0})
    assert engine("annotate", "r", "--config", config, "--with", "intent", "--judge", "perfect") == 0
    turns = (turn for each in annotated(runs / "r") for turn in each.turns)
    right = [
        intents_of(turn.annotations, "judge:perfect") == (true_intent(turn.content, PAPER_INTENTS.labels),)
        for turn in turns
        if intents_of(turn.annotations, "judge:perfect")
    ]
    assert len(right) > 200
    assert all(right)


def test_agreement_finds_the_known_error_rate_within_its_intervals(
    runs: Path, tmp_path: Path, capsys: Capture
) -> None:
    """Of 95 % intervals some miss; of eight, six or more hold the rate, and the middle of all is near it."""
    assert engine("run", "--limit", "44", "--run", "r", "--json") == 0
    config = configuration(tmp_path / "c.yaml", concurrency=32, rehearsal={"judge_error_rate": 0.2})
    judges = [word for n in range(8) for word in ("--judge", f"erring-{n}")]
    assert engine("annotate", "r", "--config", config, "--with", "intent", *judges) == 0
    config = configuration(config, rehearsal={"judge_error_rate": 0.0})
    assert engine("annotate", "r", "--config", config, "--with", "intent", "--judge", "perfect") == 0
    capsys.readouterr()
    assert engine("agreement", "r", "--kind", "intent", "--json") == 0
    (question,) = json.loads(capsys.readouterr().out)
    shares = [
        pair["coefficients"]["percent"]
        for pair in question["pairs"]
        if "judge:perfect" in (pair["first"], pair["second"])
    ]
    assert len(shares) == 8
    assert sum(share["low"] <= 0.8 <= share["high"] for share in shares) >= 6
    assert abs(sum(share["value"] for share in shares) / 8 - 0.8) < 0.03


def test_all_annotators_bring_what_they_should(runs: Path, capsys: Capture) -> None:
    assert engine("run", "--limit", "22", "--run", "r", "--json") == 0
    capsys.readouterr()
    assert engine("annotate", "r", "--with", "all", "--dry-run", "--json") == 0
    planned = told(capsys)
    assert engine("annotate", "r", "--with", "all", "--json") == 0
    facts = told(capsys)
    for stage, expected in planned.items():
        done = facts["stages"][stage]  # type: ignore[index]
        assert done["ended"] == {"done": expected["conversations"]}  # type: ignore[index]
        assert expected["calls"] <= done["calls"] <= 1.6 * expected["calls"] + 5  # type: ignore[index]
        assert done["prompt_tokens"] <= 1.7 * expected["prompt_tokens_at_most"]  # type: ignore[index]
    origins = set()
    for each in annotated(runs / "r"):
        if not each.is_kept:
            assert each.annotations == ()
            continue
        assert all(turn.translations["zh"] for turn in each.turns)
        summary = find(each.annotations, Kind.PREFERENCE_SUMMARY, JUDGE)
        assert summary is not None
        assert isinstance(summary.value, list)
        merged = summary.details["merged"]
        assert isinstance(merged, list)
        assert len(merged) == len(summary.value) == len(summary.details["origins"])  # type: ignore[arg-type]
        origins |= set(summary.details["origins"])  # type: ignore[call-overload]
        whole = find(each.annotations, Kind.TRANSLATION, JUDGE)
        assert whole is not None
        assert whole.value.keys() == {"language", "scenario", "profile"}  # type: ignore[attr-defined]
        assert find(each.annotations, Kind.RATING).rubric.startswith("ratings@")  # type: ignore[union-attr]
    assert origins == {"conversation", "profile:travel_habits", "profile:dining_preferences"}
    synonyms = facts["synonyms"]["rehearsal-judge"]  # type: ignore[index]
    assert all(note["left"] <= note["phrases"] for note in synonyms.values())
    assert sum(note["phrases"] - note["left"] for note in synonyms.values()) > 5
    before = (runs / "r" / JOURNAL_NAME).read_bytes()
    capsys.readouterr()
    assert engine("annotate", "r", "--with", "all") == 0
    assert "0 items annotated now" in capsys.readouterr().out
    assert len((runs / "r" / JOURNAL_NAME).read_bytes()) == len(before)
    assert engine("verify", "r") == 0
    assert engine("run", "--limit", "22", "--run", "r", "--json") == 0, "the run itself is not disturbed"


async def interrupt(journal: Path, calls: int, number: int, *command: str | Path) -> tuple[int | None, bytes]:
    """Start a command, send it a signal once it has journalled so many calls; its exit code and output."""
    before = calls_in(journal)
    process = await start_engine(*command)
    await until(lambda: calls_in(journal) > before + calls)
    process.send_signal(number)
    output, _ = await process.communicate()
    return process.returncode, output


def test_killed_again_and_again_it_ends_in_the_same_bytes(runs: Path, tmp_path: Path) -> None:
    assert engine("run", "--limit", "9", "--run", "a", "--json") == 0
    shutil.copytree(runs / "a", runs / "b")
    slow = configuration(tmp_path / "slow.yaml", concurrency=4, rehearsal={"latency_s": 0.01})
    names = ("--with", "intent,preferences,translation", "--config")
    journal = runs / "a" / JOURNAL_NAME
    for _ in range(2):
        code, _ = asyncio.run(interrupt(journal, 25, signal.SIGKILL, "annotate", "a", *names, slow))
        assert code == -9
    exports = []
    fast = configuration(tmp_path / "fast.yaml", concurrency=16)
    for name in ("a", "b"):
        out = tmp_path / f"{name}.jsonl"
        assert engine("annotate", name, *names, fast) == 0
        assert engine("annotate", name, "--export", out) == 0
        exports.append(out.read_bytes())
    assert exports[0] == exports[1]
    assert exports[0].count(b"\n") > 80
    reader = Reader(journal)
    keys = [(c.stage, c.item, c.step, c.attempt) for c in reader.calls_from(1) if c.kind == "reply"]
    reader.close()
    assert len(keys) == len(set(keys)), "a reply was bought twice"


def calls_in(journal: Path) -> int:
    with closing(Reader(journal)) as reader:
        return reader.last()[0]


def test_a_signal_stops_it_in_order_and_the_same_command_goes_on(runs: Path, tmp_path: Path) -> None:
    assert engine("run", "--limit", "6", "--run", "r", "--json") == 0
    slow = configuration(tmp_path / "slow.yaml", concurrency=2, rehearsal={"latency_s": 0.05})
    command = ("annotate", "r", "--with", "translation")
    journal = runs / "r" / JOURNAL_NAME
    code, output = asyncio.run(interrupt(journal, 5, signal.SIGTERM, *command, "--config", slow))
    assert code == 143, output
    assert b"the same command goes on" in output
    assert engine(*command) == 0


def test_another_prompt_is_refused_and_another_judge_is_not(
    runs: Path, tmp_path: Path, capsys: Capture
) -> None:
    assert engine("run", "--limit", "4", "--run", "r", "--json") == 0
    assert engine("annotate", "r", "--with", "ratings", "--limit", "2") == 0
    shutil.copytree(ROOT / "templates" / "_annotation", tmp_path / "templates" / "_annotation")
    system = tmp_path / "templates" / "_annotation" / "ratings" / "system.jinja"
    system.write_text(system.read_text("utf-8").replace("You rate", "Please rate"), "utf-8")
    calls = calls_in(runs / "r" / JOURNAL_NAME)
    capsys.readouterr()
    assert engine("annotate", "r", "--with", "intent,ratings") == 78
    said = capsys.readouterr().err
    assert "template ratings/system" in said
    assert "name another judge" in said
    assert calls_in(runs / "r" / JOURNAL_NAME) == calls
    assert engine("annotate", "r", "--with", "ratings", "--judge", "second") == 0
    rubrics = {
        (a.author, a.rubric)
        for each in annotated(runs / "r")
        for a in each.annotations
        if a.kind == Kind.RATING
    }
    assert {author for author, _ in rubrics} == {JUDGE, "judge:second"}
    assert len({rubric for _, rubric in rubrics}) == 2


def test_presets_of_a_configuration_are_judges(runs: Path, tmp_path: Path, capsys: Capture) -> None:
    assert engine("run", "--limit", "4", "--run", "r", "--json") == 0
    presets = {
        "strict": {"model": "judge-large", "temperature": 0.0, "context_tokens": 4096, "max_tokens": 256}
    }
    config = configuration(tmp_path / "c.yaml", presets=presets)
    assert engine("annotate", "r", "--with", "intent", "--config", config, "--judge", "strict") == 0
    capsys.readouterr()
    endpoints = {"a": {"base_url": "http://127.0.0.1:9/v1"}}
    config = configuration(tmp_path / "c.yaml", endpoints=endpoints)
    assert engine("annotate", "r", "--with", "intent", "--config", config) == 78
    assert "set stages.judge.model" in capsys.readouterr().err
    assert engine("annotate", "r", "--with", "intent", "--config", config, "--judge", "strict") == 2
    assert "no preset or stage 'strict'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "--with NAME"),
        (("--with", "mood"), "no annotator 'mood'"),
        (("--with", ","), "name at least one"),
        (("--with", "intent", "--export", "f.csv"), "give one of"),
    ],
)
def test_what_cannot_be_asked_is_refused(
    runs: Path, capsys: Capture, arguments: tuple[str, ...], words: str
) -> None:
    assert engine("run", "--limit", "1", "--run", "r", "--json") == 0
    assert engine("annotate", "r", *arguments) == 2
    assert words in capsys.readouterr().err


def test_people_and_judges_are_read_alike(runs: Path, tmp_path: Path, capsys: Capture) -> None:
    assert engine("run", "--limit", "3", "--run", "r", "--json") == 0
    assert engine("annotate", "r", "--with", "intent") == 0
    first = next(each for each in open_dataset(runs / "r") if each.is_kept).conversation_id
    said = tmp_path / "ada.csv"
    said.write_text(f"kind,conversation,turn,value\nintent,{first},0,Search\nintent,{first},2,Planning\n")
    assert engine("annotate", "r", "--import", said) == 65
    assert "names no author" in capsys.readouterr().err
    assert engine("annotate", "r", "--import", said, "--author", "ada") == 0
    said.write_text(f"kind,conversation,turn,value\nintent,{first},77,Search\n")
    assert engine("annotate", "r", "--import", said, "--author", "ada") == 65
    opening = next(each for each in annotated(runs / "r") if each.conversation_id == first).turns[0]
    assert intents_of(opening.annotations, "human:ada") == ("Search",)
    assert len({annotation.author for annotation in opening.annotations}) == 2
    assert engine("annotate", "r", "--export", tmp_path / "all.jsonl") == 0
    assert engine("annotate", "r", "--export", tmp_path / "hers.csv", "--author", "human:ada") == 0
    assert len((tmp_path / "hers.csv").read_text().splitlines()) == 3
    lines = [orjson.loads(line) for line in (tmp_path / "all.jsonl").read_bytes().splitlines()]
    assert {line["author"] for line in lines} == {JUDGE, "human:ada"}


def test_parts_that_were_annotated_apart_are_merged_with_what_was_said(
    runs: Path, tmp_path: Path, capsys: Capture
) -> None:
    for name, task in (("one", "gifts"), ("two", "travel")):
        assert engine("run", "--task", task, "--limit", "3", "--run", name, "--json") == 0
        assert engine("annotate", name, "--with", "ratings") == 0
    capsys.readouterr()
    assert engine("runs", "merge", "both", "one", "two") == 0
    capsys.readouterr()
    assert engine("annotate", "both", "--with", "ratings", "--json") == 0
    assert told(capsys)["now"]["ratings@rehearsal-judge"]["ended"] == {}  # type: ignore[index]
    assert sum(bool(ratings_of(each.annotations)) for each in annotated(runs / "both")) > 3


@pytest.mark.skipif(not REFERENCE.is_dir(), reason="needs ../shared/reference")
def test_an_import_is_annotated_by_its_own_labels_and_long_ones_are_cut(
    runs: Path, tmp_path: Path, capsys: Capture
) -> None:
    for part, name in (("recllmsim-human", "human"), ("recllmsim-conversations", "llm")):
        with gzip.open(REFERENCE / f"{part}.jsonl.gz") as file:
            (tmp_path / f"{name}.jsonl").write_bytes(b"".join(islice(file, 12)))
        assert engine("import", f"{name}.jsonl", "--name", name, "--json") == 0
    presets = {"small": {"model": "small", "context_tokens": 1200, "max_tokens": 300}}
    config = configuration(tmp_path / "c.yaml", presets=presets)
    capsys.readouterr()
    for name in ("human", "llm"):
        command = ("annotate", name, "--with", "intent,ratings", "--config", config, "--judge", "small")
        assert engine(*command, "--dry-run", "--json") == 0
        assert told(capsys)["ratings@small"]["cut"] > 0  # type: ignore[index]
        assert engine(*command, "--json") == 0
        capsys.readouterr()
        cut = 0
        for each in annotated(runs / name):
            labels = (
                each.label_sets[Kind.INTENT].labels
                if Kind.INTENT in each.label_sets
                else PAPER_INTENTS.labels
            )
            for turn in each.turns:
                if turn.role is Role.USER and turn.content.strip():
                    assert set(intents_of(turn.annotations, "judge:small")) <= set(labels)
                    assert intents_of(turn.annotations, "judge:small")
            rating = find(each.annotations, Kind.RATING, "judge:small")
            assert rating is not None
            cut += bool(rating.details.get("cut"))
        assert cut > 3
        assert engine("stats", name, "--json") == 0
        capsys.readouterr()


@pytest.mark.parametrize("edited", [b"{", b"[]", b"\xff"])
def test_a_summary_that_somebody_edited_is_left_alone(runs: Path, edited: bytes) -> None:
    assert engine("run", "--run", "r", "--limit", "2") == 0
    summary = runs / "r" / "summary.json"
    summary.write_bytes(edited)
    assert engine("annotate", "r", "--with", "intent") == 0
    assert summary.read_bytes() == edited
