"""Gives each peer a virtual environment of its own, so that no peer's pins disturb another's.

They lie in `benchmarks/.envs`, which ignores itself. A peer that does not install is reported as absent,
with pip's reason. `python -m benchmarks.environments` makes them all beforehand.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).parent / ".envs"
PACKAGES = {
    "openai": ("openai[aiohttp]", "uvloop", "orjson"),
    "litellm": ("litellm", "uvloop", "orjson"),
    "inspect-ai": ("inspect-ai", "openai", "uvloop"),
    "curator": ("bespokelabs-curator",),
}
_TIMEOUT_S = 900


class Environment(NamedTuple):
    """A peer's interpreter and version, or why it is absent."""

    python: Path
    version: str
    absent_because: str = ""


def environment(peer: str, *, install: bool = True) -> Environment:
    """The environment of `peer`, made where it is missing."""
    folder = FOLDER / peer
    python = folder / "bin" / "python"
    distribution = PACKAGES[peer][0].partition("[")[0]
    version = _version(python, distribution)
    if version or not install:
        return Environment(python, version, "" if version else "not installed")
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / ".gitignore").write_text("*\n", encoding="utf-8")
    try:
        subprocess.run(
            [sys.executable, "-m", "venv", str(folder)], check=True, capture_output=True, text=True
        )
        subprocess.run(
            [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PACKAGES[peer]],
            check=True,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
        )
    except subprocess.CalledProcessError as error:
        last = (error.stderr or "").strip().splitlines()[-1:] or ["no message"]
        return Environment(python, "", f"pip: {last[0][:200]}")
    except subprocess.TimeoutExpired:
        return Environment(python, "", f"pip was not done after {_TIMEOUT_S} s")
    return Environment(python, _version(python, distribution), "")


def _version(python: Path, distribution: str) -> str:
    if not python.exists():
        return ""
    code = f"from importlib.metadata import version; print(version({distribution!r}))"
    done = subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=False)
    return done.stdout.strip()


if __name__ == "__main__":
    for name in PACKAGES:
        made = environment(name)
        print(f"{name}: {made.absent_because or made.version}")
