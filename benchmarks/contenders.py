"""Who is compared, and how each holds the same conversations.

All ask the prompts of the same jobs, in plan order, with the same messages and parameters; calls are counted
at the server. The engine writes its prompts to a file once, and the others read them there.
"""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.canned import ASSISTANT, SIMULATOR
from benchmarks.environments import compiled_engine, environment
from benchmarks.processes import TEMPORARY, Server, run_client

from engine.config.settings import RunConfig
from engine.runner.prepare import prepare

JOBS_PER_REPEAT = 2640


@dataclass(frozen=True, slots=True)
class Contender:
    """One client. `pace` says how long it may take: rough milliseconds of CPU per call, for time limits."""

    name: str
    label: str
    module: str
    peer: str | None = None
    variant: str = ""
    is_engine: bool = False
    is_compiled: bool = False
    pace: float = 1.0


ENGINE = Contender("engine", "the engine", "engine_run", variant="asyncio", is_engine=True)
ENGINE_HTTPX = Contender(
    "engine-httpx", "the engine, --transport httpx", "engine_run", variant="httpx", is_engine=True, pace=3
)
ENGINE_COMPILED = Contender(
    "engine-compiled",
    "the engine, compiled",
    "engine_run",
    variant="asyncio",
    is_engine=True,
    is_compiled=True,
)
SCRIPT = Contender("script", "hand-written aiohttp script", "aiohttp_script")
CONTENDERS = (
    ENGINE,
    ENGINE_COMPILED,
    ENGINE_HTTPX,
    SCRIPT,
    Contender("openai-aiohttp", "AsyncOpenAI over aiohttp", "openai_gather", "openai", "aiohttp", pace=4),
    Contender("openai", "AsyncOpenAI", "openai_gather", "openai", "httpx", pace=6),
    Contender("litellm", "litellm", "litellm_gather", "litellm", pace=10),
    Contender("inspect-ai", "inspect-ai", "inspect_task", "inspect-ai", pace=30),
    Contender("curator", "bespokelabs-curator", "curator_talk", "curator", pace=20),
)


def find_absent(names: list[str]) -> tuple[dict[str, str], dict[str, str]]:
    """(version of each peer that is there, reason for each contender that is absent)."""
    versions, absent = {}, {}
    for contender in CONTENDERS:
        if contender.is_compiled and contender.name in names:
            if reason := compiled_engine().absent_because:
                absent[contender.name] = reason
        elif contender.peer is not None and contender.name in names:
            made = environment(contender.peer)
            if made.absent_because:
                absent[contender.name] = made.absent_because
            else:
                versions[contender.name] = made.version
    return versions, absent


def write_prompts(path: Path) -> None:
    """The prompts of every job of one repeat, in plan order."""
    inputs = prepare(RunConfig())
    with path.open("w", encoding="utf-8") as file:
        for job in inputs.plan.jobs():
            prompts = inputs.prompts(job)
            fields = {
                "simulator_setup": "\n\n".join(prompts.simulator_setup),
                "assistant_setup": prompts.assistant_setup,
                "simulator_kickoff": prompts.simulator_kickoff,
                "end_prompt": prompts.end_prompt,
                "end_phrase": prompts.end_phrase,
            }
            file.write(json.dumps(fields) + "\n")


def run_contender(
    contender: Contender,
    server: Server,
    *,
    conversations: int,
    concurrency: int,
    stop_before_dataset: bool = False,
    timeout_s: float | None = None,
) -> dict[str, Any]:
    """Let it hold `conversations`; its figures and the server's counters. Raises ClientFailed."""
    folder = TEMPORARY / contender.name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    report = TEMPORARY / f"{contender.name}.json"
    server.reset()
    before = server.stats()["server_cpu_s"]
    # In a folder of its own, which stands before the sources that are installed for work on them.
    own = {"PYTHONPATH": str(compiled_engine().folder)} if contender.is_compiled else None
    if timeout_s is None:
        timeout_s = 120 + 8 * conversations * contender.pace / 1000 * 3
    if contender.is_engine:
        command = engine_command(
            server.base_urls[0],
            folder,
            report,
            limit=conversations,
            concurrency=concurrency,
            transport=contender.variant,
        )
        if stop_before_dataset:
            command.append("--stop-before-dataset")
    else:
        python = sys.executable if contender.peer is None else str(environment(contender.peer).python)
        command = [python, "-m", f"benchmarks.clients.{contender.module}", "--base-url", server.base_urls[0]]
        command += ["--conversations", str(conversations), "--concurrency", str(concurrency)]
        command += ["--prompts", str(TEMPORARY / "prompts.jsonl"), "--folder", str(folder)]
        command += ["--report", str(report), "--variant", contender.variant]
    figures = run_client(command, report, timeout_s=timeout_s, environment=own)
    stats = server.stats()
    calls = stats["replies"]
    shutil.rmtree(folder, ignore_errors=True)
    return {
        **figures,
        "calls": calls,
        # Requests that were refused, or whose client had gone: 0 where nothing went wrong.
        "unanswered": stats["requests"] - calls,
        "cpu_us_per_call": figures["cpu_s"] / calls * 1e6,
        "calls_per_s": calls / figures["wall_s"],
        "server_us_per_call": (stats["server_cpu_s"] - before) / calls * 1e6,
        "server": {
            key: stats[key] for key in ("requests", "refused", "connections", "peak_in_flight", "pace")
        },
        "first_request_at": stats["first_request_at"],
    }


def engine_command(
    base_url: str,
    runs_dir: Path,
    report: Path,
    *,
    limit: int,
    concurrency: int,
    transport: str = "asyncio",
    run: str = "bench",
) -> list[str]:
    """`engine run` against the benchmark's server."""
    command = [sys.executable, "-m", "benchmarks.clients.engine_run", "--report", str(report), "run"]
    command += ["--base-url", base_url, "--simulator", SIMULATOR, "--assistant", ASSISTANT]
    command += ["--limit", str(limit), "--repeat", str(-(-limit // JOBS_PER_REPEAT)), "--run", run]
    # The contenders are compared at a given number in flight, so none is to be found.
    command += ["--concurrency", str(concurrency), "--transport", transport, "--no-adaptive"]
    command += ["--runs-dir", str(runs_dir), "--json"]
    return command
