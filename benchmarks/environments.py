"""Gives each peer a virtual environment of its own, so that no peer's pins disturb another's.

They lie in `benchmarks/.envs`, which ignores itself. A peer that does not install is reported as absent,
with pip's reason. `python -m benchmarks.environments` makes them all beforehand.

The engine with its path of a call compiled is made here too: a folder to put before the interpreter's path.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "benchmarks" / ".envs"
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
    _make_folder()
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


class Compiled(NamedTuple):
    """The folder that holds the compiled engine, or why there is none."""

    folder: Path
    absent_because: str = ""


def compiled_engine() -> Compiled:
    """This tree's engine with its path of a call compiled, made anew where a source file has changed."""
    found = [path for name in ("src", "templates", "profiles") for path in (ROOT / name).rglob("*")]
    sources = [path for path in found if path.is_file() and path.suffix != ".pyc"]
    digest = hashlib.sha256(sys.version.encode())
    for path in sorted([*sources, ROOT / "pyproject.toml"]):
        digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes() + b"\0")
    folder = FOLDER / "engine-compiled" / digest.hexdigest()[:16]
    if (folder / "engine").is_dir():
        return Compiled(folder)
    if not any(map(shutil.which, ("cc", "gcc", "clang"))):
        return Compiled(folder, "no C compiler")
    _make_folder()
    folder.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as made:
        # By way of a source archive: compiled beside the sources, they would be taken in place of them.
        command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", made, str(ROOT)]
        environ = {**os.environ, "HATCH_BUILD_HOOKS_ENABLE": "1"}
        try:
            subprocess.run(
                command, env=environ, check=True, capture_output=True, text=True, timeout=_TIMEOUT_S
            )
        except subprocess.CalledProcessError as error:
            return Compiled(folder, f"build: {(error.stdout + error.stderr).strip()[-300:]}")
        except subprocess.TimeoutExpired:
            return Compiled(folder, f"build: not done after {_TIMEOUT_S} s")
        with zipfile.ZipFile(next(Path(made).glob("*.whl"))) as wheel:
            wheel.extractall(Path(made) / "package")
        with suppress(OSError):  # somebody else has made the same meanwhile
            (Path(made) / "package").rename(folder)
    return Compiled(folder)


def _make_folder() -> None:
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / ".gitignore").write_text("*\n", encoding="utf-8")


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
    print(f"engine, compiled: {compiled_engine().absent_because or 'made'}")
