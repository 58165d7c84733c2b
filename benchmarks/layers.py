"""`python -m benchmarks.layers`: what each layer of the engine's call path costs, by adding one at a time.

A sampling profile of three threads that share the GIL says where the interpreter was, not what a layer
costs. Here the same conversations are held with more and more of the real thing in place, interleaved, and
the differences between the medians are the layers. CPU is that of the whole process.
"""

from __future__ import annotations

import argparse
import gc
import resource
import statistics
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from benchmarks.canned import ASSISTANT, SIMULATOR, Replies, prompt_tokens
from benchmarks.processes import TEMPORARY, running_server

from engine.clock import SystemClock
from engine.config.settings import ModelSettings, RunConfig, TransportKind
from engine.journal.inputs import RunInputs
from engine.journal.journal import Journal
from engine.llm.caller import Caller
from engine.llm.drain import Drain
from engine.llm.endpoint import Endpoint
from engine.llm.exchange import Exchange
from engine.llm.limits import Admission
from engine.llm.open_transport import open_transport
from engine.llm.pool import EndpointPool, Model
from engine.llm.transport import RawReply
from engine.runner.conversation import hold_conversation
from engine.runner.endpoints import request_form
from engine.runner.prepare import prepare
from engine.runner.scheduler import Concurrency, run_jobs
from engine.schema.call import CallKey
from engine.schema.conversation import Role
from engine.schema.job import Job
from engine.wire import openai

LAYERS = ("prompts", "dialogue", "caller", "journal", "transport", "all")
_REPLY_HEADERS = {"content-type": "application/json"}


class NullTransport:
    """Answers at once, from the same canned replies."""

    def __init__(self) -> None:
        self._replies = Replies()
        self.calls = 0

    async def post(self, url: str, headers: Mapping[str, str], body: bytes, *, deadline_s: float) -> RawReply:
        self.calls += 1
        return RawReply(200, _REPLY_HEADERS, self._replies.choose(body).body(prompt_tokens(body), 0))

    async def aclose(self) -> None:
        return None


class NullStore:
    """Keeps nothing; each row is acknowledged at once."""

    def __init__(self) -> None:
        self._seq = 0

    async def append_reply(self, key: CallKey, **row: object) -> int:
        self._seq += 1
        return self._seq

    def note_failure(self, key: CallKey, kind: object, **row: object) -> None:
        return None

    async def append_outcome(self, stage: str, item: str, **row: object) -> None:
        return None


def cpu_s() -> float:
    """CPU seconds of this process, all threads."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def only_prompts(inputs: RunInputs, jobs: list[Job]) -> None:
    """Rendering alone."""
    for job in jobs:
        Exchange(job, inputs.prompts(job), inputs.rules(job))


def only_dialogue(inputs: RunInputs, jobs: list[Job]) -> int:
    """Prompts, turn-taking, encoding of requests and decoding of replies, with nobody to ask."""
    replies = Replies()
    form = request_form(ModelSettings(model=SIMULATOR))
    other = request_form(ModelSettings(model=ASSISTANT))
    calls = 0
    for job in jobs:
        exchange = Exchange(job, inputs.prompts(job), inputs.rules(job))
        while (question := exchange.question) is not None:
            side = form if question.side is Role.USER else other
            side.digest(question.messages, seed=1)
            body = side.encode(question.messages, seed=1, cache_key=question.cache_key)
            reply = replies.choose(body).body(2000, 0)
            exchange.receive(openai.decode_reply(reply), 1)
            calls += 1
    return calls


async def hold_all(
    inputs: RunInputs,
    jobs: list[Job],
    url: str,
    *,
    concurrency: int,
    transport_kind: TransportKind | None,
    is_durable: bool,
) -> tuple[int, float]:
    """(calls, CPU seconds) of the runner's own loop over these jobs."""
    clock, drain = SystemClock(), Drain()
    async with AsyncExitStack() as stack:
        if transport_kind is None:
            transport: Any = NullTransport()
        else:
            transport = open_transport(transport_kind, connections=concurrency)
        stack.push_async_callback(transport.aclose)
        store: Any = NullStore()
        if is_durable:
            folder = stack.enter_context(tempfile.TemporaryDirectory(dir=TEMPORARY))
            store = await stack.enter_async_context(Journal(Path(folder), clock))
            await store.begin_session(concurrency=concurrency, settings="{}")
        headers = {"content-type": "application/json", "accept": "application/json"}
        endpoint = Endpoint("default", url, headers, transport, Admission(clock), 600.0)
        pool = EndpointPool([endpoint])
        models = {
            Role.USER: Model(request_form(ModelSettings(model=SIMULATOR)), pool),
            Role.ASSISTANT: Model(request_form(ModelSettings(model=ASSISTANT)), pool),
        }
        caller = Caller(store, clock, drain, run_seed=0)

        async def hold(job: Job) -> None:
            exchange = Exchange(job, inputs.prompts(job), inputs.rules(job))
            await hold_conversation(exchange, models, caller, store)

        async def feed() -> AsyncIterator[Job]:
            for job in jobs:
                yield job

        before = cpu_s()
        await run_jobs(feed(), hold, concurrency=Concurrency(concurrency), drain=drain, drain_s=1.0)
        return caller.counts.replies, cpu_s() - before


def measure_layers(conversations: int, concurrency: int, repeats: int) -> dict[str, list[float]]:
    """Microseconds of CPU per call, cumulative, by layer; one value for each repeat."""
    import uvloop  # noqa: PLC0415 - not on Windows

    TEMPORARY.mkdir(parents=True, exist_ok=True)
    inputs = prepare(RunConfig(limit=conversations))
    jobs = list(inputs.plan.jobs())
    values: dict[str, list[float]] = {layer: [] for layer in LAYERS}
    steps: dict[str, tuple[TransportKind | None, bool]] = {
        "caller": (None, False),
        "journal": (None, True),
        "transport": ("asyncio", False),
        "all": ("asyncio", True),
    }
    with running_server() as server:
        url = server.base_urls[0] + openai.PATH
        for _ in range(repeats):
            gc.collect()
            before = cpu_s()
            only_prompts(inputs, jobs)
            between = cpu_s()
            calls = only_dialogue(inputs, jobs)
            values["dialogue"].append((cpu_s() - between) / calls * 1e6)
            values["prompts"].append((between - before) / calls * 1e6)
            for layer, (kind, is_durable) in steps.items():
                gc.collect()
                work = hold_all(
                    inputs, jobs, url, concurrency=concurrency, transport_kind=kind, is_durable=is_durable
                )
                calls, used_s = uvloop.run(work)
                values[layer].append(used_s / calls * 1e6)
    return values


def _beyond_sum(median: Mapping[str, float]) -> float:
    return median["all"] + median["caller"] - median["journal"] - median["transport"]


def main() -> None:
    """Print the layers and their differences."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--conversations", type=int, default=500)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    values = measure_layers(options.conversations, options.concurrency, options.repeats)
    median = {layer: statistics.median(found) for layer, found in values.items()}
    for layer, found in values.items():
        print(f"{layer:<10} {median[layer]:7.1f} us a call ({min(found):.1f}-{max(found):.1f})")
    print("differences, us a call:")
    for name, value in (
        ("prompts and set-up", median["prompts"]),
        ("turn-taking, encoding, decoding", median["dialogue"] - median["prompts"]),
        ("caller, scheduler, tasks", median["caller"] - median["dialogue"]),
        ("journal", median["journal"] - median["caller"]),
        ("transport", median["transport"] - median["caller"]),
        ("both together, beyond their sum", _beyond_sum(median)),
    ):
        print(f"  {name:<34} {value:7.1f}")


if __name__ == "__main__":
    main()
