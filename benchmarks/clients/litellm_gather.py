"""litellm's acompletion with gather and a semaphore."""
# mypy: disable-error-code="import-not-found"

from __future__ import annotations

import argparse
import os

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else it fetches a price list at import

import litellm
import orjson
from benchmarks.clients.talk import PARAMETERS, Message, Meter, gather_all, run

litellm.telemetry = False
litellm.suppress_debug_info = True


async def main(options: argparse.Namespace, meter: Meter) -> None:
    async def ask(model: str, messages: list[Message]) -> str:
        reply = await litellm.acompletion(
            model=f"openai/{model}",
            messages=messages,
            api_base=options.base_url,
            api_key="benchmark",
            **PARAMETERS,
        )
        return reply.choices[0].message.content or ""

    meter.start()
    await gather_all(options, ask, dumps=orjson.dumps)
    meter.stop()


if __name__ == "__main__":
    run(main)
