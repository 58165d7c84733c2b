"""`engine scenarios`: the tasks of a templates folder, listed, shown, checked and rendered."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
import orjson

from engine.cli.plain_text import plain
from engine.cli.scenarios_check import check_command
from engine.cli.scenarios_combine import combine_command
from engine.cli.scenarios_items import items_command
from engine.cli.scenarios_names import parse_name
from engine.cli.scenarios_source import Source, open_source, source_options
from engine.cli.shared_options import json_option
from engine.errors import BadInput, UsageError
from engine.scenarios.catalog import Catalog, Task
from engine.scenarios.render import render_prompts
from engine.schema.profile import Profile
from engine.schema.scenario import Scenario

CommandT = TypeVar("CommandT", bound=Callable[..., Any])
_WIDTH = 110


@click.group()
def scenarios() -> None:
    """Tasks and their scenarios: list, show, check and render what templates make of them."""


for command in (check_command, combine_command, items_command):
    scenarios.add_command(command)


@scenarios.command("list")
@source_options
@json_option
def list_command(as_json: bool, **options: Any) -> int:
    """List every scenario that runs use, with the options that make it."""
    source = open_source(**options)
    catalog = source.load()
    if as_json:
        click.echo(orjson.dumps([_facts(scenario) for scenario in catalog.scenarios()]).decode())
        return 0
    found = catalog.scenarios()
    width = max(len(scenario_id(each)) for each in found)
    for each in found:
        chosen = ", ".join(f"{key} {value}" for key, value in each.variables.items())
        click.echo(plain(f"{scenario_id(each):<{width}}  {each.task_name}: {chosen}"))
    click.echo(
        f"{len(catalog.tasks)} tasks, {len(found)} scenarios in {source.folder}; "
        "`engine scenarios show TASK` prints one"
    )
    return 0


def scenario_id(scenario: Scenario) -> str:
    """How commands name a scenario: `travel-11`."""
    return f"{scenario.task}-{scenario.number}"


def _facts(scenario: Scenario) -> dict[str, object]:
    return {
        "task": scenario.task, "name": scenario.task_name, "number": scenario.number,
        "variables": dict(scenario.variables), "requirements": list(scenario.requirements),
        "text": scenario.text,
    }  # fmt: skip


@scenarios.command("show")
@click.argument("name", metavar="TASK[-NUMBER]")
@source_options
def show_command(name: str, **options: Any) -> int:
    """Print a task with its options, requirements and scenarios, or one scenario: travel, travel-11.

    A number may be any position in the product of the options, used by runs or not.
    """
    wanted = parse_name(name)
    catalog = open_source(**options).load([wanted.task])
    task = catalog.tasks[wanted.task]
    if wanted.number is None:
        click.echo(plain(_described(task)))
    numbers = task.numbers if wanted.number is None else (wanted.number,)
    for number in numbers:
        scenario = catalog.scenario(wanted.task, number)
        chosen = ", ".join(f"{key} {value}" for key, value in scenario.variables.items())
        click.echo(plain(f"\n{wanted.task}-{number} ({chosen})\n{scenario.text}"))
    return 0


def _described(task: Task) -> str:
    file = task.file
    lines = [f"{task.slug}: {task.title} (in datasets: {task.name})"]
    for key, options in file.variables.items():
        lines.append(f"  {key}")
        lines += [f"    {option.id}: {option.text}" for option in options]
    lines.append("  requirements: " + "; ".join(task.requirements or ("none",)))
    if task.merge_aspect is not None:
        lines.append(f"  preference summaries are merged with: {task.merge_aspect}")
    lines.append(f"  {len(task.numbers)} of {file.n_combinations} combinations are used by runs")
    return "\n".join(lines)


@scenarios.command("render")
@click.argument("name", metavar="TASK-NUMBER")
@source_options
@click.option(
    "--profiles",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Pool of the profile.  [default: as runs]",
)
@click.option(
    "--profile", "profile_id", metavar="ID", help="Who plays the user.  [default: the pool's first]"
)
@click.option("--behaviour", default="", metavar="LEVEL.LEVEL", help="How the user behaves: hurried.guarded.")
@json_option
def render_command(
    name: str,
    profiles: Path | None,
    profile_id: str | None,
    behaviour: str,
    as_json: bool,
    **options: Any,
) -> int:
    """Print every fixed text of one conversation, as both sides are told it. Sends nothing."""
    wanted = parse_name(name)
    if wanted.number is None:
        raise UsageError(f"{name!r} is a task; name one of its scenarios, such as {name}-0.")
    source = open_source(**options)
    catalog = source.load([wanted.task], with_behaviour=bool(behaviour))
    profile = _profile(source, profiles, profile_id)
    texts = _texts(catalog, catalog.scenario(wanted.task, wanted.number), profile, behaviour)
    if as_json:
        click.echo(orjson.dumps({"scenario": name, "profile": profile.profile_id, **texts}).decode())
        return 0
    for title, text in texts.items():
        click.echo(f"--- {title.replace('_', ' ')} ".ljust(_WIDTH - 10, "-"))
        click.echo(plain(text) + "\n")
    return 0


def _profile(source: Source, pool: Path | None, profile_id: str | None) -> Profile:
    for profile in source.profiles(pool):
        if profile_id in (None, profile.profile_id):
            return profile
    raise BadInput(f"there is no profile {profile_id!r} in the pool; `engine profiles show` lists a pool's.")


def _texts(catalog: Catalog, scenario: Scenario, profile: Profile, behaviour: str) -> dict[str, str]:
    prompts = render_prompts(catalog, scenario, profile, assistant_prompt=True, behaviour=behaviour)
    return {
        "simulator_setup": "\n\n".join(prompts.simulator_setup),
        "simulator_kickoff": prompts.simulator_kickoff,
        "end_prompt": prompts.end_prompt,
        "end_phrase": prompts.end_phrase,
        "assistant_setup": prompts.assistant_setup or "",
        "assistant_kickoff": prompts.assistant_kickoff,
    }
