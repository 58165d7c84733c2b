"""uvloop is used where it is installed, and nothing needs it."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

_RUN = "import sys; {}; from engine.cli.main import main; main()"
_WITHOUT = "sys.modules['uvloop'] = None"  # every import of it fails
_WITH = "import uvloop"


def test_a_run_without_uvloop_brings_the_same_dataset(tmp_path: Path) -> None:
    digests = set()
    for name, prelude in (("with", _WITH), ("without", _WITHOUT)):
        command = ["run", "--limit", "6", "--run", name, "--runs-dir", "."]
        done = subprocess.run(
            [sys.executable, "-c", _RUN.format(prelude), *command],
            cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        digests.add(hashlib.sha256((tmp_path / name / "conversations.jsonl").read_bytes()).hexdigest())
    assert len(digests) == 1
