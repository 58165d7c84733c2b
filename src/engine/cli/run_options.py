"""From a configuration file and the command line's options to one RunConfig; options win."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from engine.config.endpoint_settings import EndpointSettings
from engine.config.load import load_config
from engine.config.mistakes import shown, wanted
from engine.config.model_settings import ModelSettings, StageName
from engine.config.settings import LocalSection, RunConfig
from engine.errors import ConfigError, UsageError

# Without a configuration: ten conversations for each scenario, of which 22 come with the engine.
PER_SCENARIO = 10
_DEFAULT_LIMIT = 22 * PER_SCENARIO
# A small model on a few cores takes seconds a turn, and hardly ever says goodbye of itself.
_LOCAL_LIMIT = 10
_LOCAL_MAX_TOKENS = 96
_LOCAL_ROUNDS = 4
_REHEARSAL_MODELS: dict[StageName, str] = {
    "simulator": "rehearsal-simulator",
    "assistant": "rehearsal-assistant",
}


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """The short way to name one endpoint and two models."""

    base_url: str | None = None
    simulator: str | None = None
    assistant: str | None = None
    key_env: str | None = None
    local: bool = False
    local_model: Path | None = None


def build_config(
    file: Path | None, options: Mapping[str, object], models: ModelOptions
) -> tuple[RunConfig, Path | None]:
    """The configuration, and the folder of its file.

    Raises ConfigError for the file and UsageError for the options.
    """
    config = RunConfig() if file is None else load_config(file)
    given = dict(options)
    if says_no_size(file, options):
        given["limit"] = _LOCAL_LIMIT if models.local or models.local_model else _DEFAULT_LIMIT
    return with_options(config, given, models), None if file is None else file.parent.absolute()


def says_no_size(file: Path | None, options: Mapping[str, object]) -> bool:
    """Whether neither a configuration nor an option says how much of what is to be held."""
    sizes = {"limit", "jobs", "profiles", "tasks", "repeat"}
    return file is None and all(options.get(name) in (None, ()) for name in sizes)


def with_options(config: RunConfig, options: Mapping[str, object], models: ModelOptions) -> RunConfig:
    """`config` with the command line's options in it; those that are None or empty say nothing."""
    given = {name: value for name, value in options.items() if value is not None and value != ()}
    for name in ("profiles", "jobs"):
        if name in given:
            given[name] = Path(str(given[name])).absolute()
    try:
        # Without what nobody said, so that a local model's own defaults can still step in.
        config = RunConfig.model_validate(config.model_dump(exclude_unset=True) | given)
        config = _with_models(config, models)
    except ValidationError as error:
        raise UsageError(_describe(error.errors(include_url=False)[0])) from error
    return _with_default_models(config)


def _describe(mistake: ErrorDetails) -> str:
    location = tuple(part for part in mistake["loc"] if isinstance(part, str))
    if not location:
        return mistake["msg"].removeprefix("Value error, ")
    option = f"--{location[0].replace('_', '-').replace('tasks', 'task')}"
    if mistake["type"] == "value_error":
        return f"{option}: {mistake['msg'].removeprefix('Value error, ')}"
    return f"{option} (it is {shown(mistake['input'])}): {wanted(mistake, location)}"


def split_command(text: str | None) -> tuple[str, ...] | None:
    """`--on-end`'s text as a command and its arguments, divided as a shell would."""
    try:
        return None if text is None else tuple(shlex.split(text))
    except ValueError as error:
        raise UsageError(f"--on-end: {error}.") from error


def _with_models(config: RunConfig, models: ModelOptions) -> RunConfig:
    endpoints, stages = dict(config.endpoints), dict(config.stages)
    if models.local or models.local_model is not None:
        config = _with_local_model(config, models)
    named = (
        {name for stage in stages.values() for name in stage.endpoint_names} or set(endpoints) or {"default"}
    )
    name = named.pop() if len(named) == 1 else None
    if models.base_url is not None or models.key_env is not None:
        option = "--key-env" if models.base_url is None else "--base-url"
        if name is None:
            raise UsageError(f"{option}: the configuration names several endpoints; change them there.")
        before = endpoints.get(name)
        if before is None and models.base_url is None:
            raise UsageError("--key-env: there is no endpoint that the key could go to; give --base-url URL.")
        url = {} if models.base_url is None else {"base_url": models.base_url}
        endpoints[name] = EndpointSettings.model_validate(
            (before.model_dump() if before else {}) | url | _key(models, before)
        )
    wanted: dict[StageName, str | None] = {"simulator": models.simulator, "assistant": models.assistant}
    for stage, model in wanted.items():
        if model is not None:
            settings = stages.get(stage)
            stages[stage] = (
                settings.model_copy(update={"model": model})
                if settings
                else ModelSettings(model=model, endpoint=name or "default")
            )
    _take_from_matrix(config, stages)
    if endpoints:
        missing = [stage for stage in ("simulator", "assistant") if stage not in stages]
        if missing:
            raise ConfigError(
                f"no model is named for the {' and the '.join(missing)}: give "
                + " ".join(f"--{stage} MODEL" for stage in missing)
                + ", or set stages.<name>.model in the configuration."
            )
    return RunConfig.model_validate(config.model_dump() | {"endpoints": endpoints, "stages": stages})


def _take_from_matrix(config: RunConfig, stages: dict[StageName, ModelSettings]) -> None:
    """A side all of whose models the matrix names needs no stage: where one is meant, it is the first."""
    sides: tuple[StageName, ...] = ("simulator", "assistant")
    for stage in sides:
        entries = getattr(config.matrix, f"{stage}s", {})
        if stage not in stages and entries and all(entry.model for entry in entries.values()):
            stages[stage] = next(iter(entries.values())).over(None)


def _with_local_model(config: RunConfig, models: ModelOptions) -> RunConfig:
    if config.endpoints or models.base_url is not None:
        raise UsageError("--local serves its own endpoint: leave --base-url and `endpoints` out.")
    local = config.local or LocalSection()
    if models.local_model is not None:
        local = local.model_copy(update={"model": models.local_model.absolute()})
    update: dict[str, object] = {"local": local}
    if "max_rounds" not in config.conversation.model_fields_set:
        update["conversation"] = config.conversation.model_copy(update={"max_rounds": _LOCAL_ROUNDS})
    if "concurrency" not in config.model_fields_set:
        # More conversations than slots would push each other's prompts out of the cache.
        update["concurrency"] = local.slots
    return config.model_copy(update=update)


def _key(models: ModelOptions, before: EndpointSettings | None) -> dict[str, object]:
    if models.key_env is not None:
        return {"key_env": models.key_env, "key_file": None}
    if before is not None and models.base_url is not None and (before.key_env or before.key_file):
        then, now = urlsplit(before.base_url), urlsplit(models.base_url)
        if (then.scheme, then.netloc) != (now.scheme, now.netloc):
            # A key goes only where it belongs: it does not follow a changed address by itself.
            raise UsageError(
                f"--base-url: the configured key belongs to {then.netloc}; say with --key-env NAME which key "
                f"{now.netloc} gets."
            )
    has_key = before is not None and (before.key_env or before.key_file)
    # A key goes only where it belongs: elsewhere the variable must be named.
    if not has_key and urlsplit(models.base_url or "").hostname == "api.openai.com":
        return {"key_env": "OPENAI_API_KEY"}
    return {}


def _with_default_models(config: RunConfig) -> RunConfig:
    """Names for the models where the endpoint is the engine's own."""
    if config.endpoints:
        return config
    stages = dict(config.stages)
    for stage, model in _REHEARSAL_MODELS.items():
        if config.local is None:
            stages.setdefault(stage, ModelSettings(model=model))
        else:
            name = "SmolLM2-135M-Instruct" if config.local.model is None else config.local.model.stem
            stages.setdefault(stage, ModelSettings(model=name, max_tokens=_LOCAL_MAX_TOKENS))
    return config.model_copy(update={"stages": stages})


def endpoint_kind(config: RunConfig) -> str:
    """A word for where the run's calls go, for the default run name: it is fit to begin a folder's name."""
    if config.is_rehearsal:
        return "rehearsal"
    if config.local is not None:
        return "local"
    simulator = config.stages["simulator"]
    host = urlsplit(config.endpoints[simulator.endpoint_names[0]].base_url).hostname or "endpoint"
    word = "".join(
        letter if (letter.isascii() and letter.isalnum()) or letter == "." else "-" for letter in host
    )
    return word.strip(".-")[:40] or "endpoint"
