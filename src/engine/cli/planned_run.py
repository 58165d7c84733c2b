"""The options that say which run is meant, and what it is made from: for every command that plans one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import click

from engine.cli.budget_options import budget_options, with_budget
from engine.cli.run_options import PER_SCENARIO, ModelOptions, build_config, endpoint_kind, says_no_size
from engine.cli.shared_options import new_runs_dir_option, runs_of
from engine.config.identity import identity_fields
from engine.config.settings import GateSettings, RunConfig
from engine.errors import UsageError
from engine.journal.inputs import RunInputs
from engine.runner.prepare import prepare
from engine.runner.run_folder import RunFolder, default_name, open_folder
from engine.schema.gate import GATE_NAMES

CommandT = TypeVar("CommandT", bound=Callable[..., Any])

_PARAMETERS = (
    click.argument("config_file", metavar="[CONFIG]", required=False, type=click.Path(path_type=Path)),
    click.option("--concurrency", type=int, metavar="N", help="Conversations in flight.  [default: 64]"),
    click.option("--run", "run_name", metavar="NAME", help="Name of the run; default: from its content."),
    click.option("--limit", type=int, metavar="N", help="The plan's first N conversations."),
    click.option("--task", "tasks", multiple=True, metavar="T", help="This task only; may be repeated."),
    click.option("--profiles", type=click.Path(), metavar="FILE", help="Profile pool."),
    click.option("--jobs", type=click.Path(), metavar="FILE", help="An explicit list of jobs (JSON Lines)."),
    click.option("--repeat", type=int, metavar="K", help="Conversations per profile and scenario."),
    click.option("--seed", type=int, metavar="S", help="Seed of all requests."),
    click.option("--language", metavar="L", help="Language of prompts and conversations: en or zh."),
    click.option("--base-url", metavar="URL", help="OpenAI-format endpoint, e.g. http://127.0.0.1:8000/v1."),
    click.option("--simulator", metavar="MODEL", help="The user simulator's model."),
    click.option("--assistant", metavar="MODEL", help="The assistant's model."),
    click.option("--key-env", metavar="NAME", help="Environment variable that holds the endpoint's key."),
    click.option("--local", is_flag=True, help="A small real model on this machine (extra [local])."),
    click.option("--local-model", type=click.Path(path_type=Path), metavar="GGUF", help="Another one."),
    click.option("--transport", metavar="T", help="asyncio or httpx."),
    click.option(
        "--adaptive/--no-adaptive", default=None, help="Find limits that are not configured by trying."
    ),
    click.option(
        "--paper",
        is_flag=True,
        help="No gates, and every rule only flags; failed and refused ones alone are dropped.",
    ),
    click.option(
        "--gates", is_flag=True, help="Ask again for a simulator's reply that a gate refuses; all gates."
    ),
    budget_options,
    new_runs_dir_option,
)


def plan_options(command: CommandT) -> CommandT:
    """CONFIG and the options of a plan; `planned_run` takes them all."""
    for parameter in reversed(_PARAMETERS):
        command = parameter(command)
    return command


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """A run as the command line means it; its folder may not be there yet."""

    folder: RunFolder
    inputs: RunInputs
    config_dir: Path | None


def planned_run(
    *,
    config_file: Path | None,
    run_name: str | None,
    runs_dir: Path,
    base_url: str | None,
    simulator: str | None,
    assistant: str | None,
    key_env: str | None,
    local: bool,
    local_model: Path | None,
    paper: bool,
    gates: bool,
    max_cost: float | None,
    max_tokens: int | None,
    **options: object,
) -> PlannedRun:
    """Read the configuration and all that it names. Raises UsageError, ConfigError and BadInput."""
    config, config_dir = build_config(
        config_file, options, ModelOptions(base_url, simulator, assistant, key_env, local, local_model)
    )
    config = _with_gates(config, paper=paper, gates=gates)
    inputs = prepare(config, config_dir=config_dir)
    if says_no_size(config_file, options) and config.local is None:
        # A task that was added beside the shipped ones is to have its ten, too.
        config = config.model_copy(update={"limit": PER_SCENARIO * len(inputs.plan.scenarios)})
        inputs = replace(inputs, config=config, plan=replace(inputs.plan, limit=config.limit))
    name = run_name if run_name is not None else config.output.name
    if name is None:
        name = default_name(endpoint_kind(config), identity_fields(config))
    folder = open_folder(runs_of(config, runs_dir), name)
    inputs = replace(inputs, config=with_budget(config, folder, max_cost, max_tokens))
    return PlannedRun(folder, inputs, config_dir)


def _with_gates(config: RunConfig, *, paper: bool, gates: bool) -> RunConfig:
    if paper and gates:
        raise UsageError("--paper and --gates: the paper has no gates; give one of them.")
    if paper:
        validation = config.validation.model_copy(update={"drop": False})
        return config.model_copy(update={"validation": validation, "gates": GateSettings()})
    if gates and not config.gates.use:
        return config.model_copy(update={"gates": config.gates.model_copy(update={"use": GATE_NAMES})})
    return config
