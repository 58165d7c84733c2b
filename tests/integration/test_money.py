"""Money with real parts: a server that keeps its own bill, and commands that must never exceed it."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from random import Random

import orjson
import pytest
import yaml
from anyio.from_thread import start_blocking_portal
from tests.doubles.command_line import engine, run_engine, start_engine

from engine.journal.run_lock import RunLock
from engine.rehearsal.replies import Reply
from engine.rehearsal.server import RehearsalServer, serve

Capture = pytest.CaptureFixture[str]
# USD per million tokens; as micro-USD a token.
PRICES = {
    "s": {"input": 3.0, "cached_input": 0.5, "output": 12.0},
    "a": {"input": 5.0, "cached_input": 2.5, "output": 20.0},
    "j": {"input": 1.0, "output": 4.0},
}
PLANNED = 20


class Till:
    """Answers alike to alike requests, and writes each on the bill: also those whose client has gone."""

    def __init__(self) -> None:
        self.micro_usd = 0.0
        self.tokens = 0
        self.requests = 0
        self.fails = False
        self.seen: set[bytes] = set()
        self.delay_s = 0.0
        self.process: asyncio.subprocess.Process | None = None
        self.kill_at = 0

    def __call__(self, request: dict[str, object], raw: bytes) -> Reply:
        self.requests += 1
        random = Random(raw)
        model = str(request["model"])
        asked, said = len(raw) // 5, random.randint(20, 300)
        cached = asked // 2
        if self.process is not None and self.requests >= self.kill_at:
            with suppress(ProcessLookupError):
                self.process.kill()
            self.process = None
        is_first = raw not in self.seen
        self.seen.add(raw)
        fate = random.random() if self.fails and is_first else 1.0
        if fate < 0.05:
            return Reply(500, b"{}")
        self.tokens += asked + said
        price = PRICES[model]
        self.micro_usd += (asked - cached) * price["input"] + said * price["output"]
        self.micro_usd += cached * price.get("cached_input", price["input"])
        if fate < 0.15:
            return Reply(504, b"{}")  # it was worked on, and nobody is told
        text = (
            '{"intent": "inquiry"}'
            if model == "j"
            else f"This is number {random.random()}, a turn of {model}."
        )
        usage = {
            "prompt_tokens": asked, "completion_tokens": said,
            "prompt_tokens_details": {"cached_tokens": cached},
        }  # fmt: skip
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        body = orjson.dumps({"model": model, "choices": [choice], "usage": usage})
        return Reply(200, body, delay_s=self.delay_s * random.random())

    @property
    def usd(self) -> float:
        return self.micro_usd / 1e6


def configure(folder: Path, server: RehearsalServer, **more: object) -> Path:
    stages = {"simulator": "s", "assistant": "a", "judge": "j", "intent": "j"}
    config = {
        "limit": PLANNED, "concurrency": 4, "conversation": {"max_rounds": 3}, "prices": PRICES,
        "retry_attempts": 20, "validation": {"enabled": False},
        "endpoints": {"default": {"base_url": server.base_url}},
        "stages": {name: {"model": model, "max_tokens": 300} for name, model in stages.items()},
        **more,
    }  # fmt: skip
    path = folder / "engine.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


@pytest.fixture
def till() -> Till:
    return Till()


@pytest.fixture
def config(tmp_path: Path, till: Till, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("ENGINE_RUNS_DIR", str(tmp_path / "runs"))
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(serve(replier=till)) as server:
        yield configure(tmp_path, server)


def test_the_command_that_goes_on_finds_a_run_that_lies_elsewhere(
    config: Path, tmp_path: Path, capsys: Capture
) -> None:
    elsewhere = tmp_path / "not here" / "apart"
    assert engine("run", config, "--run", "apart", "--runs-dir", elsewhere.parent,
                  "--max-tokens", "3000") == 75  # fmt: skip
    [said] = re.findall("engine (resume .* --max-tokens [0-9]+)", capsys.readouterr().err)
    assert str(elsewhere) in said
    assert engine(*shlex.split(said)) in (0, 75)
    lock = RunLock(elsewhere)
    lock.take()
    try:
        assert engine("resume", elsewhere) == 75
    finally:
        lock.release()
    [said] = re.findall("`engine (status .*)` shows", capsys.readouterr().err)
    assert engine(*shlex.split(said)) == 0


def summary(folder: Path, name: str) -> dict[str, object]:
    found = orjson.loads((folder / "runs" / name / "summary.json").read_bytes())
    assert isinstance(found, dict)
    return found


def test_a_run_stops_below_its_limit_and_goes_on_with_a_higher_one_to_the_same_bytes(
    config: Path, till: Till, tmp_path: Path, capsys: Capture
) -> None:
    assert engine("run", config, "--run", "whole") == 0
    price, requests = till.usd, till.requests
    cost = summary(tmp_path, "whole")["cost"]
    assert isinstance(cost, dict)
    assert cost["usd"] == pytest.approx(price)
    assert {(row["side"], row["model"]) for row in cost["by_model"]} == {("user", "s"), ("assistant", "a")}
    till.micro_usd = till.requests = 0
    capsys.readouterr()
    for share, command in ((0.3, ("run", config, "--run", "parts")), (0.6, ("resume", "parts"))):
        assert engine(*command, "--max-cost", f"{share * price:.6f}") == 75
        said = capsys.readouterr().err
        assert "the budget is used up" in said
        assert "engine resume parts --max-cost" in said
        # Never over, and used up but for what four calls in the air could have come to.
        assert share * price - 0.05 < till.usd <= share * price
    # The limit stays where a later command does not repeat it.
    assert engine("run", config, "--run", "parts") == 75
    assert till.usd <= 0.6 * price
    assert engine("resume", "parts", "--max-cost", "100") == 0
    assert till.usd == pytest.approx(price)
    assert till.requests == requests
    runs = tmp_path / "runs"
    assert (runs / "parts" / "conversations.jsonl").read_bytes() == (
        runs / "whole" / "conversations.jsonl"
    ).read_bytes()
    capsys.readouterr()
    assert engine("status", "parts", "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["cost_usd"] == pytest.approx(price)
    assert (facts["max_cost_usd"], facts["remaining_cost_usd"]) == (100.0, 0.0)
    assert engine("status", "parts", "--watch") == 0
    assert f"{price:.4f} USD" in capsys.readouterr().out


def test_tokens_are_a_limit_of_their_own(config: Path, till: Till, capsys: Capture) -> None:
    assert engine("run", config, "--run", "r", "--max-tokens", "20000") == 75
    assert 15_000 < till.tokens <= 20_000
    assert "engine resume r --max-tokens" in capsys.readouterr().err


def test_the_limit_covers_all_stages(config: Path, till: Till, tmp_path: Path, capsys: Capture) -> None:
    assert engine("run", config, "--run", "r") == 0
    talk = till.usd
    limit = talk + 0.01
    capsys.readouterr()
    judge = ("annotate", "r", "--with", "intent", "--max-cost", f"{limit:.6f}")
    assert engine(*judge) == 75
    said = capsys.readouterr()
    assert talk < till.usd <= limit
    assert "the same command with --max-cost" in said.err
    assert f"the run has cost {till.usd:.4f} USD" in said.out
    cost = summary(tmp_path, "r")["cost"]
    assert isinstance(cost, dict)
    assert cost["usd"] == pytest.approx(till.usd)
    assert "intent@j" in {row["stage"] for row in cost["by_model"]}


def test_money_without_a_price_is_refused_before_anything_is_there(
    config: Path, till: Till, tmp_path: Path, capsys: Capture
) -> None:
    settings = yaml.safe_load(config.read_text())
    del settings["prices"]["a"]
    config.write_text(yaml.safe_dump(settings))
    for more in ((), ("--dry-run",)):
        assert engine("run", config, "--run", "r", "--max-cost", "1", *more) == 78
        assert "nobody knows that of 'a', which is asked" in capsys.readouterr().err
    assert till.requests == 0
    assert not (tmp_path / "runs").exists()
    # Without a limit it runs, and says whose cost is not known.
    assert engine("run", config, "--run", "r", "--limit", "2") == 0
    assert "without a, whose price is not known" in capsys.readouterr().out
    cost = summary(tmp_path, "r")["cost"]
    assert isinstance(cost, dict)
    assert (cost["usd"], cost["models_without_price"]) == (None, ["a"])


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf"])
def test_what_is_no_limit_is_refused(config: Path, value: str, capsys: Capture) -> None:
    assert engine("run", config, "--max-cost", value) == 2
    assert f"--max-cost (it is {float(value)})" in capsys.readouterr().err


def test_an_estimate_from_a_pilot_holds(config: Path, till: Till, capsys: Capture) -> None:
    assert engine("estimate", config, "--run", "r") == 65
    assert "--pilot 22" in capsys.readouterr().err
    assert engine("estimate", config, "--run", "r", "--pilot", "10", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    pilot, asked = till.usd, till.requests
    assert (found["planned"], found["ended"]) == (PLANNED, 10)
    assert found["cost_so_far"]["usd"] == pytest.approx(pilot)
    assert engine("estimate", config, "--run", "r", "--max-cost", "9") == 0
    said = capsys.readouterr().out
    for part in (
        "10 of 20 conversations have ended",
        "USD to come",
        "at least, because of",
        "rests on 10 ended",
    ):
        assert part in said
    assert till.requests == asked
    assert engine("run", config, "--run", "r") == 0
    to_come = found["cost_usd_to_come"]
    assert 0.9 * to_come["low"] <= till.usd - pilot <= 1.1 * to_come["high"]


def test_a_pilot_that_is_stopped_by_its_budget_says_so(config: Path, capsys: Capture) -> None:
    assert engine("estimate", config, "--run", "r", "--pilot", "10", "--max-cost", "0.02") == 75
    assert "the budget is used up" in capsys.readouterr().err


@pytest.mark.asyncio
async def test_neither_kills_nor_failures_pay_more_than_the_limit(tmp_path: Path) -> None:
    till, random = Till(), Random(11)
    till.fails, till.delay_s = True, 0.01
    async with serve(replier=till) as server:
        config = configure(tmp_path, server)
        limit = 0.3  # well below what the plan costs, however the kills fall
        command = ("run", config, "--run", "r", "--runs-dir", tmp_path, "--max-cost", str(limit))
        codes = []
        for _ in range(2):
            process = await start_engine(*command)
            till.process, till.kill_at = process, till.requests + random.randint(5, 25)
            await process.communicate()
            codes.append(process.returncode)
            assert till.usd <= limit
        code, output = await run_engine(*command)
        assert till.usd <= limit
        assert -9 in codes
        assert code == 75, output
        assert "possibly paid for" in output
        till.fails = False
        code, output = await run_engine("resume", "r", "--runs-dir", tmp_path, "--max-cost", "50")
        assert code == 0, output
    found = orjson.loads((tmp_path / "r" / "summary.json").read_bytes())["cost"]
    # What is certain is less than the bill, and with what may have been paid it is more.
    assert found["usd"] <= till.usd <= found["usd"] + found["possibly_usd_at_most"]
