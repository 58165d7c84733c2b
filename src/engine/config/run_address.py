"""How the next command has to name a run."""

from __future__ import annotations

import os
import shlex
from pathlib import Path


def run_address(folder: Path) -> str:
    """The run in `folder` for a command line: its name where it is found by that, else its path, quoted."""
    usual = Path(os.environ.get("ENGINE_RUNS_DIR") or "runs")
    is_usual = folder.parent.absolute() == usual.absolute()
    return folder.name if is_usual else shlex.quote(str(folder))
