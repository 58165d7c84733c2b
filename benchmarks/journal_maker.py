"""Makes a run that has already finished many conversations, with the engine's own journal.

The replies are the server's own and the outcomes are real rows; only the digests are made up, which nobody
reads of a finished conversation.
"""

from __future__ import annotations

import asyncio
from itertools import islice
from pathlib import Path

from benchmarks.canned import ASSISTANT, SIMULATOR, Replies

from engine.cli.run_options import ModelOptions, build_config
from engine.clock import SystemClock
from engine.config.identity import identity_fields
from engine.config.settings import RunConfig
from engine.journal.inputs import put_inputs
from engine.journal.journal import Journal
from engine.runner.prepare import prepare
from engine.runner.run_folder import RunFolder
from engine.schema.call import CallKey, Usage
from engine.schema.conversation import STAGE, EndReason
from engine.schema.job import Job

_BATCH = 250


def make_finished_run(folder: Path, *, conversations: int, calls_each: int, base_url: str) -> None:
    """A run in `folder` whose first `conversations` jobs have ended, with `calls_each` calls each."""
    repeat = -(-conversations // 2640) + 1
    config, config_dir = build_config(
        None,
        {"limit": conversations, "repeat": repeat},
        ModelOptions(base_url, SIMULATOR, ASSISTANT, None),
    )
    asyncio.run(_fill(RunFolder(folder), config, config_dir, calls_each))


async def _fill(folder: RunFolder, config: RunConfig, config_dir: Path | None, calls_each: int) -> None:
    inputs = prepare(config, config_dir=config_dir)
    folder.make()
    canned = Replies().choose(b'{"model":"%b"}' % ASSISTANT.encode())
    reply = canned.body(2000, 0)
    usage = Usage(2000, canned.completion_tokens)
    async with Journal(folder.path, SystemClock()) as journal:
        folder.write_settings(config, identity_fields(config), config_dir)
        await put_inputs(journal, inputs)
        await journal.begin_session(concurrency=64, settings="{}")

        async def finish(job: Job) -> None:
            seqs = []
            for number in range(calls_each):
                side = "assistant" if number % 2 else "user"
                seq = await journal.append_reply(
                    CallKey(STAGE, job.job_id, f"{side}-{number // 2 + 1}"),
                    request_digest=bytes(24),
                    reply=reply,
                    endpoint="default",
                    tries=1,
                    sent_at=0.0,
                    latency_s=1.0,
                    usage=usage,
                )
                seqs.append(seq)
            await journal.append_outcome(
                STAGE, job.job_id, result=EndReason.GOODBYE, note="", rounds=calls_each // 2, calls=seqs
            )

        jobs = inputs.plan.jobs()
        while batch := list(islice(jobs, _BATCH)):
            await asyncio.gather(*map(finish, batch))
        await journal.end_session("done")
