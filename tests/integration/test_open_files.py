"""A process that may open few files holds fewer calls at a time, and loses none."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path


def test_a_run_with_more_conversations_than_files_goes_to_its_end(tmp_path: Path) -> None:
    def few_files() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (128, 128))

    (tmp_path / "engine.yaml").write_text("rehearsal: {latency_s: 0.05}\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "engine", "run", "engine.yaml", "--limit", "100", "--concurrency", "100",
         "--runs-dir", "runs", "--json"],
        cwd=tmp_path, capture_output=True, text=True, check=False, preexec_fn=few_files, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "of 100 conversations 32 can wait" in done.stderr
    assert json.loads(done.stdout)["end_reasons"].get("failed", 0) == 0
