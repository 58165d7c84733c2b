"""What a command prints to may be full, closed or gone: nothing of the run depends on it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from engine.journal.journal import JOURNAL_NAME

FULL = Path("/dev/full")


def in_shell(tmp_path: Path, redirection: str, *arguments: str) -> tuple[int, str]:
    command = f'"{sys.executable}" -m engine "$@" {redirection}'
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command, "bash", *arguments],
        cwd=tmp_path, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("redirection", "code"),
    [
        pytest.param(">/dev/full", 74, marks=pytest.mark.skipif(not FULL.exists(), reason="none here")),
        (">&-", 0),
        (">&- 2>&- <&-", 0),
        ("| true", 0),
    ],
)
def test_a_run_is_whole_whatever_becomes_of_its_output(tmp_path: Path, redirection: str, code: int) -> None:
    arguments = ("run", "--run", "r", "--limit", "2", "--runs-dir", str(tmp_path))
    found, output = in_shell(tmp_path, redirection, *arguments, "--on-end", "echo told")
    assert found == code, output
    assert "Traceback" not in output
    assert (tmp_path / "r" / JOURNAL_NAME).read_bytes().startswith(b"SQLite format 3\0")
    assert len((tmp_path / "r" / "conversations.jsonl").read_bytes().splitlines()) == 2
    assert in_shell(tmp_path, "", "verify", "r", "--runs-dir", str(tmp_path))[0] == 0
