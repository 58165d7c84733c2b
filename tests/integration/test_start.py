"""A command starts with what it needs: what other commands and other endpoints need is not loaded."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

# Of everything that only some commands use. A time would say the same, on a quiet machine.
OTHERS = {
    "engine.analysis", "engine.annotation", "engine.dataset", "engine.experiments", "engine.profiles",
    "engine.local", "engine.rehearsal", "engine.cli.display", "engine.llm.httpx_transport",
    "httpx",
}  # fmt: skip
_HELP = """
import sys
from engine.cli.main import exit_code_of
exit_code_of(["--help"])
print(*sys.modules)
"""
# Left at the first conversation, when everything before the first call is done.
_RUN = """
import os, sys
import engine.runner.run as runner
from engine.cli.main import exit_code_of

async def leave(*given, **named):
    print(*sys.modules, flush=True)
    os._exit(0)

runner.hold_conversation = leave
exit_code_of(sys.argv[1:])
"""


def modules(script: str, *arguments: str, folder: Path) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        cwd=folder, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split())


def test_help_loads_no_command(tmp_path: Path) -> None:
    loaded = modules(_HELP, folder=tmp_path)
    assert {name for name in loaded if name.startswith("engine.cli.")} == {
        "engine.cli.commands_on_use", "engine.cli.exit_codes", "engine.cli.main",
    }  # fmt: skip
    assert not loaded & {"pydantic", "jinja2", "yaml", "apsw"}


@pytest.mark.parametrize("command", ["run", "resume"])
def test_a_run_that_asks_a_server_loads_nothing_of_other_commands(command: str, tmp_path: Path) -> None:
    begin = ["run", "--base-url", "http://127.0.0.1:9/v1", "--simulator", "s", "--assistant", "a"]
    begin += ["--limit", "2", "--run", "r", "--runs-dir", ".", "--json"]
    loaded = modules(_RUN, *begin, folder=tmp_path)
    if command == "resume":
        loaded = modules(_RUN, "resume", "r", "--runs-dir", ".", "--json", folder=tmp_path)
    assert "engine.runner.session" in loaded
    assert not loaded & OTHERS
