"""What all clients share, so that they differ in nothing but the client: prompts, turn-taking, the meter.

Standard library only: each peer runs it in an environment of its own. The messages are those of the
engine's own dialogue (docs/design.md), and grow in the same way.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

SIMULATOR, ASSISTANT = "bench-simulator", "bench-assistant"
MAX_ROUNDS = 10
PARAMETERS: dict[str, Any] = {"temperature": 0.5, "max_tokens": 1024, "seed": 0}

Message = dict[str, str]
Ask = Callable[[str, list[Message]], Awaitable[str]]


class Meter:
    """CPU (user + system, all threads) and wall time of the work itself: imports and set-up are not in it."""

    def __init__(self) -> None:
        self.imports_cpu_s = _cpu_s()
        self._cpu = self._wall = 0.0
        self.cpu_s = self.wall_s = 0.0

    def start(self) -> None:
        """The work begins."""
        self._cpu, self._wall = _cpu_s(), time.monotonic()

    def stop(self) -> None:
        """The work is done."""
        self.cpu_s, self.wall_s = _cpu_s() - self._cpu, time.monotonic() - self._wall

    def write(self, path: Path, **more: object) -> None:
        """Leave the figures where the benchmark looks for them."""
        figures = {
            "cpu_s": self.cpu_s,
            "wall_s": self.wall_s,
            "imports_cpu_s": self.imports_cpu_s,
            "peak_mb": peak_mb(),
            **more,
        }
        path.write_text(json.dumps(figures), encoding="utf-8")


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def peak_mb() -> float:
    """Peak resident memory of this process in 10^6 bytes."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def arguments() -> argparse.Namespace:
    """The command line of every client."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--base-url", required=True)
    parser.add_argument("--conversations", type=int, required=True)
    parser.add_argument("--concurrency", type=int, required=True)
    parser.add_argument("--prompts", type=Path, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--report", type=Path, required=True)
    parser.add_argument("--variant", default="")
    raise_file_limit()
    return parser.parse_args()


def raise_file_limit() -> None:
    """As many sockets as the system allows."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def load_prompts(path: Path) -> list[dict[str, str]]:
    """One conversation's texts a line; conversation i takes line i modulo their number."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


async def hold(prompts: dict[str, str], ask: Ask) -> list[Message]:
    """Hold one conversation; its turns."""
    simulator = [
        {"role": "system", "content": prompts["simulator_setup"]},
        {"role": "user", "content": prompts["simulator_kickoff"]},
    ]
    assistant = [{"role": "system", "content": prompts["assistant_setup"]}]
    turns: list[Message] = []
    for _ in range(MAX_ROUNDS):
        said = await ask(SIMULATOR, simulator)
        if said.strip() == prompts["end_phrase"]:
            break
        simulator.append({"role": "assistant", "content": said})
        assistant.append({"role": "user", "content": said})
        answer = await ask(ASSISTANT, assistant)
        assistant.append({"role": "assistant", "content": answer})
        simulator.append({"role": "user", "content": f"{answer}\n\n{prompts['end_prompt']}"})
        turns += [{"role": "user", "content": said}, {"role": "assistant", "content": answer}]
    return turns


async def gather_all(options: argparse.Namespace, ask: Ask, *, dumps: Callable[[Any], bytes]) -> None:
    """All conversations by gather and a semaphore, each appended as a JSON line when it has ended."""
    prompts = load_prompts(options.prompts)
    free = asyncio.Semaphore(options.concurrency)
    with (options.folder / "conversations.jsonl").open("ab") as file:

        async def one(number: int) -> None:
            async with free:
                turns = await hold(prompts[number % len(prompts)], ask)
            file.write(dumps({"number": number, "history": turns}) + b"\n")

        await asyncio.gather(*(one(number) for number in range(options.conversations)))


def run(main: Callable[[argparse.Namespace, Meter], Awaitable[None]]) -> None:
    """Run a client's coroutine on uvloop where there is one, and write its figures."""
    options = arguments()
    meter = Meter()
    try:
        import uvloop  # noqa: PLC0415 - not in every environment
    except ImportError:
        asyncio.run(main(options, meter))  # type: ignore[arg-type]
    else:
        uvloop.run(main(options, meter))  # type: ignore[arg-type]
    meter.write(options.report)
