"""`engine profiles generate` on the rehearsal: the same pool at any concurrency and after a kill."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson
import pytest
from anyio.from_thread import start_blocking_portal
from tests.doubles.command_line import engine, records, start_engine
from tests.doubles.waiting import until

from engine.journal.journal import JOURNAL_NAME
from engine.journal.reader import Reader
from engine.profiles.session import STAGE_NAME
from engine.rehearsal.profile_writer import HARMFUL, duplicate_share
from engine.rehearsal.replies import Reply
from engine.rehearsal.server import RehearsalServer, serve
from engine.rehearsal.service import Replier
from engine.rehearsal.settings import RehearsalSettings
from engine.scenarios.profile_pool import load_profiles


@contextmanager
def serving(replier: Replier) -> Iterator[RehearsalServer]:
    """A server in a thread of its own, since commands need the main one."""
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(serve(RehearsalSettings(), replier=replier)) as served,
    ):
        yield served


def generate(tmp_path: Path, name: str, *options: str | Path, count: int = 100) -> bytes:
    out = tmp_path / f"{name}.jsonl"
    code = engine(
        "profiles", "generate", "--count", str(count), "--out", out, "--run", name, "--runs-dir",
        tmp_path / "runs", "--json", *options,
    )  # fmt: skip
    assert code == 0
    return out.read_bytes()


def test_the_pool_is_the_same_at_any_concurrency_and_a_smaller_one_is_its_beginning(tmp_path: Path) -> None:
    whole = generate(tmp_path, "one", "--concurrency", "1")
    assert generate(tmp_path, "many", "--concurrency", "50") == whole
    assert len(whole.splitlines()) == 100
    pool = load_profiles(tmp_path / "one.jsonl")
    assert [profile.profile_id for profile in pool] == [f"g{i:06}" for i in range(1, 101)]
    assert pool[0].provenance["from"] == "session-000001/batch-1/1"
    assert generate(tmp_path, "few", count=40) == b"".join(whole.splitlines(keepends=True)[:40])
    # More of a run that is there: what was paid for is used, and the pool goes on.
    more = generate(tmp_path, "few", count=100)
    assert more == whole


def test_a_run_that_is_killed_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    whole = generate(tmp_path, "plain")

    async def killed() -> None:
        config = tmp_path / "slow.yaml"
        config.write_text("rehearsal: {latency_s: 0.05}\nconcurrency: 4\n")
        arguments = (
            "profiles", "generate", "--count", "100", "--out", tmp_path / "killed.jsonl", "--run", "killed",
            "--runs-dir", tmp_path / "runs", "--config", config,
        )  # fmt: skip
        journal = tmp_path / "runs" / "profiles" / "killed" / JOURNAL_NAME
        process = await start_engine(*arguments)
        await until(lambda: replies(journal) >= 5)
        process.send_signal(signal.SIGKILL)
        await process.wait()
        assert not (tmp_path / "killed.jsonl").exists()

    asyncio.run(killed())
    assert generate(tmp_path, "killed", "--concurrency", "3") == whole


def replies(journal: Path) -> int:
    if not journal.exists() or not journal.stat().st_size:
        return 0
    try:
        reader = Reader(journal)
    except Exception:  # noqa: BLE001 - it is being made
        return 0
    try:
        return reader.totals(STAGE_NAME).replies
    finally:
        reader.close()


def test_planted_defects_are_counted_and_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "engine.yaml"
    config.write_text("rehearsal: {defect_rate: 0.5}\n")
    generate(tmp_path, "bad", "--config", config, count=400)
    found = json.loads(capsys.readouterr().out)
    assert found["accepted"] == 400
    assert set(found["unread"]) == {
        "missing_aspect", "merged_aspects", "empty_aspect", "refused", "cut_off",
    }  # fmt: skip
    assert set(found["tolerated"]) >= {"fence", "emphasis", "numbering_runs_on", "chatter"}
    assert len(found["unread_texts"]) >= len(HARMFUL)
    # This share repeats a favourite, exactly or nearly; the first of each is new, and some differ by more.
    repeats = found["rejected"]["duplicate"] + found["rejected"]["near_duplicate"]
    planted = 2 * duplicate_share(0.5)
    assert planted / 2 < repeats / found["read"] < planted


def test_a_target_is_met_to_the_profile(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "target.yaml"
    target.write_text("gender: {Female: 3, Male: 1}\nage: {20-39: 0.5, 40-59: 0.25, 60-79: 0.25}\n")
    generate(tmp_path, "t", "--target", target, count=80)
    capsys.readouterr()
    assert engine("profiles", "check", tmp_path / "t.jsonl", "--target", target, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert {(row["category"], row["count"]) for row in found["target"]} == {
        ("Female", 60), ("Male", 20), ("20-39", 40), ("40-59", 20), ("60-79", 20),
    }  # fmt: skip


@pytest.mark.parametrize("options", [("--language", "zh"), ("--structured", "json_schema")])
def test_other_languages_and_shapes_bring_pools_that_runs_take(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    generate(tmp_path, "pool", *options, count=40)
    assert len(load_profiles(tmp_path / "pool.jsonl")) == 40


def test_the_list_of_aspects_is_data(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "aspects.yaml").write_text(
        "title: mine\naspects:\n- {key: age, en: Age, zh: 年龄}\n- {key: pets, en: Pets, zh: 宠物}\n"
        "- {key: work, en: Work, zh: 工作}\n"
    )
    generate(tmp_path, "pool", "--aspects", str(folder), "--near", "1", count=20)
    keys = [set(record) - {"id", "provenance"} for record in records(tmp_path / "pool.jsonl")]
    assert keys == [{"age", "pets", "work"}] * 20


def test_a_model_that_repeats_itself_ends_the_run_with_what_there_is(tmp_path: Path) -> None:
    def same(request: dict[str, object], raw: bytes) -> Reply:
        lines = "\n".join(f"{i}. {label}: the same" for i, label in enumerate(labels(request), 1))
        message = {"role": "assistant", "content": lines}
        return Reply(body=orjson.dumps({"choices": [{"message": message, "finish_reason": "stop"}]}))

    with serving(same) as served:
        code = engine(
            "profiles", "generate", "--count", "50", "--out", tmp_path / "p.jsonl", "--runs-dir",
            tmp_path, "--base-url", served.base_url, "--model", "m",
        )  # fmt: skip
    assert code == 3
    assert len(records(tmp_path / "p.jsonl")) == 1


def labels(request: dict[str, object]) -> list[str]:
    text = str(request["messages"][0]["content"])  # type: ignore[index]
    listed = text.split("<aspects>\n")[1].split("\n</aspects>")[0]
    return [line.split(". ", 1)[1].split(" (")[0] for line in listed.splitlines()]


def test_a_context_that_is_full_is_begun_anew_in_short(tmp_path: Path) -> None:
    sizes = []

    def note(request: dict[str, object], raw: bytes) -> None:
        sizes.append(len(raw))

    config = tmp_path / "engine.yaml"
    with serving(note) as served:
        config.write_text(
            f"endpoints: {{default: {{base_url: '{served.base_url}'}}}}\n"
            "stages: {profiles: {model: m, max_tokens: 2048, context_tokens: 5000}}\n"
        )
        code = engine(
            "profiles", "generate", "--count", "100", "--batches", "12", "--out",
            tmp_path / "p.jsonl", "--runs-dir", tmp_path, "--config", config,
        )  # fmt: skip
    assert code == 0
    assert max(sizes) < (5000 - 2048) * 3 + 1000, "a context that grows with the session"
    assert len(sizes) >= 12
