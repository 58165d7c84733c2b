"""What would stop a run before its first call, looked for without sending anything or leaving a trace.

A run looks before it makes its folder, and `--dry-run` looks in the same way: the same message and exit code.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AsyncExitStack, closing
from itertools import product
from typing import TYPE_CHECKING

import anyio
import click

from engine.clock import SystemClock
from engine.config.identity import refuse
from engine.config.matrix import variants_of
from engine.config.settings import RunConfig
from engine.errors import ConfigError
from engine.journal.inputs import RunInputs, check_plan, differences_from, stored_plan
from engine.journal.reader import open_if_begun
from engine.llm.caller import reserved_tokens
from engine.llm.exchange import Exchange, Question
from engine.llm.prices import prices_of
from engine.on_use import ModuleOnUse
from engine.runner.end_hook import check_end_hook
from engine.runner.endpoints import open_models
from engine.runner.open_files import most_connections
from engine.runner.run_folder import RunFolder
from engine.runner.spending import check_prices
from engine.schema.call import Reply, Usage
from engine.schema.job import Job
from engine.schema.plan import Plan

if TYPE_CHECKING:
    from engine.local import server as local_server
    from engine.local import weights as local_weights
else:
    local_server = ModuleOnUse("engine.local.server")
    local_weights = ModuleOnUse("engine.local.weights")


def check_ready(inputs: RunInputs) -> None:
    """Raise what would keep a run from its calls: a missing key, file or price, a hopeless limit."""
    config = inputs.config
    _warn_of_few_files(config)
    check_end_hook(config.on_end)
    models = [variant.settings for variant in variants_of(config)]
    check_prices(config, models, prices_of(config, models, config.endpoints))
    if config.endpoints:
        anyio.run(_open_endpoints, config)
        _check_limits(inputs)
    elif config.local is not None:
        if config.local.model is not None:
            local_weights.require_gguf(config.local.model)
        local_server.require_extra()


def check_same_run(folder: RunFolder, inputs: RunInputs) -> None:
    """Raise what a run refuses where its journal was made with other content or another plan."""
    if (reader := open_if_begun(folder.journal)) is not None:
        with closing(reader):
            if differences := differences_from(reader, inputs):
                raise refuse(folder.name, differences)
            check_plan(reader, inputs.plan)


def new_tasks(folder: RunFolder, plan: Plan) -> list[str]:
    """Tasks of `plan` that the run was not planned with; none where nothing is planned yet."""
    if (reader := open_if_begun(folder.journal)) is None:
        return []
    with closing(reader):
        stored = stored_plan(reader)
    then = None if stored is None else {task for task, _ in stored.scenarios_used()}
    return [] if then is None else sorted({task for task, _ in plan.scenarios_used()} - then)


def first_job_of_each_task(inputs: RunInputs) -> Iterator[Job]:
    """One job of each task, the first in plan order."""
    missing = {task for task, _ in inputs.plan.scenarios_used()}
    for job in inputs.plan.jobs():
        if job.task in missing:
            missing.discard(job.task)
            yield job
        if not missing:
            return


def first_questions(inputs: RunInputs, job: Job) -> Iterator[Question]:
    """What both sides are asked first, up to the simulator's second turn; unspoken turns are placeholders."""
    exchange = Exchange(job, inputs.prompts(job), inputs.rules(job))
    while (question := exchange.question) is not None and question.key.step != "user-3":
        yield question
        exchange.receive(Reply(f"({question.key.step})", "stop", Usage(), ""), 0)


def _warn_of_few_files(config: RunConfig) -> None:
    most = most_connections(len(config.endpoints))
    if config.local is None and most < config.concurrency:
        click.echo(
            f"engine: warning: of {config.concurrency:,} conversations {most:,} can wait for a reply at a "
            "time: this process may open no more files (`ulimit -Hn`; an administrator raises that).",
            err=True,
        )


async def _open_endpoints(config: RunConfig) -> None:
    async with AsyncExitStack() as stack:
        await open_models(stack, config, config.endpoints, SystemClock(), {})


def _check_limits(inputs: RunInputs) -> None:
    """A request that reserves more than a whole minute's tokens could never be sent."""
    cells = inputs.plan.cells or ("",)
    for job in (job._replace(cell=cell) for job in first_job_of_each_task(inputs) for cell in cells):
        for question in first_questions(inputs, job):
            variant = inputs.cell(job).sides[question.side]
            settings = variant.settings
            needed = reserved_tokens(question.messages, settings.max_tokens)
            of_input = needed - settings.max_tokens
            reserved = {
                "tokens_per_min": (needed, "tokens: its prompt, and max_tokens"),
                "input_tokens_per_min": (of_input, "input tokens: its prompt, beside max_tokens"),
                "output_tokens_per_min": (settings.max_tokens, "output tokens: max_tokens"),
            }
            for name, model in product(settings.endpoint_names, (None, settings.model)):
                limits = inputs.config.endpoints[name].limits.of(model)
                place = f"endpoints.{name}.limits" + ("" if model is None else f".per_model.{model}")
                for kind, (tokens, words) in reserved.items():
                    limit = limits[kind]
                    if limit is not None and limit < tokens:
                        raise ConfigError(
                            f"endpoint {name}: {kind} {'' if model is None else f'of {model} '}is {limit:,}, "
                            f"but a request of the {variant.title} (in job {job.job_id}) reserves {tokens:,} "
                            f"{words} ({settings.max_tokens:,}) for the reply. It could never be sent, so "
                            f"nothing was: raise `{place}.{kind}` well above that, or lower "
                            f"`{variant.place}.max_tokens`."
                        )
