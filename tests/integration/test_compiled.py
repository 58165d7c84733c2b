"""The compiled engine: the path of a call as machine code, held to what holds for the sources.

The same tests, with the compiled package before the sources on the interpreter's path.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from benchmarks.environments import compiled_engine

ROOT = Path(__file__).parent.parent.parent
HELD_TO = (
    *("tests/unit/dialogue", "tests/unit/journal", "tests/unit/llm", "tests/unit/runner", "tests/unit/wire"),
    *("tests/integration/test_same_bytes.py", "tests/integration/test_transport_contract.py"),
    "tests/chaos/test_kill_and_resume.py",
)


@pytest.fixture(scope="module")
def compiled() -> dict[str, str]:
    """The environment in which the compiled engine is the one that is found."""
    made = compiled_engine()
    if made.absent_because == "no C compiler":
        pytest.skip("there is no C compiler: install one to test the compiled engine")
    assert not made.absent_because
    return {**os.environ, "PYTHONPATH": str(made.folder)}


@pytest.mark.timeout(600)
def test_it_says_what_it_is(compiled: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "engine", "--version"],
        env=compiled,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.rstrip().endswith("(compiled)")


@pytest.mark.timeout(900)
def test_what_holds_for_the_sources_holds_for_it(compiled: dict[str, str]) -> None:
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-n",
        "2",
        "-p",
        "no:cacheprovider",
        "-m",
        "not slow",
        *HELD_TO,
    ]
    done = subprocess.run(command, env=compiled, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-5000:]


def test_all_that_is_to_be_compiled_exists() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    hook = settings["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]["mypyc"]
    assert [path for path in hook["include"] if not (ROOT / path).is_file()] == []
