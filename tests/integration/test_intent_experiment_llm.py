"""`engine experiment intents --llm`: asked over real HTTP, into Table 4, each answer paid for once."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import orjson
import pytest
import yaml
from anyio.from_thread import start_blocking_portal
from tests.doubles.command_line import engine
from tests.doubles.labelled_conversations import as_reference, labelled

from engine.rehearsal.judge import true_intent
from engine.rehearsal.replies import Reply
from engine.rehearsal.server import RehearsalServer, serve
from engine.rehearsal.settings import RehearsalSettings
from engine.schema.annotation import PAPER_INTENTS
from engine.schema.dataset import Conversation

Capture = pytest.CaptureFixture[str]
Replier = Callable[[dict[str, object], bytes], Reply | None]
ERROR_RATE = 0.25


def truly_labelled(count: int) -> list[Conversation]:
    """Conversations whose intents are those that the rehearsal's judge means to give."""

    def with_truth(each: Conversation) -> Conversation:
        turns = tuple(
            replace(
                turn,
                annotations=tuple(
                    replace(a, value=[true_intent(turn.content, PAPER_INTENTS.labels)])
                    for a in turn.annotations
                ),
            )
            for turn in each.turns
        )
        return replace(each, turns=turns)

    return [with_truth(each) for each in labelled(count)]


@contextmanager
def served(replier: Replier | None = None) -> Iterator[RehearsalServer]:
    settings = RehearsalSettings(judge_error_rate=ERROR_RATE)
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(serve(settings, replier=replier)) as server,
    ):
        yield server


def rows_of(out: Path) -> dict[tuple[str, str], dict[str, str]]:
    with (out / "table4.csv").open(encoding="utf-8", newline="") as file:
        return {(row["model"], row["mode"]): row for row in csv.DictReader(file)}


def arguments(data: Path, out: Path, *more: str | Path) -> list[str | Path]:
    return ["experiment", "intents", data, "--model", "BernoulliNB", "--out", out, *more]


def test_an_llm_is_scored_as_its_known_error_rate_says_and_claims_are_judged(
    tmp_path: Path, capsys: Capture
) -> None:
    data = as_reference(truly_labelled(400), tmp_path / "gifts.jsonl")
    prices = {"m": {"input": 1.0, "output": 2.0}}
    out = tmp_path / "out"
    with served() as server:
        config = tmp_path / "engine.yaml"
        endpoints = {"lab": {"base_url": server.base_url}}
        presets = {"mine": {"endpoint": "lab", "model": "m", "structured": "json_object"}}
        config.write_text(yaml.safe_dump({"endpoints": endpoints, "presets": presets, "prices": prices}))
        command = arguments(data, out, "--config", config, "--llm", "mine", "--seeds", "1")
        assert engine(*command) == 0
    said = capsys.readouterr().out
    assert "name no intent and count as wrong" in said
    rows = rows_of(out)
    for mode in ("zero-shot", "few-shot"):
        row = rows["mine", mode]
        right = (1 - ERROR_RATE) * (1 - 0.2 * ERROR_RATE)
        assert abs(float(row["accuracy"]) - right) < 3 * (right * (1 - right) / 120) ** 0.5
        assert 0 < int(row["unanswered"]) < 20
    cells = [json.loads(path.read_bytes()) for path in (out / "cells").glob("*.json")]
    notes = [cell["notes"] for cell in cells if cell["key"]["model"]["group"] == "llm"]
    for note in notes:
        spent = note["prompt_tokens"] * 1e-6 + note["completion_tokens"] * 2e-6
        assert note["cost_usd"] == pytest.approx(spent)
        assert spent > 0
        assert note["served_models"] == ["m"]
    verdicts = json.loads((out / "intents.json").read_bytes())["splits"][0]["claims"]
    assert verdicts[3]["verdict"] != "not run"
    first = {path.name: path.read_bytes() for path in out.iterdir() if path.suffix in (".csv", ".md")}
    # Everything is found: the server is gone.
    assert engine(*command, "--json") == 0
    assert json.loads(capsys.readouterr().out)["made"] == 0
    assert {name: (out / name).read_bytes() for name in first} == first


def test_a_stop_costs_nothing_and_no_utterance_is_paid_for_twice(tmp_path: Path, capsys: Capture) -> None:
    data, out = as_reference(labelled(100), tmp_path / "gifts.jsonl"), tmp_path / "out"
    paid: list[bytes] = []
    is_used_up = True

    def reply(request: dict[str, object], raw: bytes) -> Reply | None:
        if is_used_up and len(paid) == 12:
            error = {"message": "You exceeded your current quota.", "code": "insufficient_quota"}
            return Reply(429, orjson.dumps({"error": error}))
        paid.append(orjson.dumps(request["messages"]))
        return None

    with served(reply) as server:
        more = ("--llm", "m", "--base-url", server.base_url, "--concurrency", "3", "--mode", "zero-shot")
        command = arguments(data, out, *more, "--split", "utterance", "--split", "profile", "--seeds", "2")
        assert engine(*command) == 75
        assert "quota is used up" in capsys.readouterr().err
        is_used_up = False
        assert engine(*command) == 0
    # Four cells of 30 samples, of which parts overlap: each text was asked about once.
    assert len(set(paid)) == len(paid) < 120
    assert rows_of(out)["m", "zero-shot"]["cells"] == "2"


def test_calls_that_failed_leave_the_row_without_figures_until_they_are_answered(
    tmp_path: Path, capsys: Capture
) -> None:
    data, out = as_reference(labelled(40), tmp_path / "gifts.jsonl"), tmp_path / "out"
    fails = True

    def reply(request: dict[str, object], raw: bytes) -> Reply | None:
        if fails and sum(raw) % 4 == 0:
            return Reply(400, orjson.dumps({"error": {"message": "No."}}))
        return None

    with served(reply) as server:
        more = ("--llm", "m", "--base-url", server.base_url, "--seeds", "1", "--mode", "few-shot")
        assert engine(*arguments(data, out, *more)) == 0
        assert "calls failed; the same command asks again)" in capsys.readouterr().out
        row = rows_of(out)["m", "few-shot"]
        assert (row["cells"], row["accuracy"]) == ("", "")
        assert "calls failed" in row["cannot_run"]
        fails = False
        assert engine(*arguments(data, out, *more, "--test-limit", "5")) == 0
        assert engine(*arguments(data, out, *more)) == 0
    assert rows_of(out)["m", "few-shot"]["cells"] == "1"


def test_the_rehearsal_answers_offline_and_says_what_it_is(tmp_path: Path, capsys: Capture) -> None:
    data, out = as_reference(labelled(40), tmp_path / "gifts.jsonl"), tmp_path / "out"
    assert engine(*arguments(data, out, "--llm", "rehearsal", "--seeds", "1", "--test-limit", "6")) == 0
    assert "canned answers, which say nothing about any model" in capsys.readouterr().out
    verdicts = json.loads((out / "intents.json").read_bytes())["splits"][0]["claims"]
    assert {claim["verdict"] for claim in verdicts} == {"not run"}


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--llm", "gpt-4o"], "no endpoint is named that has this model"),
        (["--base-url", "http://127.0.0.1:1/v1"], "no model is named that is asked there"),
        (["--llm", "a", "--llm", "b", "--local"], "--local serves one model"),
        (["--llm", "m", "--mode", "fine-tuned"], "LLMs are used zero-shot or few-shot"),
    ],
)
def test_what_cannot_be_asked_is_refused(
    tmp_path: Path, capsys: Capture, more: list[str], message: str
) -> None:
    data = as_reference(labelled(20), tmp_path / "gifts.jsonl")
    assert engine(*arguments(data, tmp_path / "out", *more)) == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_a_preset_without_an_endpoint_is_not_answered_by_the_rehearsal(tmp_path: Path) -> None:
    data = as_reference(labelled(20), tmp_path / "gifts.jsonl")
    config = tmp_path / "engine.yaml"
    config.write_text(yaml.safe_dump({"presets": {"mine": {"model": "gpt-4o"}}}))
    assert engine(*arguments(data, tmp_path / "out", "--llm", "mine", "--config", config)) == 2


def test_a_model_that_several_endpoints_may_have_needs_a_preset(tmp_path: Path, capsys: Capture) -> None:
    data = as_reference(labelled(20), tmp_path / "gifts.jsonl")
    config = tmp_path / "engine.yaml"
    endpoints = {name: {"base_url": "http://127.0.0.1:1/v1"} for name in ("a", "b")}
    config.write_text(yaml.safe_dump({"endpoints": endpoints}))
    assert engine(*arguments(data, tmp_path / "out", "--llm", "m", "--config", config)) == 2
    assert "several endpoints and no preset 'm'" in " ".join(capsys.readouterr().err.split())


def test_a_mode_that_is_named_twice_is_run_once(tmp_path: Path) -> None:
    data, out = as_reference(truly_labelled(20), tmp_path / "gifts.jsonl"), tmp_path / "out"
    more = ("--llm", "rehearsal", "--seeds", "1", "--mode", "zero-shot", "--mode", "zero-shot")
    assert engine(*arguments(data, out, *more)) == 0
    assert rows_of(out)["rehearsal", "zero-shot"]["cells"] == "1"
