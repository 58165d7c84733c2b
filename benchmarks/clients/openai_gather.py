"""AsyncOpenAI with gather and a semaphore, as its documentation shows it.

Variant `httpx` is the client as it comes; `aiohttp` is its own extra for that transport.
"""
# mypy: disable-error-code="import-not-found, misc"

from __future__ import annotations

import argparse

import orjson
from benchmarks.clients.talk import PARAMETERS, Message, Meter, gather_all, run
from openai import AsyncOpenAI, DefaultAioHttpClient


async def main(options: argparse.Namespace, meter: Meter) -> None:
    http_client = DefaultAioHttpClient() if options.variant == "aiohttp" else None
    async with AsyncOpenAI(base_url=options.base_url, api_key="benchmark", http_client=http_client) as client:

        async def ask(model: str, messages: list[Message]) -> str:
            reply = await client.chat.completions.create(model=model, messages=messages, **PARAMETERS)
            return reply.choices[0].message.content or ""

        meter.start()
        await gather_all(options, ask, dumps=orjson.dumps)
        meter.stop()


if __name__ == "__main__":
    run(main)
