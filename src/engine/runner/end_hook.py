"""Tells a command of the user's that a session of a run has ended: a message, a mail, the next job.

It gets facts as environment variables and the summary as JSON on its standard input. It never gets a key:
the variables that hold one, and any other whose value has a secret in it, are taken out of its environment
(P7); a key that is too short to be taken out of a text is refused before a run begins (`llm/endpoint.py`).
What becomes of it changes nothing about the run.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from engine.config.settings import RunConfig
from engine.errors import ConfigError
from engine.logs import SECRETS

DEADLINE_S = 60.0
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
# Where a key lies that no endpoint names, since options take it from there.
_ALWAYS_SECRET = frozenset({"OPENAI_API_KEY"})


@dataclass(frozen=True, slots=True)
class SessionEnd:
    """How a session ended: `done`, `stopped` (resumable) or `failed` (refused, or a bug)."""

    run: str
    folder: Path
    state: Literal["done", "stopped", "failed"]
    exit_code: int
    kept: int
    summary: bytes = b"{}\n"


def check_end_hook(command: Sequence[str] | None) -> None:
    """Raise ConfigError where the command is no program: after a night is late to say so."""
    if command is not None and shutil.which(command[0]) is None:
        raise ConfigError(
            f"on_end: there is no program {command[0]!r} that can be started. Write its full path, and make "
            "it executable (chmod +x). Nothing was sent."
        )


def run_end_hook(
    command: Sequence[str], end: SessionEnd, config: RunConfig, *, deadline_s: float = DEADLINE_S
) -> str | None:
    """Run the command and wait for it; what went wrong, or None. Its output goes to stderr."""
    try:
        process = subprocess.Popen(  # noqa: S603 - the user's own command, without a shell
            list(command),
            stdin=subprocess.PIPE,
            stdout=2,
            # Of its own: a Ctrl+C for the engine is none for it, and its children end with it.
            start_new_session=True,
            env=hook_environment(end, config),
        )
    except (OSError, ValueError) as error:
        return f"on_end: {command[0]} cannot be started: {getattr(error, 'strerror', None) or error}."
    try:
        process.communicate(end.summary, timeout=deadline_s)
    except subprocess.TimeoutExpired:
        return f"on_end: {command[0]} took longer than {deadline_s:g} s and was ended."
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    if process.returncode != 0:
        return f"on_end: {command[0]} ended with exit code {process.returncode}."
    return None


def hook_environment(end: SessionEnd, config: RunConfig) -> dict[str, str]:
    """This process's environment without secrets, and the facts."""
    secret = secret_variables(config)
    # As whole words, since a run that was refused for a short key may end here too.
    keys = "|".join(re.escape(key) for name in secret if (key := os.environ.get(name, "").strip()))
    copies = re.compile(rf"(?<![A-Za-z0-9])(?:{keys})(?![A-Za-z0-9])" if keys else r"(?!)")
    kept = {
        name: value for name, value in os.environ.items()
        if name not in secret and SECRETS.hide(value) == value and not copies.search(value)
    }  # fmt: skip
    return kept | {
        "ENGINE_RUN": end.run,
        "ENGINE_FOLDER": str(end.folder.absolute()),
        "ENGINE_STATE": end.state,
        "ENGINE_EXIT_CODE": str(end.exit_code),
        "ENGINE_KEPT": str(end.kept),
    }


def secret_variables(config: RunConfig) -> frozenset[str]:
    """The environment variables that endpoints take keys from."""
    names: set[str] = set(_ALWAYS_SECRET)
    for endpoint in config.endpoints.values():
        names.update([] if endpoint.key_env is None else [endpoint.key_env])
        names.update(name for value in endpoint.headers.values() for name in _VARIABLE.findall(value))
    return frozenset(names)
