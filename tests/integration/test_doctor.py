"""`engine doctor` against the rehearsal server in each format, and against what goes wrong with endpoints."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from tests.doubles.command_line import run_engine

from engine.rehearsal.replies import Reply
from engine.rehearsal.server import serve
from engine.rehearsal.settings import RehearsalSettings

pytestmark = pytest.mark.asyncio
KEY = "sk-doctor-test-0123456789"
STUDY = """
endpoints:
  chat: {{base_url: "{0}/v1", key_env: DOCTOR_KEY}}
  claude: {{base_url: "{0}/v1", key_env: DOCTOR_KEY, format: anthropic}}
  google: {{base_url: "{0}/v1beta", key_env: DOCTOR_KEY, format: gemini}}
  azure: {{base_url: "{0}/openai/deployments/{{model}}", key_env: DOCTOR_KEY, key_header: api-key,
           query: {{api-version: "1"}}}}
stages:
  simulator: {{endpoint: [chat, claude, google, azure], model: some-model}}
  assistant: {{endpoint: chat, model: some-model}}
  judge: {{endpoint: chat, model: another, temperature: 0.0}}
"""
WRONG = """
endpoints:
  page: {{base_url: "{0}/v1", format: anthropic}}
  nowhere: {{base_url: "{0}/v2"}}
  closed: {{base_url: "http://127.0.0.1:1/v1", connect_timeout_s: 1}}
  keyless: {{base_url: "{0}/v1", key_env: NOT_SET_ANYWHERE}}
  file: {{base_url: "{0}/v1", ca_file: nothing.pem}}
stages:
  simulator: {{endpoint: [page, nowhere, closed, keyless, file], model: m}}
  assistant: {{endpoint: nowhere, model: m}}
"""


async def test_every_format_is_asked_and_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCTOR_KEY", KEY)
    file = tmp_path / "study.yaml"
    async with serve(RehearsalSettings(api_key=KEY)) as server:
        file.write_text(STUDY.format(server.base_url.removesuffix("/v1")))
        code, output = await run_engine("doctor", file, "--json")
        assert code == 0, output
        found = orjson.loads(output)
        code, text = await run_engine("doctor", file)
    assert [(its["endpoint"], its["stages"], its["model"]) for its in found] == [
        ("chat", ["simulator", "assistant"], "some-model"),
        ("chat", ["judge"], "another"),
        ("claude", ["simulator"], "some-model"),
        ("google", ["simulator"], "some-model"),
        ("azure", ["simulator"], "some-model"),
    ]
    for its in found:
        assert its["status"] == 200
        assert its["served_model"] == its["model"]
        assert (its["finish_reason"], its["cached_tokens"], its["failure"]) == ("stop", 0, None)
        assert its["prompt_tokens"] > 0
        assert its["latency_s"] > 0
    assert server.stats.requests == 10
    assert code == 0
    assert "5 calls, 0 failed" in text
    assert "Anthropic Messages" in text
    assert KEY not in output + text


async def test_limits_reasoning_and_another_model_are_shown(tmp_path: Path) -> None:
    def scripted(request: dict[str, object], raw: bytes) -> Reply:
        message = {"role": "assistant", "content": "Hello.", "reasoning_content": "hm"}
        body = {"model": "m-2025", "choices": [{"message": message, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 9, "completion_tokens": 2}}  # fmt: skip
        headers = (
            ("x-ratelimit-limit-requests", "500"), ("x-ratelimit-remaining-requests", "499"),
            ("x-ratelimit-reset-requests", "120ms"),
        )  # fmt: skip
        return Reply(200, orjson.dumps(body), headers)

    async with serve(replier=scripted) as server:
        code, output = await run_engine(
            "doctor", "--base-url", server.base_url, "--simulator", "m", "--assistant", "m"
        )
    assert code == 0, output
    for said in ("served as m-2025", "500 requests/min (499 left)", "2 characters, kept apart"):
        assert said in output
    assert server.stats.requests == 1, "both stages ask the same of the same model"


async def test_each_failure_says_what_to_do_and_has_its_exit_code(tmp_path: Path) -> None:
    def page(request: dict[str, object], raw: bytes) -> Reply:
        return Reply(200, b"<html>Sign in</html>")

    file = tmp_path / "wrong.yaml"
    async with serve(replier=page) as server:
        file.write_text(WRONG.format(server.base_url.removesuffix("/v1")))
        code, output = await run_engine("doctor", file, "--json")
    assert code == 78
    found = {its["endpoint"]: its for its in orjson.loads(output)}
    assert {name: its["exit_code"] for name, its in found.items()} == {
        "page": 78, "nowhere": 78, "closed": 75, "keyless": 78, "file": 78,
    }  # fmt: skip
    assert "not in the Anthropic Messages format" in found["page"]["advice"]
    assert "everything before /chat/completions" in found["nowhere"]["advice"]
    assert "Is the server running" in found["closed"]["advice"]
    assert "NOT_SET_ANYWHERE" in found["keyless"]["failure"]


async def test_refused_key_is_77(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCTOR_KEY", KEY)
    async with serve(RehearsalSettings(api_key="the-key-of-another")) as server:
        code, output = await run_engine(
            "doctor", "--base-url", server.base_url, "--simulator", "m", "--assistant", "m",
            "--key-env", "DOCTOR_KEY",
        )  # fmt: skip
    assert code == 77, output
    assert "Check the variable or file" in output
    assert KEY not in output
