"""The yardstick: the good script that one would write by hand, with aiohttp, orjson and uvloop.

Workers take conversations from an iterator; one session, keep-alive connections, no connector limit in the
way. It appends JSON lines. It neither journals, nor limits, nor retries, nor resumes.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Iterator

import aiohttp
import orjson
from benchmarks.clients.talk import PARAMETERS, Message, Meter, hold, load_prompts, run


async def main(options: argparse.Namespace, meter: Meter) -> None:
    prompts = load_prompts(options.prompts)
    url = options.base_url + "/chat/completions"
    headers = {"content-type": "application/json", "authorization": "Bearer benchmark"}
    numbers = iter(range(options.conversations))
    connector = aiohttp.TCPConnector(limit=options.concurrency)
    timeout = aiohttp.ClientTimeout(total=600)
    with (options.folder / "conversations.jsonl").open("ab") as file:
        async with aiohttp.ClientSession(connector=connector, headers=headers, timeout=timeout) as session:

            async def ask(model: str, messages: list[Message]) -> str:
                body = orjson.dumps({"model": model, "messages": messages, **PARAMETERS})
                async with session.post(url, data=body) as response:
                    if response.status != 200:
                        raise RuntimeError(f"status {response.status}")
                    reply = orjson.loads(await response.read())
                text: str = reply["choices"][0]["message"]["content"]
                return text

            async def work(numbers: Iterator[int]) -> None:
                for number in numbers:
                    turns = await hold(prompts[number % len(prompts)], ask)
                    file.write(
                        orjson.dumps({"number": number, "history": turns}, option=orjson.OPT_APPEND_NEWLINE)
                    )

            meter.start()
            await asyncio.gather(*(work(numbers) for _ in range(options.concurrency)))
            file.flush()
            meter.stop()


if __name__ == "__main__":
    run(main)
