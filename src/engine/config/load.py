"""Reads a configuration file: YAML, safely, with file, line and a suggestion for each mistake."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import ValidationError

from engine.config.document import Document, Place, read_document
from engine.config.mistakes import describe, line_of
from engine.config.model_settings import ModelSettings, StageName
from engine.config.presets import PRESETS, Location, PresetError, presets_of, resolve_presets
from engine.config.regular_file import refuse_special
from engine.config.settings import RunConfig
from engine.config.suggestion import name_endpoint
from engine.errors import ConfigError


def load_config(path: Path) -> RunConfig:
    """Read `path` as a RunConfig.

    Relative paths in the file are taken from its folder. Raises ConfigError with every mistake that
    the file has, each with its line.
    """
    refuse_special(path, ConfigError)
    try:
        body = path.read_bytes()
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such configuration file. `engine init DIR` writes one.") from None
    except OSError as error:
        raise ConfigError(f"{path}: the configuration cannot be read: {error.strerror}.") from error
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        line = body.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"{path}, line {line}: not UTF-8 text (byte 0x{body[error.start]:02x}): save the file as UTF-8."
        ) from None
    return parse_config(text, source=str(path), folder=path.parent)


def load_presets(path: Path) -> dict[str, ModelSettings]:
    """The presets of a configuration file that `load_config` reads, each as settings of a stage.

    A preset that names no model is left out: it is of use to stages alone.
    """
    document = read_document(path.read_text(encoding="utf-8"), source=str(path))
    presets = presets_of(document.data)
    return {
        name: ModelSettings.model_validate(preset) for name, preset in presets.items() if "model" in preset
    }


def parse_config(text: str, *, source: str, folder: Path) -> RunConfig:
    """As `load_config`, for text; `source` names it in messages."""
    return config_of(read_document(text, source=source), folder)


def config_of(document: Document, folder: Path, *, section: str | None = None) -> RunConfig:
    """The configuration that a document, or one section of it, holds; relative paths are in `folder`."""
    data: object = document.data if section is None else document.data.get(section)
    places = document.places
    if section is not None:
        places = {at[1:]: place for at, place in places.items() if at[:1] == (section,)}
    at: Location = ()
    try:
        if isinstance(data, dict):
            for name, preset in presets_of(data).items():
                at = (PRESETS, name)
                settings = ModelSettings.model_validate({"model": "of the stage", **preset})
                _check_endpoint(name, settings, data.get("endpoints"))
            at = ()
            data, places = resolve_presets(data, places)
        config = RunConfig.model_validate(data)
    except PresetError as error:
        line = line_of(error.location, places)
        raise ConfigError(f"{document.source}, line {line}: {error}") from None
    except ValidationError as error:
        raise ConfigError(describe(error, places, document.source, at)) from None
    # A run's own file is changed by `engine adjust`, too, which has a rule of its own.
    if section is None and (problems := list(_hopeless_limits(config, places, document.source))):
        raise ConfigError("\n".join(problems))
    return _anchor(config, folder.absolute())


def _check_endpoint(preset: str, settings: ModelSettings, endpoints: object) -> None:
    """A preset that no stage uses yet is held to the endpoints, too."""
    if not isinstance(endpoints, dict) or not endpoints or "endpoint" not in settings.model_fields_set:
        return
    for name in settings.endpoint_names:
        if name not in endpoints:
            words = name_endpoint(f"preset {preset}", name, map(str, endpoints))
            raise PresetError((PRESETS, preset, "endpoint"), f"`{PRESETS}.{preset}.endpoint`: {words}")


def _hopeless_limits(config: RunConfig, places: Mapping[Location, Place], source: str) -> Iterator[str]:
    """A line for each limit that no request of a stage could ever meet."""
    for title, key, settings in _asking(config):
        for name in settings.endpoint_names:
            if name not in config.endpoints:
                continue
            for model in (None, settings.model):
                at = ("endpoints", name, "limits", *(() if model is None else ("per_model", model)))
                for kind, what in (("tokens_per_min", "its prompt and "), ("output_tokens_per_min", "")):
                    limit = config.endpoints[name].limits.of(model)[kind]
                    # A prompt has a token, too.
                    if limit is None or limit >= settings.max_tokens + bool(what):
                        continue
                    yield (
                        f"{source}, line {line_of((*at, kind), places)}: `{'.'.join((*at, kind))}` (it is "
                        f"{limit}): no request of {title} would ever fit, since each reserves {what}"
                        f"{settings.max_tokens} tokens for the reply: raise the limit above that, or lower "
                        f"`{key}.max_tokens`."
                    )


def _asking(config: RunConfig) -> Iterator[tuple[str, str, ModelSettings]]:
    """(who, where its keys stand, its settings) of all that ask and whose model is named here."""
    for stage, settings in config.stages.items():
        yield f"stage {stage}", f"stages.{stage}", settings
    sides: tuple[StageName, ...] = ("simulator", "assistant")
    for side in sides:
        own = config.stages.get(side)
        for name, entry in getattr(config.matrix, f"{side}s", {}).items():
            if own is not None or entry.model:
                yield f"{side} {name}", f"matrix.{side}s.{name}", entry.over(own)


def _anchor(config: RunConfig, folder: Path) -> RunConfig:
    """Paths in a file mean the file's own folder, not wherever the command was typed."""
    changes: dict[str, object] = {}
    for name in ("templates", "profiles", "jobs"):
        value = getattr(config, name)
        if value is not None and not value.is_absolute():
            changes[name] = folder / value
    endpoints = {}
    for name, endpoint in config.endpoints.items():
        paths = {
            key: folder / value
            for key in ("key_file", "ca_file")
            if (value := getattr(endpoint, key)) is not None and not value.is_absolute()
        }
        endpoints[name] = endpoint.model_copy(update=paths)
    changes["endpoints"] = endpoints
    if config.output.runs is not None and not config.output.runs.is_absolute():
        changes["output"] = config.output.model_copy(update={"runs": folder / config.output.runs})
    local = config.local
    if local is not None and local.model is not None and not local.model.is_absolute():
        changes["local"] = local.model_copy(update={"model": folder / local.model})
    return config.model_copy(update=changes)
