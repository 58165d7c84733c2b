"""A key reaches the server and nothing else: no file of the run, no output, no traceback (P7)."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from urllib.parse import quote

import pytest
from tests.doubles.command_line import run_engine

from engine.rehearsal.replies import Reply
from engine.rehearsal.server import serve
from engine.rehearsal.settings import RehearsalSettings

KEY = "sk-canary/+0123456789=abcdef"


def forms_of(key: str) -> list[bytes]:
    return [
        key.encode(), quote(key, safe="").encode(), base64.b64encode(key.encode()),
        base64.b64encode(f"Bearer {key}".encode()),
    ]  # fmt: skip


def assert_nowhere(folder: Path, output: str) -> None:
    paths = [path for path in folder.rglob("*") if path.is_file()]
    assert paths
    for form in forms_of(KEY):
        assert form not in output.encode()
        for path in paths:
            assert form not in path.read_bytes(), path


class Echoing:
    """A server at its worst: some replies are errors that quote the request's key."""

    def __init__(self, status: int) -> None:
        self._status, self._left = status, 3

    def __call__(self, request: dict[str, object], raw: bytes) -> Reply | None:
        if self._left:
            self._left -= 1
            return Reply(self._status, f'{{"error": {{"message": "bad key {KEY}"}}}}'.encode())
        return None


@pytest.mark.asyncio
@pytest.mark.parametrize("transport", ["asyncio", "httpx"])
@pytest.mark.parametrize(("status", "expected"), [(200, 0), (500, 0), (400, 3), (401, 77), (404, 78)])
async def test_key_is_in_no_file_and_no_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, transport: str, status: int, expected: int
) -> None:
    monkeypatch.setenv("CANARY_KEY", KEY)
    replier = None if status == 200 else Echoing(status)
    async with serve(RehearsalSettings(api_key=KEY), replier=replier) as server:
        code, output = await run_engine(
            "run", "--run", "secret", "--limit", "8", "--base-url", server.base_url, "--simulator", "s",
            "--assistant", "a", "--key-env", "CANARY_KEY", "--transport", transport, "--runs-dir", tmp_path,
        )  # fmt: skip
    assert code == expected, output
    assert_nowhere(tmp_path, output)


@pytest.mark.asyncio
@pytest.mark.parametrize("padding", [250, 280, 290, 1180])
@pytest.mark.parametrize("form", ["json", "text"])
async def test_no_part_of_a_key_is_left_where_a_message_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, padding: int, form: str
) -> None:
    monkeypatch.setenv("CANARY_KEY", KEY)
    text = "x" * padding + KEY
    body = f'{{"error": {{"message": "{text}"}}}}' if form == "json" else text

    def quoting(request: dict[str, object], raw: bytes) -> Reply:
        return Reply(400, body.encode())

    async with serve(RehearsalSettings(api_key=KEY), replier=quoting) as server:
        code, output = await run_engine(
            "run", "--run", "secret", "--limit", "2", "--base-url", server.base_url, "--simulator", "s",
            "--assistant", "a", "--key-env", "CANARY_KEY", "--runs-dir", tmp_path,
        )  # fmt: skip
    assert code == 3, output
    assert "sk-can" not in output
    for path in (tmp_path / "secret").iterdir():
        assert b"sk-can" not in path.read_bytes(), path


@pytest.mark.asyncio
async def test_key_is_in_no_traceback_of_a_bug(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANARY_KEY", KEY)
    breaking = tmp_path / "breaking"
    breaking.mkdir()
    (breaking / "sitecustomize.py").write_text(
        "import os\n"
        "import engine.wire.openai as openai\n"
        "def broken(*arguments, **keys):\n"
        "    raise RuntimeError(f'a bug that shows {arguments} {keys} Bearer ' + os.environ['CANARY_KEY'])\n"
        "openai.decode_reply = broken\n"
    )
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(breaking), os.environ.get("PYTHONPATH", "")]))
    async with serve(RehearsalSettings(api_key=KEY)) as server:
        code, output = await run_engine(
            "run", "--run", "secret", "--limit", "8", "--base-url", server.base_url, "--simulator", "s",
            "--assistant", "a", "--key-env", "CANARY_KEY", "--runs-dir", tmp_path / "runs",
        )  # fmt: skip
    assert code == 70, output
    assert "RuntimeError" in output
    assert_nowhere(tmp_path / "runs", output)
