"""`engine runs prune`, `archive` and `merge`: on real runs, also while a process works on them."""

from __future__ import annotations

import os
import stat
import tarfile
from pathlib import Path

import apsw
import orjson
import pytest
from tests.doubles.command_line import engine, records, start_engine
from tests.doubles.waiting import until

from engine.journal.reader import Reader
from engine.journal.rows import call_values
from engine.journal.run_lock import RunLock
from engine.rehearsal.server import serve
from engine.rehearsal.settings import Fixed, RehearsalSettings

Capture = pytest.CaptureFixture[str]


def run(runs: Path, name: str, *options: str) -> None:
    assert engine("run", "--run", name, *options, "--runs-dir", runs) == 0


def names(runs: Path) -> set[str]:
    return {path.name for path in runs.iterdir() if path.is_dir()}


def touch(runs: Path, name: str, days_ago: float) -> None:
    """As if the run was worked on so long ago."""
    for path in (runs / name).iterdir():
        then = path.stat().st_mtime - days_ago * 86_400
        os.utime(path, (then, then))


def extended(runs: Path, name: str) -> None:
    """Plan more than is done."""
    connection = apsw.Connection(str(runs / name / "journal.sqlite"))
    ((plan,),) = connection.execute("SELECT value FROM meta WHERE key='plan'").fetchall()
    longer = orjson.dumps({**orjson.loads(str(plan)), "limit": 44}).decode()
    connection.execute("UPDATE meta SET value=? WHERE key='plan'", (longer,))
    connection.close()


# --- prune -----------------------------------------------------------------------------------------


@pytest.fixture
def four(tmp_path: Path) -> Path:
    """Runs `oldest`, `older` (unfinished), `old` and `new`."""
    for age, name in enumerate(("new", "old", "older", "oldest")):
        run(tmp_path, name, "--limit", "2")
        touch(tmp_path, name, 10 * age)
    extended(tmp_path, "older")
    touch(tmp_path, "older", 20)
    return tmp_path


def test_prune_only_lists_until_it_is_told_to_remove(four: Path, capsys: Capture) -> None:
    assert engine("runs", "prune", "--keep", "1", "--runs-dir", four) == 0
    assert "2 runs to remove; nothing was touched" in capsys.readouterr().out
    assert names(four) == {"new", "old", "older", "oldest"}
    assert engine("runs", "prune", "--keep", "1", "--yes", "--runs-dir", four) == 0
    assert "stays: it is unfinished (2 of 44)" in capsys.readouterr().out
    assert names(four) == {"new", "older"}
    assert engine("runs", "prune", "--keep", "1", "--unfinished", "--yes", "--runs-dir", four) == 0
    assert names(four) == {"new"}


def test_prune_by_age(four: Path, capsys: Capture) -> None:
    capsys.readouterr()
    assert engine("runs", "prune", "--older-than", "15", "--yes", "--json", "--runs-dir", four) == 0
    rows = orjson.loads(capsys.readouterr().out)
    assert [(row["run"], row["removed"]) for row in rows] == [("oldest", True), ("older", False)]
    assert names(four) == {"new", "old", "older"}


def test_prune_leaves_what_it_cannot_read(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken/journal.sqlite").write_bytes(b"no database" * 500)
    assert engine("runs", "prune", "--keep", "0", "--unfinished", "--yes", "--runs-dir", tmp_path) == 0
    assert "stays: its journal cannot be read" in capsys.readouterr().out
    assert names(tmp_path) == {"broken"}


def test_prune_touches_no_run_that_is_held_and_no_link(four: Path, capsys: Capture) -> None:
    elsewhere = four / "elsewhere"
    elsewhere.mkdir()
    run(elsewhere, "linked", "--limit", "1")
    (four / "linked").symlink_to(elsewhere / "linked")
    lock = RunLock(four / "old")
    lock.take()
    try:
        assert engine("runs", "prune", "--keep", "0", "--unfinished", "--yes", "--runs-dir", four) == 0
    finally:
        lock.release()
    out = capsys.readouterr().out
    assert "stays: a process works on it" in out
    assert "stays: it is a link" in out
    assert names(four) == {"old", "linked", "elsewhere"}
    assert (elsewhere / "linked/journal.sqlite").exists()


@pytest.mark.parametrize("options", [(), ("--keep", "1", "--older-than", "3")])
def test_prune_wants_one_rule(options: tuple[str, ...], tmp_path: Path) -> None:
    assert engine("runs", "prune", *options, "--runs-dir", tmp_path) == 2


def test_a_folder_that_would_be_passed_over_is_refused(four: Path) -> None:
    assert engine("runs", "--runs-dir", four, "prune", "--keep", "0", "--yes") == 2
    assert names(four) == {"new", "old", "older", "oldest"}


def test_runs_alone_still_lists(four: Path, capsys: Capture) -> None:
    capsys.readouterr()
    assert engine("runs", "--runs-dir", four) == 0
    assert len(capsys.readouterr().out.splitlines()) == 4


# --- archive ---------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_an_archive_of_a_run_that_goes_on_is_whole(tmp_path: Path) -> None:
    runs, back, file = tmp_path / "runs", tmp_path / "back", tmp_path / "live.tar.gz"
    async with serve(RehearsalSettings(delay=Fixed(0.02))) as server:
        process = await start_engine(
            "run", "--run", "live", "--limit", "66", "--concurrency", "8", "--base-url", server.base_url,
            "--simulator", "s", "--assistant", "a", "--runs-dir", runs,
        )  # fmt: skip
        await until(lambda: server.stats.requests > 100)
        assert engine("runs", "archive", "live", "--out", file, "--runs-dir", runs) == 0
        await process.communicate()
        assert process.returncode == 0
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        with tarfile.open(file) as tar:
            assert {member.name for member in tar} == {
                "live", "live/journal.sqlite", "live/run.yaml", "live/events.jsonl",
            }  # fmt: skip
            tar.extractall(back, filter="data")
        assert engine("verify", "live", "--runs-dir", back) == 0
        before = server.stats.requests
        assert (await (await start_engine("resume", "live", "--runs-dir", back)).wait()) == 0
        assert 0 < server.stats.requests - before < before
    whole, resumed = (folder / "live/conversations.jsonl" for folder in (runs, back))
    assert resumed.read_bytes() == whole.read_bytes()
    assert names(tmp_path) == {"runs", "back"}


def test_an_archive_is_not_put_into_the_run_itself(tmp_path: Path, capsys: Capture) -> None:
    run(tmp_path, "r", "--limit", "2")
    (tmp_path / "link").symlink_to(tmp_path / "r", target_is_directory=True)
    before = sorted((tmp_path / "r").rglob("*"))
    for out in ("r/a.tar.gz", "r/export/deep/a.tar.gz", "link/a.tar.gz", "r/../r/a.tar.gz"):
        assert engine("runs", "archive", "r", "--out", tmp_path / out, "--runs-dir", tmp_path) == 2
        assert "inside the run's own folder" in capsys.readouterr().err
    assert sorted((tmp_path / "r").rglob("*")) == before


def test_an_archive_never_replaces_a_file(tmp_path: Path, capsys: Capture) -> None:
    run(tmp_path, "r", "--limit", "2")
    assert engine("runs", "archive", "r", "--runs-dir", tmp_path) == 0
    assert engine("runs", "archive", "r", "--runs-dir", tmp_path) == 2
    assert "exists already" in capsys.readouterr().err
    assert engine("runs", "archive", "r", "--out", "r.zip", "--runs-dir", tmp_path) == 2
    assert engine("runs", "--runs-dir", tmp_path) == 0


# --- merge -----------------------------------------------------------------------------------------


def test_parts_make_the_whole(tmp_path: Path, capsys: Capture) -> None:
    run(tmp_path, "whole", "--task", "travel", "--task", "gifts", "--task", "recipe", "--limit", "60")
    tasks = sorted(records(tmp_path / "whole/conversations.jsonl"), key=lambda record: str(record["task"]))
    per_task = {str(record["task"]): 0 for record in tasks}
    for record in tasks:
        per_task[str(record["task"])] += 1
    for task, count in per_task.items():
        run(tmp_path, task, "--task", task, "--limit", str(count))
    capsys.readouterr()
    assert engine("runs", "merge", "all", *per_task, "--json", "--runs-dir", tmp_path) == 0
    facts = orjson.loads(capsys.readouterr().out)
    assert (facts["ended"], facts["planned"], facts["in_several"]) == (60, 60, 0)
    assert engine("verify", "all", "--runs-dir", tmp_path) == 0
    merged, whole = (records(tmp_path / name / "conversations.jsonl") for name in ("all", "whole"))
    by_id = {record["id"]: record for record in whole}
    assert all(record == by_id[record["id"]] for record in merged)
    profiles = [str(record["id"]).split("-")[2] for record in merged]
    assert profiles == sorted(profiles), "not in plan order: profile by profile"
    capsys.readouterr()
    assert engine("status", "all", "--json", "--runs-dir", tmp_path) == 0
    facts = orjson.loads(capsys.readouterr().out)
    assert (facts["state"], facts["unfinished"]) == ("complete", 0)
    parts = [orjson.loads((tmp_path / task / "summary.json").read_bytes()) for task in per_task]
    summary = orjson.loads((tmp_path / "all/summary.json").read_bytes())
    assert summary["usage"]["calls"] == sum(part["usage"]["calls"] for part in parts)
    assert engine("resume", "all", "--runs-dir", tmp_path) == 0
    assert "is complete; nothing was sent" in capsys.readouterr().out


def test_equal_items_are_taken_once_and_the_longer_plan_counts(tmp_path: Path, capsys: Capture) -> None:
    run(tmp_path, "short", "--limit", "22")
    run(tmp_path, "long", "--limit", "44")
    capsys.readouterr()
    for name, parts in (("one", ("short", "long")), ("two", ("long", "short"))):
        assert engine("runs", "merge", name, *parts, "--runs-dir", tmp_path) == 0
        assert "22 stood in more than one run" in capsys.readouterr().out
        assert engine("verify", name, "--runs-dir", tmp_path) == 0
        merged, long = (tmp_path / run / "conversations.jsonl" for run in (name, "long"))
        assert merged.read_bytes() == long.read_bytes()


@pytest.mark.asyncio
async def test_a_part_that_was_killed_goes_on_in_the_merged_run(tmp_path: Path) -> None:
    async with serve(RehearsalSettings(delay=Fixed(0.02))) as server:
        models = ("--base-url", server.base_url, "--simulator", "s", "--assistant", "a")

        async def start(name: str, *options: str) -> int:
            process = await start_engine("run", "--run", name, *options, *models, "--runs-dir", tmp_path)
            if name == "killed":
                await until(lambda: server.stats.requests > 150)
                process.kill()
            return await process.wait()

        assert await start("killed", "--task", "travel", "--limit", "20", "--concurrency", "4") == -9
        assert await start("other", "--task", "gifts", "--limit", "20") == 0
        assert engine("runs", "merge", "all", "killed", "other", "--runs-dir", tmp_path) == 0
        assert engine("verify", "all", "--runs-dir", tmp_path) == 0
        before = server.stats.requests
        assert (await (await start_engine("resume", "all", "--runs-dir", tmp_path)).wait()) == 0
        asked = server.stats.requests - before
        assert (await (await start_engine("resume", "killed", "--runs-dir", tmp_path)).wait()) == 0
        # What the part still had to ask is what the merged run asked: nothing was bought twice.
        assert server.stats.requests - before == 2 * asked
    merged = {record["id"]: record for record in records(tmp_path / "all/conversations.jsonl")}
    for part in ("killed", "other"):
        for record in records(tmp_path / part / "conversations.jsonl"):
            assert merged.pop(record["id"]) == record
    assert merged == {}


def test_different_replies_are_refused_by_name_and_leave_nothing(tmp_path: Path, capsys: Capture) -> None:
    runs = tmp_path
    for name in ("one", "two"):
        run(runs, name, "--limit", "3")
    change_a_reply(runs / "two/journal.sqlite")
    before = names(runs)
    assert engine("runs", "merge", "all", "one", "two", "--runs-dir", runs) == 65
    error = capsys.readouterr().err
    assert "run two and run one hold different replies" in error
    assert "-p001-0" in error
    assert names(runs) == before


def change_a_reply(journal: Path) -> None:
    """As if the server had answered the first call with other words."""
    reader = Reader(journal)
    call = reader.call(1)
    reader.close()
    values = call_values(call._replace(reply=call.reply.replace(b'"content":"', b'"content":"Well. ')))
    connection = apsw.Connection(str(journal))
    connection.execute(f"INSERT OR REPLACE INTO calls VALUES ({','.join('?' * len(values))})", values)
    connection.close()


@pytest.mark.parametrize(
    ("new", "parts", "code", "says"),
    [
        ("all", ("one",), 2, "at least two"),
        ("all", ("one", "one"), 2, "at least two"),
        ("one", ("one", "other"), 2, "already"),
        ("all", ("one", "other"), 78, "seed"),
        ("all", ("one", "absent"), 65, "absent"),
    ],
)
def test_what_cannot_be_merged_is_refused(
    new: str, parts: tuple[str, ...], code: int, says: str, tmp_path: Path, capsys: Capture
) -> None:
    run(tmp_path, "one", "--limit", "2")
    run(tmp_path, "other", "--limit", "2", "--seed", "9")
    assert engine("runs", "merge", new, *parts, "--runs-dir", tmp_path) == code
    assert says in capsys.readouterr().err
    assert names(tmp_path) == {"one", "other"}


def test_a_run_that_is_held_is_not_merged(tmp_path: Path) -> None:
    run(tmp_path, "one", "--limit", "2")
    run(tmp_path, "other", "--limit", "3")
    lock = RunLock(tmp_path / "other")
    lock.take()
    try:
        assert engine("runs", "merge", "all", "one", "other", "--runs-dir", tmp_path) == 75
    finally:
        lock.release()


def test_parts_that_share_a_name_are_all_merged(tmp_path: Path) -> None:
    for place, task in (("here", "travel"), ("there", "gifts")):
        command = ("run", "--run", "part", "--task", task, "--limit", "3", "--runs-dir", tmp_path / place)
        assert engine(*command) == 0
    parts = (tmp_path / "here" / "part", tmp_path / "there" / "part")
    assert engine("runs", "merge", "whole", *parts, "--runs-dir", tmp_path) == 0
    assert engine("verify", "whole", "--runs-dir", tmp_path) == 0
    assert len(records(tmp_path / "whole" / "conversations.jsonl")) == 6
