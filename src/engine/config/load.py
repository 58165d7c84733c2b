"""Reads a configuration file: YAML, safely, with file, line and a suggestion for each mistake."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import cast

import yaml
from pydantic import BaseModel, ValidationError

from engine.config.presets import PRESET, PRESETS, Location, PresetError, presets_of, resolve_presets
from engine.config.settings import ModelSettings, RunConfig
from engine.errors import ConfigError


def load_config(path: Path) -> RunConfig:
    """Read `path` as a RunConfig.

    Relative paths in the file are taken from its folder. Raises ConfigError with every mistake that
    the file has, each with its line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such configuration file. `engine init DIR` writes one.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as UTF-8 text: {error}") from error
    return parse_config(text, source=str(path), folder=path.parent)


def parse_config(text: str, *, source: str, folder: Path) -> RunConfig:
    """As `load_config`, for text; `source` names it in messages."""
    return config_of(read_document(text, source=source), folder)


@dataclass(frozen=True, slots=True)
class Document:
    """A YAML mapping, and the line on which each of its values stands."""

    source: str
    data: Mapping[object, object]
    lines: Mapping[Location, int]


def read_document(text: str, *, source: str) -> Document:
    """The one mapping in `text`. Raises ConfigError for anything else."""
    lines: dict[Location, int] = {}
    try:
        loader = yaml.SafeLoader(text)
        try:
            node = loader.get_single_node()
            if node is not None:
                # Before construction, which flattens merge keys: overriding one is no repetition.
                _collect_lines(node, (), lines, source, set())
            data = None if node is None else loader.construct_document(node)
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark is not None else ""
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise ConfigError(f"{source}{line}: not valid YAML: {problem}") from error
    except (ValueError, LookupError, AttributeError, TypeError, RecursionError, OverflowError) as error:
        # Values that contradict their own tag (`!!bool maybe`) end the library in any of these.
        raise ConfigError(f"{source}: not valid YAML: a value cannot be read ({error})") from error
    if data is None:  # an empty file, or nothing but comments
        data = {}
    if not isinstance(data, dict):
        raise ConfigError(f"{source}, line 1: the file holds no `key: value` pairs at its top level.")
    return Document(source, data, lines)


def config_of(document: Document, folder: Path, *, section: str | None = None) -> RunConfig:
    """The configuration that a document, or one section of it, holds; relative paths are in `folder`."""
    data: object = document.data if section is None else document.data.get(section)
    lines = document.lines
    if section is not None:
        lines = {at[1:]: line for at, line in lines.items() if at[:1] == (section,)}
    at: Location = ()
    try:
        if isinstance(data, dict):
            for name, preset in presets_of(data).items():
                at = (PRESETS, name)
                ModelSettings.model_validate({"model": "of the stage", **preset})
            at = ()
            data, lines = resolve_presets(data, lines)
        config = RunConfig.model_validate(data)
    except PresetError as error:
        line = _line_of(error.location, lines)
        raise ConfigError(f"{document.source}, line {line}: {error}") from None
    except ValidationError as error:
        raise ConfigError(_describe(error, lines, document.source, at)) from None
    return _anchor(config, folder.absolute())


def _collect_lines(
    node: yaml.Node, at: Location, lines: dict[Location, int], source: str, walked: set[int]
) -> None:
    lines.setdefault(at, node.start_mark.line + 1)
    if id(node) in walked:  # an alias: it may stand inside itself, or many times
        return
    walked.add(id(node))
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            name = str(key.value)
            line = key.start_mark.line + 1
            if name in seen:
                # YAML says nothing of it and the last one would win in silence.
                raise ConfigError(f"{source}, line {line}: the key `{name}` stands twice; keep one.")
            seen.add(name)
            lines[(*at, name)] = line
            _collect_lines(value, (*at, name), lines, source, walked)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            _collect_lines(value, (*at, index), lines, source, walked)


def _describe(error: ValidationError, lines: Mapping[Location, int], source: str, at: Location) -> str:
    problems = []
    for item in error.errors(include_url=False):
        location = (*at, *(part for part in item["loc"] if part != "[key]"))
        if item["type"] == "unknown_endpoint":
            location = ("stages", item["ctx"]["stage"], "endpoint")
        line = _line_of(location, lines)
        dotted = ".".join(str(part) for part in location) or "(the whole file)"
        if item["type"] == "extra_forbidden" or (item["type"] == "literal_error" and "[key]" in item["loc"]):
            problems.append(f"{source}, line {line}: unknown key `{dotted}`.{_suggestion(location)}")
        elif item["type"] == "missing":
            problems.append(f"{source}, line {line}: `{dotted}` is missing.")
        else:
            # Our own messages say what matters, and a URL may hold a key; a container may be endless.
            is_shown = item["type"] not in ("value_error", "unknown_endpoint") and isinstance(
                item["input"], str | int | float | date | None
            )
            shown = f" (it is {item['input']!r:.80})" if is_shown else ""
            message = item["msg"].removeprefix("Value error, ")
            problems.append(f"{source}, line {line}: `{dotted}`{shown}: {message}")
    return "\n".join(problems)


def _line_of(location: Location, lines: Mapping[Location, int]) -> int:
    for end in range(len(location), -1, -1):
        if location[:end] in lines:
            return lines[location[:end]]
    return 1


def _suggestion(location: Location) -> str:
    known = sorted(_known_keys(location[:-1]))
    close = difflib.get_close_matches(str(location[-1]), known, n=1)
    if close:
        return f" Did you mean `{close[0]}`?"
    return f" Known here: {', '.join(known)}." if known else ""


def _known_keys(location: Location) -> set[str]:
    """The keys that the section at `location` may hold, found by walking the settings' own types."""
    if location[:1] == (PRESETS,):  # what a stage may hold
        location = ("stages", "simulator", *location[2:])
    model: type[BaseModel] = RunConfig
    names = list(location)
    while names:
        name = str(names.pop(0))
        if name not in model.model_fields:
            return set()
        inner = _section_type(model.model_fields[name].annotation)
        if inner is None:
            return _literal_keys(model.model_fields[name].annotation) if not names else set()
        if "dict" in str(model.model_fields[name].annotation) or "tuple" in str(
            model.model_fields[name].annotation
        ):
            if not names:
                return _literal_keys(model.model_fields[name].annotation)
            names.pop(0)
        model = inner
    added = {RunConfig: {PRESETS}, ModelSettings: {PRESET}}
    return set(model.model_fields) | added.get(model, set())


def _section_type(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for part in getattr(annotation, "__args__", ()):
        found = _section_type(part)
        if found is not None:
            return found
    return None


def _literal_keys(annotation: object) -> set[str]:
    arguments = cast(tuple[object, ...], getattr(annotation, "__args__", ()))
    literals = getattr(arguments[0], "__args__", ()) if arguments else ()
    return {str(value) for value in literals}


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
    local = config.local
    if local is not None and local.model is not None and not local.model.is_absolute():
        changes["local"] = local.model_copy(update={"model": folder / local.model})
    return config.model_copy(update=changes)
