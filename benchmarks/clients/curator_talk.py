"""bespokelabs-curator: all conversations turn by turn, each turn one bulk `curator.LLM` call.

curator's own multi-turn class holds a single conversation, and its unit of work is a data set; so the
conversations go in lock-step, as its documentation would have it for many rows.
"""
# mypy: disable-error-code="import-not-found, misc, no-any-unimported"

from __future__ import annotations

import json
import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

os.environ["TELEMETRY_ENABLED"] = "false"
os.environ["CURATOR_DISABLE_RICH_DISPLAY"] = "1"
os.environ["CURATOR_DISABLE_CACHE"] = "1"
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
os.environ.setdefault("OPENAI_API_KEY", "benchmark")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
# Its token counter would fetch a file at the first call; litellm, which it depends on, has the same one.
_LITELLM = find_spec("litellm")
if _LITELLM is not None and _LITELLM.origin is not None:
    _TOKENIZERS = Path(_LITELLM.origin).parent / "litellm_core_utils" / "tokenizers"
    os.environ.setdefault("TIKTOKEN_CACHE_DIR", str(_TOKENIZERS))

from benchmarks.clients.talk import (  # noqa: E402
    ASSISTANT,
    MAX_ROUNDS,
    PARAMETERS,
    SIMULATOR,
    Meter,
    arguments,
    load_prompts,
)
from bespokelabs import curator  # noqa: E402


class Turn(curator.LLM):
    """One turn of many conversations."""

    def prompt(self, row: dict[str, Any]) -> list[dict[str, str]]:
        messages: list[dict[str, str]] = json.loads(row["messages"])
        return messages

    def parse(self, row: dict[str, Any], response: str) -> dict[str, Any]:
        return {"number": row["number"], "text": response}


def main() -> None:
    options = arguments()
    backend = {
        "base_url": options.base_url,
        "api_key": "benchmark",
        "max_concurrent_requests": options.concurrency,
        "max_requests_per_minute": 10_000_000,
        "max_tokens_per_minute": 1_000_000_000_000,
        "request_timeout": 600,
    }
    turn = {
        name: Turn(
            model_name=name, backend="openai", backend_params=backend, generation_params=dict(PARAMETERS)
        )
        for name in (SIMULATOR, ASSISTANT)
    }
    prompts = load_prompts(options.prompts)
    texts = {number: prompts[number % len(prompts)] for number in range(options.conversations)}
    simulator = {
        number: [
            {"role": "system", "content": text["simulator_setup"]},
            {"role": "user", "content": text["simulator_kickoff"]},
        ]
        for number, text in texts.items()
    }
    assistant = {
        number: [{"role": "system", "content": text["assistant_setup"]}] for number, text in texts.items()
    }

    def ask(name: str, messages: dict[int, Any], numbers: list[int]) -> dict[int, str]:
        rows = [{"number": number, "messages": json.dumps(messages[number])} for number in numbers]
        done = turn[name](rows, working_dir=str(options.folder))
        return {row["number"]: row["text"] for row in done.dataset}

    meter = Meter()
    meter.start()
    open_now = list(texts)
    for _ in range(MAX_ROUNDS):
        said = ask(SIMULATOR, simulator, open_now)
        open_now = [number for number in open_now if said[number].strip() != texts[number]["end_phrase"]]
        if not open_now:
            break
        for number in open_now:
            simulator[number].append({"role": "assistant", "content": said[number]})
            assistant[number].append({"role": "user", "content": said[number]})
        answers = ask(ASSISTANT, assistant, open_now)
        for number in open_now:
            answer = answers[number]
            assistant[number].append({"role": "assistant", "content": answer})
            simulator[number].append(
                {"role": "user", "content": f"{answer}\n\n{texts[number]['end_prompt']}"}
            )
    with (options.folder / "conversations.jsonl").open("w", encoding="utf-8") as file:
        for number in texts:
            file.write(json.dumps({"number": number, "history": assistant[number][1:]}) + "\n")
    meter.stop()
    meter.write(options.report)


if __name__ == "__main__":
    main()
