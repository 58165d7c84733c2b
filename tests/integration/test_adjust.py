"""Limits, concurrency and pauses of a run that goes on in another process."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml
from tests.doubles.command_line import engine, records, run_engine, start_engine
from tests.doubles.waiting import until

from engine.config.endpoint_settings import LimitSettings
from engine.journal.run_lock import RunLock, find_holder
from engine.rehearsal.replies import Reply
from engine.rehearsal.server import RehearsalServer, serve
from engine.rehearsal.settings import Fixed, RehearsalSettings
from engine.runner.adjust import Adjustment, adjust
from engine.runner.run_folder import RunFolder

LIMIT = 66


class Watcher:
    """Sees every request: how many came, and the most that were in the air at once since `forget`."""

    def __init__(self) -> None:
        self.seen = 0
        self.most_in_flight = 0
        self.server: RehearsalServer

    def __call__(self, request: dict[str, object], raw: bytes) -> Reply | None:
        self.seen += 1
        self.most_in_flight = max(self.most_in_flight, self.server.stats.in_flight)
        return None

    def forget(self) -> None:
        self.most_in_flight = 0


def run_of(server: RehearsalServer, runs: Path, concurrency: int) -> tuple[str | Path, ...]:
    return (
        "run", "--run", "live", "--limit", str(LIMIT), "--concurrency", str(concurrency), "--base-url",
        server.base_url, "--simulator", "s", "--assistant", "a", "--runs-dir", runs,
    )  # fmt: skip


def events(runs: Path) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in (runs / "live/events.jsonl").read_bytes().splitlines()]


def happened(runs: Path, name: str) -> bool:
    return any(event["event"] == name for event in events(runs))


@pytest.mark.asyncio
async def test_a_pause_sends_nothing_and_going_on_loses_nothing(tmp_path: Path) -> None:
    watcher = Watcher()
    async with serve(RehearsalSettings(delay=Fixed(0.02)), replier=watcher) as server:
        watcher.server = server
        process = await start_engine(*run_of(server, tmp_path, 8))
        await until(lambda: watcher.seen > 40)
        assert engine("adjust", "live", "--pause", "--runs-dir", tmp_path) == 0
        await until(lambda: happened(tmp_path, "run.paused") and server.stats.in_flight == 0)
        seen = watcher.seen
        code, output = await run_engine("status", "live", "--json", "--runs-dir", tmp_path)
        assert code == 0
        assert orjson.loads(output)["state"] == "paused"
        assert watcher.seen == seen, "a paused run sent a request"
        assert engine("adjust", "live", "--go-on", "--runs-dir", tmp_path) == 0
        await process.communicate()
    assert process.returncode == 0
    assert {record["end_reason"] for record in records(tmp_path / "live/conversations.jsonl")} <= {
        "goodbye", "max_rounds", "refused", "context_full",
    }  # fmt: skip
    assert happened(tmp_path, "run.unpaused")


@pytest.mark.asyncio
async def test_a_paused_run_stops_at_a_signal_and_goes_on_with_a_resume(tmp_path: Path) -> None:
    watcher = Watcher()
    async with serve(RehearsalSettings(delay=Fixed(0.02)), replier=watcher) as server:
        watcher.server = server
        process = await start_engine(*run_of(server, tmp_path, 8))
        await until(lambda: watcher.seen > 40)
        assert engine("adjust", "live", "--pause", "--runs-dir", tmp_path) == 0
        await until(lambda: happened(tmp_path, "run.paused"))
        process.send_signal(signal.SIGTERM)
        await process.communicate()
        assert process.returncode == 143
        code, output = await run_engine("resume", "live", "--runs-dir", tmp_path)
    assert code == 0, output
    assert len(records(tmp_path / "live/conversations.jsonl")) == LIMIT


@pytest.mark.asyncio
async def test_concurrency_and_limits_follow_at_once(tmp_path: Path) -> None:
    watcher = Watcher()
    async with serve(RehearsalSettings(delay=Fixed(0.05)), replier=watcher) as server:
        watcher.server = server
        process = await start_engine(*run_of(server, tmp_path, 2))
        await until(lambda: watcher.seen > 10)
        assert watcher.most_in_flight <= 2
        assert engine("adjust", "live", "--concurrency", "12", "--runs-dir", tmp_path) == 0
        await until(lambda: watcher.most_in_flight == 12)
        assert engine("adjust", "live", "--max-in-flight", "3", "--runs-dir", tmp_path) == 0
        await until(lambda: happened(tmp_path, "run.adjusted") and server.stats.in_flight <= 3)
        watcher.forget()
        seen = watcher.seen
        await until(lambda: watcher.seen > seen + 30)
        assert watcher.most_in_flight == 3
        assert engine("adjust", "live", "--max-in-flight", "0", "--runs-dir", tmp_path) == 0
        await process.communicate()
    assert process.returncode == 0
    limits = [event["limits"]["max_in_flight"] for event in events(tmp_path) if "limits" in event]
    assert limits == [3, None]


@pytest.mark.asyncio
async def test_limits_that_could_never_admit_a_request_are_refused_and_not_written(tmp_path: Path) -> None:
    watcher = Watcher()
    async with serve(RehearsalSettings(delay=Fixed(0.02)), replier=watcher) as server:
        watcher.server = server
        process = await start_engine(*run_of(server, tmp_path, 4))
        await until(lambda: watcher.seen > 40)
        before = (tmp_path / "live/run.yaml").read_bytes()
        for limit in ("1024", "1100"):  # a reply alone; a reply and less than any prompt
            code, output = await run_engine(
                "adjust", "live", "--tokens-per-min", limit, "--runs-dir", tmp_path
            )
            assert code == 2, output
            assert "one call of this run reserves up to" in output
        assert (tmp_path / "live/run.yaml").read_bytes() == before
        await process.communicate()
    assert process.returncode == 0
    assert not happened(tmp_path, "run.adjust_refused")


@pytest.mark.asyncio
async def test_an_idle_run_takes_no_limit_that_would_stop_its_resume(tmp_path: Path) -> None:
    async with serve() as server:
        command = run_of(server, tmp_path, 4)
        assert (await run_engine(*command, "--limit", "3"))[0] == 0
        before = (tmp_path / "live/run.yaml").read_bytes()
        code, output = await run_engine("adjust", "live", "--tokens-per-min", "1100", "--runs-dir", tmp_path)
        assert code == 2, output
        assert (tmp_path / "live/run.yaml").read_bytes() == before
        at_least = int(output.split("reserves up to ")[1].split()[0].replace(",", ""))
        refused = ("adjust", "live", "--tokens-per-min", str(at_least - 1), "--runs-dir", tmp_path)
        assert (await run_engine(*refused))[0] == 2
        taken = ("adjust", "live", "--tokens-per-min", str(at_least), "--runs-dir", tmp_path)
        assert (await run_engine(*taken))[0] == 0


@pytest.mark.asyncio
async def test_changes_at_one_moment_are_all_kept(tmp_path: Path) -> None:
    async with serve() as server:
        assert (await run_engine(*run_of(server, tmp_path, 4), "--limit", "2"))[0] == 0
    folder = RunFolder(tmp_path / "live")
    settings = {"requests_per_min": 60, "tokens_per_min": 90_000, "max_in_flight": 7}
    wanted = [Adjustment(limits={key: value}) for key, value in settings.items()]
    wanted.append(Adjustment(concurrency=5))
    for _ in range(5):
        adjust(folder, Adjustment(concurrency=4, limits=dict.fromkeys(settings, 0)))
        with ThreadPoolExecutor(len(wanted)) as pool:
            list(pool.map(lambda one: adjust(folder, one), wanted))
        config, _ = folder.read_live_settings()
        assert config.endpoints["default"].limits == LimitSettings.model_validate(settings)
        assert config.concurrency == 5
    assert not list(folder.path.glob("*.part"))


def tokens_of(runs: Path) -> int:
    usage = orjson.loads((runs / "live/summary.json").read_bytes())["usage"]
    return int(usage["prompt_tokens"] + usage["completion_tokens"])


@pytest.mark.asyncio
async def test_a_budget_that_comes_while_a_run_goes_on_is_kept_over_all_its_sessions(tmp_path: Path) -> None:
    watcher = Watcher()
    async with serve(RehearsalSettings(delay=Fixed(0.02)), replier=watcher) as server:
        watcher.server = server
        command = run_of(server, tmp_path, 4)
        process = await start_engine(*command)
        await until(lambda: watcher.seen > 30)
        process.send_signal(signal.SIGTERM)
        await process.communicate()
        spent, seen = tokens_of(tmp_path), watcher.seen
        # This session knows nothing of what the first one spent, until there is a limit.
        process = await start_engine(*command)
        await until(lambda: watcher.seen > seen + 20)
        limit = 2 * spent + 40_000
        assert engine("adjust", "live", "--max-tokens", str(limit), "--runs-dir", tmp_path) == 0
        await process.communicate()
        assert process.returncode == 75
        assert spent < tokens_of(tmp_path) <= limit
        (change,) = [event for event in events(tmp_path) if "budget" in event]
        assert change["budget"]["max_tokens"] == limit
        code, output = await run_engine("resume", "live", "--runs-dir", tmp_path)
        assert code == 75, output
        assert tokens_of(tmp_path) <= limit
        assert engine("adjust", "live", "--max-tokens", "0", "--runs-dir", tmp_path) == 0
        code, output = await run_engine("resume", "live", "--runs-dir", tmp_path)
    assert code == 0, output
    assert len(records(tmp_path / "live/conversations.jsonl")) == LIMIT


@pytest.mark.asyncio
async def test_a_budget_that_is_raised_in_time_stops_nothing(tmp_path: Path) -> None:
    watcher = Watcher()
    async with serve(RehearsalSettings(delay=Fixed(0.02)), replier=watcher) as server:
        watcher.server = server
        process = await start_engine(*run_of(server, tmp_path, 4), "--max-tokens", "150000")
        await until(lambda: watcher.seen > 10)
        assert engine("adjust", "live", "--max-tokens", "0", "--runs-dir", tmp_path) == 0
        await process.communicate()
    assert process.returncode == 0
    assert tokens_of(tmp_path) > 150_000


def test_money_is_no_limit_where_a_price_is_not_known(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert engine("run", "--run", "live", "--limit", "2", "--runs-dir", tmp_path) == 0
    before = (tmp_path / "live/run.yaml").read_bytes()
    assert engine("adjust", "live", "--max-cost", "1", "--runs-dir", tmp_path) == 78
    assert "a limit in money needs the price of every model" in capsys.readouterr().err
    assert (tmp_path / "live/run.yaml").read_bytes() == before
    config = tmp_path / "study.yaml"
    prices = "{rehearsal-simulator: {input: 1, output: 1}, rehearsal-assistant: {input: 1, output: 1}}"
    config.write_text(f"prices: {prices}\n")
    assert engine("run", config, "--run", "live", "--limit", "2", "--runs-dir", tmp_path) == 0
    assert engine("adjust", "live", "--max-cost", "1.5", "--runs-dir", tmp_path) == 0
    assert "budget.max_cost_usd: none -> 1.5" in capsys.readouterr().out


def test_without_a_process_only_the_file_is_changed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert engine("run", "--run", "live", "--limit", "2", "--runs-dir", tmp_path) == 0
    path = tmp_path / "live/run.yaml"
    path.write_text("# mine\n" + path.read_text())
    before = yaml.safe_load(path.read_text())
    capsys.readouterr()
    assert engine("adjust", "live", "--concurrency", "7", "--runs-dir", tmp_path) == 0
    assert "only" in capsys.readouterr().out
    after = yaml.safe_load(path.read_text())
    assert after["config"].pop("concurrency") == 7
    del before["config"]["concurrency"]
    assert after == before
    assert path.read_text().startswith("# mine\n# What this run was told.")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ((), "say what to change"),
        (("--pause",), "nothing to pause"),
        (("--go-on",), "nothing to pause"),
        (("--max-in-flight", "3"), "the engine's own"),
        (("--endpoint", "x"), "say which of its limits"),
        (("--model", "x"), "say which of its limits"),
        (("--concurrency", "0"), "0 is not in the range"),
        (("--max-cost", "nan"), "max_cost_usd nan: write a finite number"),
        (("--max-cost", "inf"), "max_cost_usd inf: write a finite number"),
    ],
)
def test_what_cannot_be_changed_is_refused(
    options: tuple[str, ...], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert engine("run", "--run", "live", "--limit", "2", "--runs-dir", tmp_path) == 0
    before = (tmp_path / "live/run.yaml").read_bytes()
    assert engine("adjust", "live", *options, "--runs-dir", tmp_path) == 2
    assert says in capsys.readouterr().err
    assert (tmp_path / "live/run.yaml").read_bytes() == before


def test_an_endpoint_must_be_named_where_there_are_several(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert engine("run", "--run", "live", "--limit", "2", "--runs-dir", tmp_path) == 0
    path = tmp_path / "live/run.yaml"
    document = yaml.safe_load(path.read_text())
    document["config"]["endpoints"] = {
        "a": {"base_url": "http://127.0.0.1:1/v1"}, "default": {"base_url": "http://127.0.0.1:1/v1"},
    }  # fmt: skip
    path.write_text(yaml.safe_dump(document))
    options = ("--requests-per-min", "30", "--runs-dir", tmp_path)
    assert engine("adjust", "live", *options) == 2
    assert "Known: a, default" in capsys.readouterr().err
    assert engine("adjust", "live", "--endpoint", "b", *options) == 2
    assert engine("adjust", "live", "--endpoint", "a", *options) == 0
    endpoints = yaml.safe_load(path.read_text())["config"]["endpoints"]
    assert endpoints["a"]["limits"]["requests_per_min"] == 30
    assert endpoints["default"]["limits"]["requests_per_min"] is None


@pytest.mark.asyncio
async def test_limits_of_one_model_are_changed_and_held_apart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with serve() as server:
        assert (await run_engine(*run_of(server, tmp_path, 4), "--limit", "2"))[0] == 0
        path = tmp_path / "live/run.yaml"
        adjusted = ("adjust", "live", "--runs-dir", tmp_path, "--model")
        assert engine(*adjusted, "nobody", "--requests-per-min", "3") == 2
        assert "It is asked for: a, s." in capsys.readouterr().err
        for kind in ("tokens", "input-tokens", "output-tokens"):
            assert engine(*adjusted, "s", f"--{kind}-per-min", "5") == 2
            assert f"--{kind}-per-min: 5 would stop model s" in capsys.readouterr().err
        assert engine(*adjusted, "s", "--max-in-flight", "1", "--output-tokens-per-min", "90000") == 0
        assert "limits.per_model.s.max_in_flight: none -> 1" in capsys.readouterr().out
        limits = yaml.safe_load(path.read_text())["config"]["endpoints"]["default"]["limits"]
        assert limits["per_model"]["s"]["max_in_flight"] == 1
        assert engine(*adjusted, "s", "--max-in-flight", "0", "--output-tokens-per-min", "0") == 0
        assert "per_model: {}" in path.read_text()


def test_a_process_that_is_not_ready_or_not_certain_is_sent_no_signal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert engine("run", "--run", "live", "--limit", "2", "--runs-dir", tmp_path) == 0
    lock = RunLock(tmp_path / "live")
    lock.take()
    try:
        holder = find_holder(tmp_path / "live")
        assert holder is not None
        assert (holder.pid, holder.is_ready) == (os.getpid(), False)
        assert engine("adjust", "live", "--concurrency", "3", "--runs-dir", tmp_path) == 75
        assert "nothing was changed" in capsys.readouterr().err
        # As a file would be that was left behind by a process of long ago, whose number is another's now.
        (tmp_path / "live/run.lock").write_text(f"{os.getppid()}\nready\n")
        holder = find_holder(tmp_path / "live")
        assert holder is not None
        assert holder.pid is None
        assert engine("adjust", "live", "--concurrency", "3", "--runs-dir", tmp_path) == 75
    finally:
        lock.release()
    assert find_holder(tmp_path / "live") is None
