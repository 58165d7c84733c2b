"""The command for the end of a session: what it is told, what it is not, and what becomes of it."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.doubles.command_line import engine, start_engine
from tests.doubles.waiting import until

from engine.config.endpoint_settings import EndpointSettings
from engine.config.settings import RunConfig
from engine.errors import ConfigError
from engine.llm.endpoint import request_headers
from engine.logs import SECRETS
from engine.rehearsal.server import serve
from engine.rehearsal.settings import Fixed, RehearsalSettings
from engine.runner.end_hook import SessionEnd, run_end_hook

WRITER = """
import json, os, sys
summary = json.load(sys.stdin)
json.dump({"env": dict(os.environ), "summary": summary, "arguments": sys.argv[2:]}, open(sys.argv[1], "w"))
"""


@pytest.fixture
def writer(tmp_path: Path) -> str:
    """A command line that writes what it is told into `told.json`."""
    script = tmp_path / "writer.py"
    script.write_text(WRITER)
    return f"{sys.executable} {script} {tmp_path / 'told.json'} 'two words' '$HOME'"


def told(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads((folder / "told.json").read_bytes())
    return found


def test_a_finished_run_tells_its_facts_and_no_shell_reads_them(tmp_path: Path, writer: str) -> None:
    assert engine("run", "--run", "r", "--limit", "5", "--runs-dir", tmp_path, "--on-end", writer) == 0
    found = told(tmp_path)
    facts = {name: value for name, value in found["env"].items() if name.startswith("ENGINE_")}
    kept = found["summary"]["table1"]["kept"]["conversations"]
    assert facts == {
        "ENGINE_RUN": "r", "ENGINE_STATE": "done", "ENGINE_EXIT_CODE": "0", "ENGINE_KEPT": str(kept),
        "ENGINE_FOLDER": str(tmp_path / "r"),
    }  # fmt: skip
    assert found["arguments"] == ["two words", "$HOME"]
    # The same from the configuration that the run keeps.
    (tmp_path / "told.json").unlink()
    assert engine("resume", "r", "--runs-dir", tmp_path) == 0
    assert told(tmp_path)["env"]["ENGINE_STATE"] == "done"


@pytest.mark.asyncio
async def test_a_stopped_run_says_so(tmp_path: Path, writer: str) -> None:
    async with serve(RehearsalSettings(delay=Fixed(0.05))) as server:
        process = await start_engine(
            "run", "--run", "r", "--limit", "66", "--concurrency", "2", "--base-url", server.base_url,
            "--simulator", "s", "--assistant", "a", "--runs-dir", tmp_path, "--on-end", writer,
        )  # fmt: skip
        await until(lambda: server.stats.requests > 5)
        process.send_signal(signal.SIGTERM)
        await process.communicate()
    assert process.returncode == 143
    found = told(tmp_path)["env"]
    assert (found["ENGINE_STATE"], found["ENGINE_EXIT_CODE"]) == ("stopped", "143")


def test_a_refused_run_is_a_failed_one(tmp_path: Path, writer: str) -> None:
    options = ("--run", "r", "--limit", "2", "--runs-dir", tmp_path, "--on-end", writer)
    assert engine("run", *options) == 0
    assert engine("run", *options, "--seed", "8") == 78
    found = told(tmp_path)
    assert (found["env"]["ENGINE_STATE"], found["env"]["ENGINE_EXIT_CODE"]) == ("failed", "78")
    assert found["summary"] == {}


def test_no_key_reaches_it(tmp_path: Path, writer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SECRETS, "_forms", set())
    SECRETS.add("sk-of-a-copy")
    for name in ("MY_KEY", "HEADER_KEY", "OPENAI_API_KEY"):
        monkeypatch.setenv(name, "key-that-is-secret")
    monkeypatch.setenv("COPY", "Bearer sk-of-a-copy")
    monkeypatch.setenv("HARMLESS", "yes")
    endpoint = {"base_url": "http://h/v1", "key_env": "MY_KEY", "headers": {"x-team": "a ${HEADER_KEY}"}}
    config = RunConfig.model_validate({"endpoints": {"e": endpoint}})
    command = writer.split(" '")[0].split()
    assert run_end_hook(command, SessionEnd("r", tmp_path, "done", 0, 1), config) is None
    environment = told(tmp_path)["env"]
    assert environment["HARMLESS"] == "yes"
    assert environment.keys().isdisjoint({"MY_KEY", "HEADER_KEY", "OPENAI_API_KEY", "COPY"})
    assert "secret" not in "".join(environment.values())


def test_no_key_reaches_it_however_short(
    tmp_path: Path, writer: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MY_KEY", "k3y")
    monkeypatch.setenv("COPY", "Bearer k3y")
    monkeypatch.setenv("HARMLESS", "k3ys")
    options = ("--base-url", "http://127.0.0.1:9/v1", "--simulator", "s", "--assistant", "a")
    command = ("run", "--run", "r", "--limit", "2", "--runs-dir", tmp_path, "--key-env", "MY_KEY", *options)
    # Where a copy of it could not be hidden, it is not used at all.
    assert engine(*command, "--on-end", writer) == 78
    assert "the key in MY_KEY has fewer than 6 characters" in capsys.readouterr().err
    environment = told(tmp_path)["env"]
    assert environment["HARMLESS"] == "k3ys"
    assert environment.keys().isdisjoint({"MY_KEY", "COPY"})


@pytest.mark.parametrize("placeholder", ["EMPTY", "none"])
def test_a_word_for_no_key_is_taken(placeholder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", placeholder)
    settings = EndpointSettings(base_url="http://h/v1", key_env="MY_KEY")
    assert request_headers("e", settings)["authorization"] == f"Bearer {placeholder}"


def test_short_parts_of_secret_headers_are_refused_and_others_are_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ORG", "ab")
    request_headers("e", EndpointSettings(base_url="http://h/v1", headers={"x-team": "${ORG}"}))
    with pytest.raises(ConfigError, match="key in ORG has fewer"):
        request_headers("e", EndpointSettings(base_url="http://h/v1", headers={"x-api-key": "${ORG}"}))


def test_its_failure_is_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    no_program = tmp_path / "no-program"
    no_program.touch(0o700)
    for command, says in (
        (f"{sys.executable} -c 'raise SystemExit(9)'", "ended with exit code 9"),
        (str(no_program), "cannot be started: Exec format error"),
    ):
        assert engine("run", "--run", "r", "--limit", "2", "--runs-dir", tmp_path, "--on-end", command) == 0
        assert says in capsys.readouterr().err


@pytest.mark.parametrize("more", [(), ("--dry-run",)])
def test_a_program_that_is_not_there_is_refused_before_anything_is_sent(
    more: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    not_executable = tmp_path / "notes.txt"
    not_executable.touch(0o600)
    for command in ("/nowhere/at-all", str(not_executable), "no-such-program-anywhere --now"):
        arguments = (
            "run",
            "--run",
            "r",
            "--limit",
            "2",
            "--runs-dir",
            tmp_path / "runs",
            "--on-end",
            command,
        )
        assert engine(*arguments, *more) == 78
        assert "on_end: there is no program" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_it_is_ended_with_its_children_after_its_deadline(tmp_path: Path) -> None:
    end = SessionEnd("r", tmp_path, "done", 0, 1)
    script = (
        "import os, subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        f"open({str(tmp_path / 'pids')!r}, 'w').write(str(child.pid))\n"
        "time.sleep(60)\n"
    )
    began = time.monotonic()
    warning = run_end_hook([sys.executable, "-c", script], end, RunConfig(), deadline_s=2.0)
    assert time.monotonic() - began < 10
    assert warning is not None
    assert "longer than 2 s" in warning
    child = int((tmp_path / "pids").read_text())
    state = Path(f"/proc/{child}/stat")
    assert not state.exists() or state.read_text().split()[2] == "Z" or os.getpgid(child) != child


def test_a_command_that_cannot_be_read_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert engine("run", "--limit", "2", "--runs-dir", tmp_path, "--on-end", "say 'no") == 2
    assert "--on-end: No closing quotation" in capsys.readouterr().err
