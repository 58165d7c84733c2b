"""Whole runs over real HTTP in each format: kept, verified, and free to change the format meanwhile."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import orjson
import pytest
from tests.doubles.command_line import records, run_engine

from engine.journal.journal import JOURNAL_NAME
from engine.journal.reader import Reader
from engine.rehearsal.server import serve
from engine.rehearsal.settings import RehearsalSettings

pytestmark = pytest.mark.asyncio
KEY = "sk-test-of-formats-0123456789"
ENDPOINTS = {
    "openai": "base_url: {0}/v1",
    "anthropic": "base_url: {0}/v1\n    format: anthropic",
    "gemini": "base_url: {0}/v1beta\n    format: gemini",
    "azure": (
        "base_url: {0}/openai/deployments/{{model}}\n    key_header: api-key\n"
        '    query: {{api-version: "2024-10-21"}}'
    ),
}


def study(tmp_path: Path, kind: str, address: str, limit: int = 6) -> Path:
    path = tmp_path / f"{kind}.yaml"
    path.write_text(
        f"limit: {limit}\nendpoints:\n  lab:\n    key_env: FORMAT_KEY\n"
        f"    {ENDPOINTS[kind].format(address)}\nstages:\n"
        "  simulator: {endpoint: lab, model: vendor/sim}\n  assistant: {endpoint: lab, model: helper}\n"
    )
    return path


@pytest.mark.parametrize(
    ("kind", "transport"), [*((kind, "asyncio") for kind in ENDPOINTS), ("azure", "httpx")]
)
async def test_run_in_each_format_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, transport: str
) -> None:
    monkeypatch.setenv("FORMAT_KEY", KEY)
    async with serve(RehearsalSettings(api_key=KEY, defect_rate=0)) as server:
        address = server.base_url.removesuffix("/v1")
        code, output = await run_engine(
            "run", study(tmp_path, kind, address), "--run", "it", "--runs-dir", tmp_path,
            "--transport", transport,
        )  # fmt: skip
    assert code == 0, output
    found = records(tmp_path / "it" / "conversations.jsonl")
    assert len(found) == 6
    assert all(record["kept"] and record["end_reason"] == "goodbye" for record in found)
    assert all(record["is_rehearsal"] for record in found)
    summary = orjson.loads((tmp_path / "it" / "summary.json").read_bytes())
    assert summary["served_models"]["simulator"] == {"vendor/sim": 6}
    assert summary["usage"]["cached_tokens"] > 0
    code, output = await run_engine("verify", "it", "--runs-dir", tmp_path)
    assert (code, "0 problems" in output) == (0, True)
    assert KEY not in output


async def test_run_goes_on_in_another_format(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORMAT_KEY", KEY)
    async with serve(RehearsalSettings(api_key=KEY)) as server:
        address = server.base_url.removesuffix("/v1")
        for limit, kind in ((2, "gemini"), (6, "anthropic")):
            file = study(tmp_path, kind, address, limit)
            code, output = await run_engine("run", file, "--run", "it", "--runs-dir", tmp_path)
            assert code == 0, output
    assert len(records(tmp_path / "it" / "conversations.jsonl")) == 6
    code, output = await run_engine("verify", "it", "--runs-dir", tmp_path)
    assert (code, "0 problems" in output) == (0, True)


@pytest.mark.parametrize("kind", ["anthropic", "gemini"])
async def test_refused_key_and_wrong_address_stop_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setenv("FORMAT_KEY", KEY)
    async with serve(RehearsalSettings(api_key="another-key-than-ours")) as server:
        address = server.base_url.removesuffix("/v1")
        file = study(tmp_path, kind, address)
        code, output = await run_engine("run", file, "--run", "key", "--runs-dir", tmp_path)
        assert code == 77, output
        file = study(tmp_path, kind, f"{address}/nowhere")
        code, output = await run_engine("run", file, "--run", "address", "--runs-dir", tmp_path)
        assert code == 78, output
        assert "the URL is everything before" in output


async def test_one_model_is_asked_in_two_formats_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORMAT_KEY", KEY)
    async with serve(RehearsalSettings(api_key=KEY, defect_rate=0)) as server:
        file = study(tmp_path, "gemini", server.base_url.removesuffix("/v1"), 8)
        text = file.read_text().replace("endpoint: lab,", "endpoint: [lab, other],")
        other = f"  other: {{base_url: '{server.base_url}', format: anthropic, key_env: FORMAT_KEY}}\nstages:"
        file.write_text(text.replace("stages:", other))
        code, output = await run_engine("run", file, "--run", "it", "--runs-dir", tmp_path)
        assert code == 0, output
    reader = Reader(tmp_path / "it" / JOURNAL_NAME)
    by_endpoint = Counter(call.endpoint for call in reader.calls_from(0))
    reader.close()
    assert set(by_endpoint) == {"lab", "other"}
    code, output = await run_engine("verify", "it", "--runs-dir", tmp_path)
    assert (code, "0 problems" in output) == (0, True)
