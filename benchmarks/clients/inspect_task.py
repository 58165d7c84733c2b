"""inspect-ai: one task, one sample for each conversation, a solver that lets two models talk."""
# mypy: disable-error-code="import-not-found, misc, untyped-decorator, no-any-unimported"

from __future__ import annotations

import os
from typing import Any

from benchmarks.clients.talk import ASSISTANT, SIMULATOR, Message, Meter, arguments, hold, load_prompts
from inspect_ai import Task, eval_async, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import (
    ChatMessageAssistant,
    ChatMessageSystem,
    ChatMessageUser,
    GenerateConfig,
    get_model,
)
from inspect_ai.solver import solver

_KINDS: dict[str, Any] = {
    "system": ChatMessageSystem,
    "user": ChatMessageUser,
    "assistant": ChatMessageAssistant,
}


@solver
def two_models(base_url: str, concurrency: int) -> Any:
    config = GenerateConfig(max_connections=concurrency, temperature=0.5, max_tokens=1024, seed=0)
    models = {
        name: get_model(f"openai-api/bench/{name}", base_url=base_url, api_key="benchmark", config=config)
        for name in (SIMULATOR, ASSISTANT)
    }

    async def solve(state: Any, generate: Any) -> Any:
        async def ask(name: str, messages: list[Message]) -> str:
            typed = [_KINDS[message["role"]](content=message["content"]) for message in messages]
            output = await models[name].generate(typed)
            return str(output.completion)

        turns = await hold(state.metadata, ask)
        state.messages = [_KINDS[turn["role"]](content=turn["content"]) for turn in turns]
        return state

    return solve


@task
def conversations(base_url: str, count: int, concurrency: int, prompts: list[dict[str, str]]) -> Any:
    samples = [
        Sample(input="begin", id=str(number), metadata=prompts[number % len(prompts)])
        for number in range(count)
    ]
    return Task(dataset=MemoryDataset(samples), solver=two_models(base_url, concurrency))


async def main() -> None:
    options = arguments()
    meter = Meter()
    built = conversations(
        options.base_url, options.conversations, options.concurrency, load_prompts(options.prompts)
    )
    meter.start()
    logs = await eval_async(
        built,
        model="mockllm/model",
        max_samples=options.concurrency,
        log_dir=str(options.folder),
        log_level="error",
    )
    meter.stop()
    if logs[0].status != "success":
        raise RuntimeError(f"inspect-ai ended with {logs[0].status}: {logs[0].error}")
    meter.write(options.report)


if __name__ == "__main__":
    import asyncio

    os.environ["INSPECT_DISPLAY"] = "none"
    os.environ.setdefault("BENCH_API_KEY", "benchmark")
    asyncio.run(main())
