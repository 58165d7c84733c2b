"""What `--dry-run` shows: the plan, and for one job of each task the first requests of both sides.

The requests are those that a run would send, made by the same code; the turns in them, which nobody has
spoken yet, are placeholders.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import click
import orjson

from engine.cli.readiness import first_job_of_each_task, first_questions, new_tasks
from engine.config.matrix import variants_of
from engine.config.model_settings import ModelSettings
from engine.journal.inputs import RunInputs
from engine.runner.run_folder import RunFolder
from engine.schema.conversation import Role
from engine.schema.job import Job
from engine.schema.plan import Plan

_WIDTH = 100


def print_plan(folder: RunFolder, inputs: RunInputs) -> None:
    """The plan, and one rendered set-up of each task; nothing is sent."""
    plan = inputs.plan
    profiles = sum(1 for _ in plan.profile_ids_used())
    click.echo(f"run {folder.name} in {folder.path}")
    click.echo(
        f"{len(plan)} conversations: {len(plan.scenarios_used())} scenarios x {profiles} profiles, "
        f"repeat {plan.repeats}, limit {plan.limit or 'none'}"
        + (f"; each job in {len(plan.cells)} cells" if plan.cells else "")
    )
    chosen = (
        "" if inputs.config.tasks or plan.explicit is not None else " (every task in the templates folder)"
    )
    click.echo(f"tasks: {describe_tasks(plan)}{chosen}")
    if new := new_tasks(folder, plan):
        click.echo(f"new to this run, which grows by it: {', '.join(new)}")
    variants = list(variants_of(inputs.config)) if plan.cells else []
    sides = {variant.stage for variant in variants}
    asking: list[tuple[str, ModelSettings, str | None]] = [
        (name, its, None) for name, its in inputs.config.stages.items() if name not in sides
    ]  # fmt: skip
    asking += [(variant.title, variant.settings, variant.prompt) for variant in variants]
    for title, settings, prompt in asking:
        names = " or ".join(settings.endpoint_names)
        told = "" if prompt is None else f", told {prompt!r}"
        click.echo(f"{title}: {settings.model} at {names}, temperature {settings.temperature}{told}")
    for job in first_job_of_each_task(inputs):
        for title, messages in _first_requests(inputs, job):
            click.echo("\n" + f"--- {job.job_id}: {title} ".ljust(_WIDTH, "-"))
            for message in messages:
                click.echo(f"[{message['role']}]\n{message['content']}\n")


def describe_tasks(plan: Plan) -> str:
    """The plan's tasks by name, each with the number of its scenarios."""
    counts = Counter(task for task, _ in plan.scenarios_used())
    return ", ".join(f"{task} {count}" for task, count in counts.items())


def _first_requests(inputs: RunInputs, job: Job) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """(title, messages): what each side is sent first, and what follows the assistant's first reply."""
    told: set[Role] = set()
    for question in first_questions(inputs, job):
        messages = orjson.loads(b"[" + question.messages.body() + b"]")
        if question.side not in told:
            told.add(question.side)
            side = "user simulator" if question.side is Role.USER else "assistant"
            yield f"what the {side} is told", messages
        elif question.key.step == "user-2":
            yield "what the user simulator is told after each reply", messages[-1:]
            return
