"""What the commands on profiles ask and whom: from options and a configuration to a plan of sessions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click
from pydantic import ValidationError

from engine.cli.budget_options import budget_options, with_budget
from engine.cli.shared_options import runs_of
from engine.config.endpoint_settings import EndpointSettings
from engine.config.load import load_config
from engine.config.model_settings import ModelSettings
from engine.config.run_name import is_run_name
from engine.config.settings import RunConfig
from engine.errors import ConfigError, UsageError
from engine.llm.prices import prices_of
from engine.profiles.prompts import load_prompts
from engine.profiles.regions import Target, load_space
from engine.profiles.session import SessionPlan, session_stage
from engine.profiles.version import LATEST, load_version
from engine.runner.run_folder import RunFolder, default_name, open_folder
from engine.runner.spending import check_prices
from engine.runner.stage import identity_of

CommandT = TypeVar("CommandT", bound=Callable[..., Any])
REHEARSAL_MODEL = "rehearsal-profiles"
# Ten profiles of nine aspects are about 1,500 tokens; twice that leaves room for wordy models.
_MAX_TOKENS = 4096
_LOCAL_MAX_TOKENS = 1024
# Temperature 1: a pool is meant to be varied.
_TEMPERATURE = 1.0


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """The options that decide what is asked; None leaves it to the configuration."""

    config_file: Path | None = None
    run_name: str | None = None
    aspects: str = LATEST
    batch: int = 10
    batches: int = 3
    structured: str | None = None
    language: str | None = None
    seed: int | None = None
    concurrency: int | None = None
    base_url: str | None = None
    model: str | None = None
    key_env: str | None = None
    max_cost: float | None = None
    max_tokens: int | None = None


_OPTIONS = (
    click.option(
        "--config", "config_file", type=click.Path(path_type=Path), metavar="FILE",
        help="Endpoints and stages.profiles; default: rehearse with the embedded endpoint.",
    ),
    click.option("--run", "run_name", metavar="NAME", help="Name of the run; default: from its content."),
    click.option(
        "--aspects", default=LATEST, show_default=True, metavar="VERSION",
        help="Which list of aspects and examples: a shipped version, or a folder with aspects.yaml.",
    ),
    click.option(
        "--batch", type=click.IntRange(1, 200), default=10, show_default=True, metavar="N",
        help="Profiles asked for at a time.",
    ),
    click.option(
        "--batches", type=click.IntRange(1, 1000), default=3, show_default=True, metavar="N",
        help="How often a session is asked.",
    ),
    click.option(
        "--structured", type=click.Choice(["none", "json_object", "json_schema"]),
        help="Ask for JSON instead of numbered lines.  [default: as configured, else none]",
    ),
    click.option("--language", type=click.Choice(["en", "zh"]), help="Language of prompts and profiles."),
    click.option("--seed", type=int, metavar="S", help="Seed of all requests and of the regions' order."),
    click.option(
        "--concurrency", type=click.IntRange(1, 100_000), metavar="N", help="Sessions in flight."
    ),
    click.option("--base-url", metavar="URL", help="OpenAI-format endpoint instead of configured ones."),
    click.option("--model", metavar="MODEL", help="The model that writes profiles."),
    click.option("--key-env", metavar="NAME", help="Environment variable that holds the endpoint's key."),
)  # fmt: skip


def plan_options(command: CommandT) -> CommandT:
    """The options of `PlanOptions`."""
    command = budget_options(command)
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def config_of(options: PlanOptions) -> tuple[RunConfig, Path | None]:
    """The configuration with a model for the stage `profiles`, and its file's folder.

    Raises ConfigError where endpoints are configured and no model for profiles is named, or money is limited
    and nobody knows the model's price.
    """
    config = RunConfig() if options.config_file is None else load_config(options.config_file)
    config_dir = None if options.config_file is None else options.config_file.parent.absolute()
    given = {
        name: value
        for name in ("language", "seed", "concurrency")
        if (value := getattr(options, name)) is not None
    }
    try:
        config = RunConfig.model_validate(config.model_dump(exclude_unset=True) | given)
        if options.base_url is not None:
            endpoint = EndpointSettings(base_url=options.base_url, key_env=options.key_env)
            config = config.model_copy(update={"endpoints": {"default": endpoint}, "local": None})
        elif options.key_env is not None:
            raise UsageError("--key-env: there is no endpoint that the key could go to; give --base-url URL.")
        settings = _model_settings(options, config)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = ".".join(map(str, first["loc"])) or "options"
        raise UsageError(f"{name}: {first['msg'].removeprefix('Value error, ')}.") from error
    config = config.model_copy(update={"stages": {**config.stages, "profiles": settings}})
    config = with_budget(config, None, options.max_cost, options.max_tokens)
    check_prices(config, [settings], prices_of(config, [settings], config.endpoints))
    return config, config_dir


def _model_settings(options: PlanOptions, config: RunConfig) -> ModelSettings:
    settings = config.stages.get("profiles")
    if options.base_url is not None:
        if options.model is None and settings is None:
            raise UsageError("--base-url: name the model with --model MODEL.")
        settings = (settings or _fresh(options.model or "")).model_copy(update={"endpoint": "default"})
    elif settings is None and config.local is not None:
        name = config.stages["simulator"].model if "simulator" in config.stages else "local"
        settings = _fresh(name).model_copy(
            update={"max_tokens": _LOCAL_MAX_TOKENS, "context_tokens": config.local.context_tokens}
        )
    elif settings is None and config.endpoints:
        raise ConfigError(
            "the configuration names no model for profiles: set stages.profiles.model, or give --base-url "
            "URL --model MODEL."
        )
    settings = settings or _fresh(REHEARSAL_MODEL)
    changes = {
        name: value
        for name, value in (("model", options.model), ("structured", options.structured))
        if value is not None
    }
    return settings.model_copy(update=changes)


def _fresh(model: str) -> ModelSettings:
    return ModelSettings(model=model, temperature=_TEMPERATURE, max_tokens=_MAX_TOKENS)


def plan_sessions(
    options: PlanOptions, config: RunConfig, config_dir: Path | None, target: Target | None = None
) -> SessionPlan:
    """How sessions ask. Raises BadInput for templates, UsageError where a batch cannot fit the context."""
    settings = config.stages["profiles"]
    version = load_version(options.aspects, config.language, config.templates, config_dir)
    prompts = load_prompts(
        version, is_json=settings.structured != "none", templates=config.templates, config_dir=config_dir
    )
    space = load_space(config.language, config.seed, config.templates, config_dir, target)
    plan = SessionPlan(prompts, space, settings, options.batch, options.batches)
    if plan.context_tokens <= settings.max_tokens:
        raise ConfigError(
            f"stage profiles: context_tokens is {plan.context_tokens} and max_tokens {settings.max_tokens}, "
            "which leaves no room for the question. Raise the one or lower the other."
        )
    return plan


def prompt_provenance(plan: SessionPlan) -> dict[str, str]:
    """What a profile says of where it comes from, beside its place."""
    prompts = plan.prompts
    return {"model": plan.settings.model, "aspects": prompts.version.name, "prompt": prompts.digest}


def folder_of(name: str | None, plan: SessionPlan, config: RunConfig, runs_dir: Path) -> RunFolder:
    """The run's folder: of the given name, else one that follows from what is asked."""
    # One floor lower than runs of conversations, which commands list and resume.
    place = runs_of(config, runs_dir) / "profiles"
    if name is not None:
        if is_run_name(name):
            return RunFolder(place / name)
        return open_folder(place, name)
    stage = session_stage(plan, (), lambda number, answers: None, lambda: False)
    return RunFolder(place / default_name("profiles", identity_of(stage, config.seed)))
