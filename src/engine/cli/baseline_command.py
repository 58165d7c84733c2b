"""`engine baseline`: conversations from templates, to compare others with."""

from __future__ import annotations

from pathlib import Path

import click
import orjson

from engine.analysis.template_baseline import ROUNDS, Line, template_conversation
from engine.cli.run_options import ModelOptions, build_config
from engine.dataset.build import replacing
from engine.dataset.record import FORMAT
from engine.journal.inputs import RunInputs
from engine.runner.prepare import prepare
from engine.schema.dataset import Construction
from engine.schema.job import Job


@click.command()
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), metavar="FILE", help="The file to write."
)
@click.option("--limit", type=int, metavar="N", help="The plan's first N conversations.  [default: 220]")
@click.option("--task", "tasks", multiple=True, metavar="T", help="This task only; may be repeated.")
@click.option("--profiles", type=click.Path(), metavar="FILE", help="Profile pool.")
@click.option("--language", metavar="L", help="en or zh.  [default: en]")
@click.option(
    "--rounds", type=click.IntRange(1, 7), default=ROUNDS, show_default=True, metavar="K",
    help="Rounds of each conversation.",
)  # fmt: skip
def baseline(out: Path, rounds: int, **options: object) -> int:
    """Write conversations made from templates: the system asks, the user responds. No model is asked.

    The plan is that of `engine run` with the same options. The file is in the engine's own format, with
    the construction method `templates`.
    """
    config, _ = build_config(None, options, ModelOptions())
    inputs = prepare(config)
    with replacing(out) as file:
        for job in inputs.plan.jobs():
            file.write(orjson.dumps(_record(inputs, job, rounds), option=orjson.OPT_APPEND_NEWLINE))
    click.echo(f"{len(inputs.plan)} conversations written to {out}")
    return 0


def _record(inputs: RunInputs, job: Job, rounds: int) -> dict[str, object]:
    scenario, profile = inputs.scenario(job), inputs.profile(job)
    turns: list[Line] = template_conversation(job.job_id, scenario, profile, rounds=rounds)
    return {
        "format": FORMAT,
        "id": job.job_id,
        "task": job.task,
        "task_name": scenario.task_name,
        "language": scenario.language,
        "scenario": {
            "number": scenario.number,
            "variables": dict(scenario.variables),
            "text": scenario.text,
            "requirements": list(scenario.requirements),
        },
        "profile": {
            "id": profile.profile_id,
            "fields": dict(profile.aspects),
            "text": profile.render(scenario.language),
        },
        "history": [{"role": turn.role, "content": turn.text} for turn in turns],
        "end_reason": "goodbye",
        "rounds": rounds,
        "models": {},
        "construction": Construction.TEMPLATES,
        "kept": True,
        "dropped_because": [],
        "flags": [],
    }
