"""What `--dry-run` shows: the plan, and for one job of each task the first requests of both sides.

The requests are those that a run would send, made by the same code; the turns in them, which nobody has
spoken yet, are placeholders.
"""

from __future__ import annotations

from collections.abc import Iterator

import click
import orjson

from engine.journal.inputs import RunInputs
from engine.llm.exchange import Exchange
from engine.runner.run_folder import RunFolder
from engine.schema.call import Reply, Usage
from engine.schema.conversation import Role
from engine.schema.job import Job

_WIDTH = 100


def print_plan(folder: RunFolder, inputs: RunInputs) -> None:
    """The plan, and one rendered set-up of each task; nothing is sent."""
    plan = inputs.plan
    profiles = sum(1 for _ in plan.profile_ids_used())
    click.echo(f"run {folder.name} in {folder.path}")
    click.echo(
        f"{len(plan)} conversations: {len(plan.scenarios_used())} scenarios x {profiles} profiles, "
        f"repeat {plan.repeats}, limit {plan.limit or 'none'}"
    )
    for stage, settings in inputs.config.stages.items():
        names = " or ".join(settings.endpoint_names)
        click.echo(f"{stage}: {settings.model} at {names}, temperature {settings.temperature}")
    for job in _first_job_of_each_task(inputs):
        for title, messages in _first_requests(inputs, job):
            click.echo("\n" + f"--- {job.job_id}: {title} ".ljust(_WIDTH, "-"))
            for message in messages:
                click.echo(f"[{message['role']}]\n{message['content']}\n")


def _first_job_of_each_task(inputs: RunInputs) -> Iterator[Job]:
    missing = {task for task, _ in inputs.plan.scenarios_used()}
    for job in inputs.plan.jobs():
        if job.task in missing:
            missing.discard(job.task)
            yield job
        if not missing:
            return


def _first_requests(inputs: RunInputs, job: Job) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """(title, messages): what each side is sent first, and what follows the assistant's first reply."""
    exchange = Exchange(job, inputs.prompts(job), inputs.rules(job))
    told: set[Role] = set()
    while (question := exchange.question) is not None and question.key.step != "user-3":
        messages = orjson.loads(b"[" + question.messages.body() + b"]")
        if question.side not in told:
            told.add(question.side)
            side = "user simulator" if question.side is Role.USER else "assistant"
            yield f"what the {side} is told", messages
        elif question.key.step == "user-2":
            yield "what the user simulator is told after each reply", messages[-1:]
            return
        exchange.receive(Reply(f"({question.key.step})", "stop", Usage(), ""), 0)
