"""The main job with a real model: two sides of SmolLM2 talk through the command line, and it shows.

So small a model cannot play its part, which is what this needs: real tokens, usage, stop reasons and cached
prompts, and the faults of real text, for the validation rules to find.
"""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

import orjson
import pytest
from tests.doubles.command_line import engine, records

from engine.dataset.record import FORMAT
from engine.errors import EngineError
from engine.local.weights import SMOLLM2, ensure_weights
from engine.scenarios.places import find_folder

MODEL = "SmolLM2-135M-Instruct"
# What a model does that does not know who it is: it takes up the assistant's part, or the prompt's words.
CONFUSED = {"role_flip", "imitated_system_note", "parroted_end_prompt", "repeated_turn", "near_repeat"}
# Three times the same prompts and one slot, so that their tokens are read once: that is what takes the time.
JOBS = "".join(f'{{"profile": "p001", "task": "skills", "scenario": 0, "repeat": {n}}}\n' for n in range(3))
RULES = "You are this person, the user. Write one short message at a time, and ask for what you need.\n"
CONFIG = """
jobs: jobs.jsonl
conversation: {max_rounds: 2}
local: {slots: 1, context_tokens: 2048}
stages:
  simulator: {model: SmolLM2-135M-Instruct, max_tokens: 16}
  assistant: {model: SmolLM2-135M-Instruct, max_tokens: 16}
"""

# With the packed rules, and a reply long enough to say its end prompt back.
ECHO_JOBS = '{"profile": "p001", "task": "skills", "scenario": 2}\n'
ECHO_CONFIG = """
jobs: jobs.jsonl
conversation: {max_rounds: 2}
local: {slots: 1, context_tokens: 4096, exact: true}
stages:
  simulator: {model: SmolLM2-135M-Instruct, max_tokens: 40}
  assistant: {model: SmolLM2-135M-Instruct, max_tokens: 24}
"""

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("xllamacpp") is None, reason="the extra [local] (xllamacpp) is not installed"
)


@pytest.fixture(scope="module", autouse=True)
def weights() -> None:
    try:
        ensure_weights()
    except EngineError as error:
        pytest.skip(f"the weights are not to be had: {error}")


def test_real_model_holds_conversations_and_the_rules_see_what_it_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "engine.yaml"
    config.write_text(CONFIG)
    (tmp_path / "jobs.jsonl").write_text(JOBS)
    shutil.copytree(find_folder("templates"), tmp_path / "templates")
    (tmp_path / "templates" / "_prompts" / "en" / "rules.jinja").write_text(RULES)
    assert engine("run", config, "--local", "--run", "r", "--runs-dir", tmp_path) == 0
    folder = tmp_path / "r"
    found = records(folder / "conversations.jsonl")
    assert len(found) == 3
    for record in found:
        assert record["format"] == FORMAT
        assert record["is_rehearsal"] is False
        assert record["models"] == {"simulator": MODEL, "assistant": MODEL}
        assert record["end_reason"] in ("goodbye", "max_rounds")
        history, usage = record["history"], record["usage"]
        assert isinstance(history, list)
        assert isinstance(usage, dict)
        assert [turn["role"] for turn in history] == ["user", "assistant"] * (len(history) // 2)
        assert all(turn["content"].strip() for turn in history)
        for side in ("simulator", "assistant"):
            assert usage[side]["prompt_tokens"] > 20
            assert 0 < usage[side]["completion_tokens"] <= 3 * 16
    rules = {flag["rule"] for record in found for flag in list_of(record["flags"])}
    assert rules & CONFUSED, rules

    summary = orjson.loads((folder / "summary.json").read_bytes())
    calls, served = summary["usage"], summary["served_models"]
    assert 0 < calls["cached_tokens"] < calls["prompt_tokens"]
    assert summary["served_model_changed"] is False
    name = SMOLLM2.file_name.removesuffix(".gguf")
    assert served == {side: {name: 3} for side in ("simulator", "assistant")}

    first = str(found[0]["id"])
    capsys.readouterr()
    assert engine("show", "r", first, "--raw", "--runs-dir", tmp_path) == 0
    replies = [line.split("\t", 1)[1] for line in capsys.readouterr().out.splitlines()]
    reasons = {orjson.loads(reply)["choices"][0]["finish_reason"] for reply in replies}
    assert reasons <= {"stop", "length"}
    assert engine("verify", "r", "--runs-dir", tmp_path) == 0
    assert engine("run", config, "--local", "--run", "r", "--runs-dir", tmp_path) == 0
    assert "is complete; nothing was sent" in capsys.readouterr().out


def test_real_model_says_its_end_prompt_back_and_the_rules_see_it(tmp_path: Path) -> None:
    config = tmp_path / "engine.yaml"
    config.write_text(ECHO_CONFIG)
    (tmp_path / "jobs.jsonl").write_text(ECHO_JOBS)
    assert engine("run", config, "--local", "--run", "r", "--runs-dir", tmp_path) == 0
    (record,) = records(tmp_path / "r" / "conversations.jsonl")
    rules = {flag["rule"] for flag in list_of(record["flags"])}
    assert {"parroted_end_prompt", "imitated_system_note"} <= rules
    assert "parroted_end_prompt" in str(record["dropped_because"])


def list_of(value: object) -> list[dict[str, object]]:
    assert isinstance(value, list)
    return value
