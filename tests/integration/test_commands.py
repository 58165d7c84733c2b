"""The commands as users type them: what they print, what they leave behind, and their exit codes."""

from __future__ import annotations

import asyncio
import signal
import socket
import stat
from pathlib import Path

import orjson
import pytest
from anyio.from_thread import start_blocking_portal
from tests.doubles.command_line import engine, records, run_engine, start_engine

from engine.rehearsal.replies import Reply
from engine.rehearsal.server import serve
from engine.rehearsal.settings import Fixed, RehearsalSettings

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs with one finished run, `done`, of 44 conversations."""
    runs = tmp_path_factory.mktemp("runs")
    assert engine("run", "--run", "done", "--limit", "44", "--runs-dir", runs) == 0
    return runs


def out_of(capsys: Capture) -> str:
    return capsys.readouterr().out


def json_of(capsys: Capture) -> dict[str, object]:
    found = orjson.loads(out_of(capsys))
    assert isinstance(found, dict)
    return found


def test_default_run_is_ten_conversations_for_each_of_22_scenarios(tmp_path: Path, capsys: Capture) -> None:
    assert engine("run", "--runs-dir", tmp_path) == 0
    shown = out_of(capsys)
    assert "Table 1" in shown
    assert "conversations.jsonl" in shown
    (folder,) = tmp_path.iterdir()
    found = records(folder / "conversations.jsonl")
    assert len(found) == 220
    per_scenario: dict[tuple[object, object], int] = {}
    for record in found:
        scenario = record["scenario"]
        assert isinstance(scenario, dict)
        key = (record["task"], scenario["number"])
        per_scenario[key] = per_scenario.get(key, 0) + 1
        assert record["is_rehearsal"] is True
    assert set(per_scenario.values()) == {10}
    assert len(per_scenario) == 22
    summary = orjson.loads((folder / "summary.json").read_bytes())
    assert summary["table1"]["raw"]["conversations"] == 220
    assert 0.05 < 1 - summary["table1"]["kept"]["conversations"] / 220 < 0.25

    assert engine("run", "--runs-dir", tmp_path) == 0
    assert "is complete; nothing was sent" in out_of(capsys)
    assert [folder] == list(tmp_path.iterdir())


def test_run_folder_holds_what_its_readme_says_and_is_private(finished: Path) -> None:
    folder = finished / "done"
    names = {path.name for path in folder.iterdir()}
    assert {"run.yaml", "journal.sqlite", "events.jsonl", "conversations.jsonl", "summary.json"} <= names
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    readme = (Path(__file__).parents[2] / "runs" / "README.md").read_text()
    for name in names:
        assert name.removesuffix("-wal").removesuffix("-shm") in readme


def test_status_runs_and_verify_of_a_finished_run(finished: Path, capsys: Capture) -> None:
    assert engine("status", "done", "--runs-dir", finished, "--json") == 0
    facts = json_of(capsys)
    assert (facts["state"], facts["ended"], facts["remaining_calls"]) == ("complete", 44, 0)
    assert facts["cached_tokens"] != 0
    assert engine("status", "done", "--runs-dir", finished) == 0
    assert f"{facts['prompt_tokens']} in ({facts['cached_tokens']} of them cached)" in out_of(capsys)
    assert engine("runs", "--runs-dir", finished) == 0
    assert "done" in out_of(capsys)
    assert engine("verify", "done", "--runs-dir", finished) == 0
    assert "44 conversations replayed, 0 problems" in out_of(capsys)


def test_status_says_why_a_run_stopped_until_it_goes_on(tmp_path: Path, capsys: Capture) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}/v1"
    (tmp_path / "engine.yaml").write_text("unreachable_after_s: 0.0\n")
    asked = ("--simulator", "s", "--assistant", "a", "--limit", "2", "--run", "r", "--runs-dir", tmp_path)
    assert engine("run", tmp_path / "engine.yaml", "--base-url", url, *asked) == 75
    capsys.readouterr()
    assert engine("status", "r", "--runs-dir", tmp_path) == 0
    assert f"because        endpoint default: nothing usable comes from {url}" in out_of(capsys)
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(serve()) as server:
        assert engine("resume", "r", "--base-url", server.base_url, "--runs-dir", tmp_path) == 0
    capsys.readouterr()
    assert engine("status", "r", "--runs-dir", tmp_path, "--json") == 0
    assert json_of(capsys)["stopped_because"] is None


def test_show_prints_a_conversation_whole_as_sent_and_raw(finished: Path, capsys: Capture) -> None:
    first = records(finished / "done" / "conversations.jsonl")[0]
    name, history = str(first["id"]), first["history"]
    assert isinstance(history, list)
    assert engine("show", "done", name, "--runs-dir", finished) == 0
    shown = out_of(capsys)
    assert all(turn["content"] in shown for turn in history)
    assert engine("show", "done", name, "--runs-dir", finished, "--json") == 0
    assert json_of(capsys) == first
    assert engine("show", "done", name, "--as-sent", "simulator", "--runs-dir", finished, "--json") == 0
    sent = orjson.loads(out_of(capsys))
    assert sent[0]["role"] == "system"
    assert sent[-1]["content"].startswith(history[-1]["content"] + "\n\n[System]")
    assert engine("show", "done", name, "--as-sent", "assistant", "--runs-dir", finished, "--json") == 0
    assert [turn["content"] for turn in orjson.loads(out_of(capsys))][1:] == [
        turn["content"] for turn in history[:-1]
    ]
    assert engine("show", "done", name, "--raw", "--runs-dir", finished) == 0
    lines = out_of(capsys).splitlines()
    assert lines[0].startswith("user-1\t{")
    assert orjson.loads(lines[1].split("\t")[1])["choices"][0]["message"]["content"] == history[1]["content"]


def test_export_writes_kept_ones_or_all(finished: Path, tmp_path: Path, capsys: Capture) -> None:
    everything = records(finished / "done" / "conversations.jsonl")
    kept = [record for record in everything if record["kept"]]
    assert 0 < len(kept) < len(everything)
    assert engine("export", "done", "--runs-dir", finished) == 0
    assert records(finished / "done" / "export" / "conversations.jsonl") == kept
    target = tmp_path / "all.jsonl"
    assert engine("export", "done", "--out", target, "--include", "dropped", "--runs-dir", finished) == 0
    assert records(target) == everything
    assert all(record["dropped_because"] for record in everything if not record["kept"])


def test_paper_option_drops_nothing_for_its_content(tmp_path: Path, capsys: Capture) -> None:
    assert engine("run", "--run", "raw", "--limit", "44", "--paper", "--runs-dir", tmp_path) == 0
    found = records(tmp_path / "raw" / "conversations.jsonl")
    assert all(record["kept"] for record in found)
    assert any(record["flags"] for record in found)


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("setup", ["modern", "paper"])
@pytest.mark.parametrize("opener", ["user", "assistant"])
def test_every_set_up_runs_with_debrief(tmp_path: Path, language: str, setup: str, opener: str) -> None:
    config = tmp_path / "engine.yaml"
    config.write_text(
        f"language: {language}\nlimit: 6\n"
        f"conversation:\n  setup: {setup}\n  opener: {opener}\n  debrief:\n"
        "    - {side: user, question: 'Were you content?'}\n"
        "    - {side: assistant, question: 'What did the user like?'}\n"
    )
    assert engine("run", config, "--run", "r", "--runs-dir", tmp_path) == 0
    assert engine("verify", "r", "--runs-dir", tmp_path) == 0
    for record in records(tmp_path / "r" / "conversations.jsonl"):
        debrief, history = record["debrief"], record["history"]
        assert isinstance(debrief, list)
        assert isinstance(history, list)
        assert [answer["side"] for answer in debrief] == ["user", "assistant"]
        assert history[0]["role"] == opener
        assert record["language"] == language


def test_dry_run_shows_plan_and_set_up_and_sends_nothing(tmp_path: Path, capsys: Capture) -> None:
    assert engine("run", "--dry-run", "--runs-dir", tmp_path) == 0
    shown = out_of(capsys)
    assert "220 conversations: 22 scenarios x 10 profiles" in shown
    assert shown.count("what the user simulator is told -") == 5
    assert shown.count("what the assistant is told -") == 5
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("setup", ["modern", "paper"])
@pytest.mark.parametrize("opener", ["user", "assistant"])
def test_dry_run_shows_the_requests_that_a_run_sends(
    tmp_path: Path, capsys: Capture, language: str, setup: str, opener: str
) -> None:
    config = tmp_path / "engine.yaml"
    config.write_text(
        f"language: {language}\nlimit: 1\nrehearsal: {{defect_rate: 0.0}}\n"
        f"conversation: {{setup: {setup}, opener: {opener}}}\n"
    )
    command = ("run", config, "--run", "r", "--runs-dir", tmp_path)
    assert engine(*command, "--dry-run") == 0
    shown = out_of(capsys)
    assert not (tmp_path / "r").exists()
    assert engine(*command) == 0
    (record,) = records(tmp_path / "r" / "conversations.jsonl")
    history = record["history"]
    assert isinstance(history, list)
    first = 0 if opener == "assistant" else 1
    greeting = [history[0]["content"]] if opener == "assistant" else []
    user, assistant = (turn["content"] for turn in history[1 - first :][:2])
    for side in ("simulator", "assistant"):
        capsys.readouterr()
        assert (
            engine("show", "r", str(record["id"]), "--as-sent", side, "--runs-dir", tmp_path, "--json") == 0
        )
        sent = [message["content"] for message in orjson.loads(out_of(capsys))]
        last = assistant if side == "simulator" else user
        # Up to what follows the first round; what nobody has said yet is a placeholder.
        for text in sent[: next(n for n, text in enumerate(sent) if last in text) + 1]:
            for turn, placeholder in zip(
                [*greeting, user, assistant],
                ["(assistant-0)", "(user-1)", "(assistant-1)"][first:],
                strict=True,
            ):
                text = text.replace(turn, placeholder)
            assert f"]\n{text}\n" in shown or text == "(user-1)"


@pytest.mark.asyncio
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_signal_lets_calls_land_and_the_run_resumes(tmp_path: Path, number: signal.Signals) -> None:
    enough = asyncio.Event()
    asked: list[bytes] = []

    def count(request: dict[str, object], raw: bytes) -> Reply | None:
        asked.append(raw)
        if len(asked) == 40:
            enough.set()
        return None

    async with serve(RehearsalSettings(delay=Fixed(0.05)), replier=count) as server:
        command = (
            "run", "--run", "r", "--limit", "44", "--concurrency", "8", "--base-url", server.base_url,
            "--simulator", "s", "--assistant", "a", "--runs-dir", tmp_path,
        )  # fmt: skip
        process = await start_engine(*command)
        await enough.wait()
        process.send_signal(number)
        output, _ = await process.communicate()
        assert process.returncode == 128 + number, output.decode()
        assert f"engine resume {tmp_path / 'r'}".encode() in output
        code, text = await run_engine("status", "r", "--runs-dir", tmp_path, "--json")
        facts = orjson.loads(text)
        assert (code, facts["state"], facts["possibly_paid"]) == (0, "stopped", 0)
        assert facts["calls"] == len(asked), "every call in the air has landed in the journal"
        code, text = await run_engine("resume", "--runs-dir", tmp_path)
        assert code == 0, text
    assert len(asked) == len(set(asked)), "nothing was asked twice"
    assert len(records(tmp_path / "r" / "conversations.jsonl")) == 44


@pytest.mark.asyncio
async def test_second_signal_cuts_off_what_hangs(tmp_path: Path) -> None:
    hanging = asyncio.Event()

    asked: list[bytes] = []

    def hang(request: dict[str, object], raw: bytes) -> Reply:
        asked.append(raw)
        if len(asked) == 4:
            hanging.set()
        return Reply(delay_s=3600)

    async with serve(replier=hang) as server:
        process = await start_engine(
            "run", "--run", "r", "--limit", "4", "--base-url", server.base_url, "--simulator", "s",
            "--assistant", "a", "--runs-dir", tmp_path,
        )  # fmt: skip
        await hanging.wait()
        process.send_signal(signal.SIGINT)
        events = tmp_path / "r" / "events.jsonl"
        while b"run.signal" not in events.read_bytes():  # noqa: ASYNC110 - the file is all there is to see
            await asyncio.sleep(0.01)
        process.send_signal(signal.SIGINT)
        await process.communicate()
    assert process.returncode == 130
    _, text = await run_engine("status", "r", "--runs-dir", tmp_path, "--json")
    assert orjson.loads(text)["possibly_paid"] == 4


@pytest.mark.asyncio
async def test_second_process_is_refused_before_any_call_and_reading_goes_on(tmp_path: Path) -> None:
    asked = 0
    first_seen = asyncio.Event()

    def slow(request: dict[str, object], raw: bytes) -> Reply | None:
        nonlocal asked
        asked += 1
        first_seen.set()
        return Reply(delay_s=3600) if asked > 30 else None

    async with serve(replier=slow) as server:
        command = (
            "run", "--run", "r", "--limit", "22", "--concurrency", "2", "--base-url", server.base_url,
            "--simulator", "s", "--assistant", "a", "--runs-dir", tmp_path,
        )  # fmt: skip
        process = await start_engine(*command)
        while asked <= 31:  # noqa: ASYNC110 - both conversations hang now
            await asyncio.sleep(0.01)
        before = asked
        code, output = await run_engine(*command)
        assert code == 75, output
        assert "worked on by another process" in output
        assert asked == before
        code, output = await run_engine(
            "export", "r", "--include", "dropped", "--json", "--runs-dir", tmp_path
        )
        facts = orjson.loads(output)
        assert code == 0
        assert 0 < facts["ended"] == facts["written"] < 22
        process.kill()
        await process.communicate()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        assert isinstance(port, int)
        return port


@pytest.mark.asyncio
async def test_failed_conversations_give_exit_3_and_are_taken_up_again(tmp_path: Path) -> None:
    broken = True

    def breaking(request: dict[str, object], raw: bytes) -> Reply | None:
        is_hit = "gifts" in str(request["prompt_cache_key"]) and b'"assistant"' in raw
        return Reply(400, b'{"error": {"message": "cannot do gifts"}}') if broken and is_hit else None

    async with serve(replier=breaking) as server:
        command = (
            "run", "--run", "r", "--limit", "22", "--base-url", server.base_url, "--simulator", "s",
            "--assistant", "a", "--runs-dir", tmp_path,
        )  # fmt: skip
        code, output = await run_engine(*command)
        assert code == 3, output
        found = records(tmp_path / "r" / "conversations.jsonl")
        failed = [record for record in found if record["end_reason"] == "failed"]
        assert {record["task"] for record in failed} == {"gifts"}
        assert all("failed" in str(record["dropped_because"]) for record in failed)
        broken = False
        code, output = await run_engine("resume", "r", "--retry-failed", "--runs-dir", tmp_path)
        assert code == 0, output
        whole = (tmp_path / "r" / "conversations.jsonl").read_bytes()
        code, output = await run_engine(*command[:2], "plain", *command[3:])
        assert code == 0
        assert (tmp_path / "plain" / "conversations.jsonl").read_bytes() == whole


def test_narrower_command_keeps_what_was_planned(finished: Path, tmp_path: Path, capsys: Capture) -> None:
    assert engine("run", "--run", "r", "--limit", "44", "--runs-dir", tmp_path) == 0
    whole = (tmp_path / "r" / "conversations.jsonl").read_bytes()
    for options in (("--limit", "5"), ("--task", "travel", "--limit", "3")):
        assert engine("run", "--run", "r", *options, "--runs-dir", tmp_path) == 0
        assert (tmp_path / "r" / "conversations.jsonl").read_bytes() == whole
    assert engine("run", "--run", "r", "--task", "travel", "--runs-dir", tmp_path) == 2
    assert "neither include them all" in capsys.readouterr().err
    assert (tmp_path / "r" / "conversations.jsonl").read_bytes() == whole


def test_changed_opener_of_a_job_is_refused_by_name(tmp_path: Path, capsys: Capture) -> None:
    jobs = tmp_path / "jobs.jsonl"
    line = '{"profile": "p001", "task": "travel", "scenario": 11, "opener": "%s"}\n'
    jobs.write_text(line % "assistant")
    command = ("run", "--run", "r", "--jobs", jobs, "--runs-dir", tmp_path)
    assert engine(*command) == 0
    jobs.write_text(line % "user")
    assert engine(*command) == 78
    assert "job travel-11-p001-0, opener: then assistant, now user" in capsys.readouterr().err
    assert engine("verify", "r", "--runs-dir", tmp_path) == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "--limit", "0"),
        ("run", "--run", ""),
        ("run", "--concurrency", "0"),
        ("rehearse", "--port", "-1"),
        ("rehearse", "--port", "99999"),
        ("export", "done", "--out", "."),
        ("export", "done", "--out", "/"),
        ("show", "done", "../../etc/passwd"),
        ("show", "done", "travel-11-p001-99"),
        ("status", "nowhere"),
        ("run", "--run", "../x"),
    ],
)
def test_bad_words_are_refused_without_a_traceback(
    finished: Path, arguments: tuple[str, ...], capsys: Capture
) -> None:
    runs_dir = () if arguments[0] == "rehearse" else ("--runs-dir", str(finished))
    assert engine(*arguments, *runs_dir) in (2, 65)
    said = capsys.readouterr().err
    assert "Traceback" not in said
    assert said.strip()


def test_taken_port_is_a_message(capsys: Capture) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert engine("rehearse", "--port", str(taken.getsockname()[1])) == 2
    assert "cannot listen on" in capsys.readouterr().err


def test_everything_in_a_run_is_private_even_in_a_folder_that_was_there(tmp_path: Path) -> None:
    (tmp_path / "pre").mkdir(mode=0o755)
    assert engine("run", "--run", "pre", "--limit", "3", "--runs-dir", tmp_path) == 0
    assert engine("export", "pre", "--runs-dir", tmp_path) == 0
    for path in [tmp_path / "pre", *(tmp_path / "pre").rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_resume_without_a_name_passes_over_broken_runs_and_makes_a_missing_dataset(
    tmp_path: Path, capsys: Capture
) -> None:
    assert engine("run", "--run", "whole", "--limit", "3", "--runs-dir", tmp_path) == 0
    for name, content in (("empty", b""), ("garbage", b"no database" * 500)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "journal.sqlite").write_bytes(content)
    assert engine("resume", "--runs-dir", tmp_path) == 65
    said = capsys.readouterr().err
    assert "cannot be read: " in said
    assert "empty" in said
    assert "garbage" in said
    (tmp_path / "whole" / "conversations.jsonl").unlink()
    (tmp_path / "whole" / ".conversations.jsonl.999999999.part").write_bytes(b"left over")
    assert engine("resume", "--runs-dir", tmp_path) == 0
    assert len(records(tmp_path / "whole" / "conversations.jsonl")) == 3
    assert not list((tmp_path / "whole").glob(".*.part"))


@pytest.mark.asyncio
async def test_records_of_a_rehearsal_in_a_process_of_its_own_say_so(tmp_path: Path) -> None:
    async with serve() as server:
        code, output = await run_engine(
            "run", "--run", "r", "--limit", "3", "--base-url", server.base_url, "--simulator", "any",
            "--assistant", "other", "--runs-dir", tmp_path,
        )  # fmt: skip
    assert code == 0, output
    assert all(record["is_rehearsal"] for record in records(tmp_path / "r" / "conversations.jsonl"))
