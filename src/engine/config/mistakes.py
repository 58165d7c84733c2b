"""Each mistake of a configuration in its user's words: file, line, key, what stands there, what may.

The settings' types say what may stand where; this module says it without their vocabulary.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING, cast

import yaml
from pydantic import BaseModel, ValidationError

from engine.config.document import Place, path_of
from engine.config.model_settings import ModelSettings, VariantSettings
from engine.config.presets import PRESET, PRESETS, Location
from engine.config.secret_text import looks_like_key
from engine.config.settings import RunConfig
from engine.config.suggestion import closest, suggest

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

# What must stand in a place of each type, by the validator's name for what it refused.
_WANTED = {
    "int_type": "write a whole number",
    "int_parsing": "write a whole number",
    "int_parsing_size": "write a smaller whole number",
    "int_from_float": "write a whole number",
    "number_not_boolean": "write a number",
    "float_type": "write a number",
    "float_parsing": "write a number",
    "finite_number": "write a finite number",
    "bool_type": "write true or false",
    "bool_parsing": "write true or false",
    "string_type": "write a text",
    "path_type": "write the path of a file or folder",
    "too_short": "the list must not be empty",
    "string_too_short": "the text must not be empty",
    "greater_than": "must be above {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be below {lt}",
    "less_than_equal": "must be at most {le}",
}
_MAPPINGS = ("model_type", "dict_type", "model_attributes_type")
_LISTS = ("tuple_type", "list_type")
# Their own message says it all, and what they refuse may hold a key.
_TOLD = ("value_error", "unknown_endpoint")


def describe(error: ValidationError, places: Mapping[Location, Place], source: str, at: Location) -> str:
    """Every mistake that `error` holds, a line for each, in the file's order; `at` is where it was found."""
    problems = []
    for item in error.errors(include_url=False):
        location = (*at, *(part for part in item["loc"] if part != "[key]"))
        if item["type"] == "unknown_endpoint":
            location = ("stages", item["ctx"]["stage"], "endpoint")
        line = line_of(location, places)
        problems.append((line, f"{source}, line {line}: {_problem(item, location, places.get(location))}"))
    return "\n".join(text for _, text in sorted(problems))


def line_of(location: Location, places: Mapping[Location, Place]) -> int:
    """The line of the innermost known key around `location`, from 1."""
    for end in range(len(location), -1, -1):
        if location[:end] in places:
            return places[location[:end]].line
    return 1


def _problem(item: ErrorDetails, location: Location, place: Place | None) -> str:
    key, kind, value = path_of(location), item["type"], item["input"]
    if kind == "extra_forbidden" or (kind == "literal_error" and "[key]" in item["loc"]):
        return f"unknown key `{key}`.{_known_key(location)}"
    if kind == "missing":
        return f"`{key}` is missing."
    if kind in _TOLD:
        message = item["msg"].removeprefix("Value error, ")
        return f"`{key}`: {message}{'' if message[-1] in '.?' else '.'}"
    return f"`{key}` (it is {shown(value)}): {wanted(item, location, place)}"


def wanted(item: ErrorDetails, location: Location, place: Place | None = None) -> str:
    """What may stand at `location`, and what was probably meant, as the end of a sentence."""
    kind, value = item["type"], item["input"]
    context: Mapping[str, object] = item.get("ctx", {})
    name = str(location[-1]) if location else ""
    if kind == "literal_error":
        expected = str(context["expected"])
        close = closest(value, re.findall(r"'([^']*)'", expected))
        words = f"must be {expected}" + (f": did you mean `{close}`?" if close else "")
    elif kind in _MAPPINGS:
        words = "write `key: value` pairs below it"
        if location and not isinstance(location[-1], int):
            words += ", or leave it out"
    elif kind in _LISTS:
        words = f"write a list: {_as_list(name, value)}"
    else:
        words = _WANTED[kind].format_map(context) if kind in _WANTED else item["msg"]
    words += _misread(kind, value, place)
    return words if words.endswith("?") else f"{words}."


def _misread(kind: str, value: object, place: Place | None) -> str:
    """What YAML made of a word, where its writer cannot have meant that."""
    written = None if place is None else place.text
    if isinstance(value, bool) and written is not None and not kind.startswith("bool"):
        read = "true" if value else "false"
        as_read = "" if written.lower() == read else f"; YAML reads `{written}` as {read}"
        is_text = kind in ("string_type", "literal_error", "path_type")
        return as_read + (f': if you mean the word, quote it: "{written}"' if is_text else "")
    if kind == "string_type" and isinstance(value, int | float | date) and written is not None:
        return f': put it in quotes: "{written}"'
    return ""


def _as_list(name: str, value: object) -> str:
    """The list that was probably meant, as it is written."""
    if isinstance(value, dict) or name == "debrief":
        return "each item on a line of its own that begins with `- `"
    if not isinstance(value, str):
        return f"`[{'' if value is None else _as_yaml(str(value))}]`"
    words = [value]
    if name == "tasks":
        words = re.split(r"[,\s]+", value.strip())
    elif name == "on_end":
        try:
            words = shlex.split(value)
        except ValueError:  # an open quote
            words = value.split()
    return f"`[{', '.join(map(_as_yaml, words))}]`"


def _as_yaml(word: str) -> str:
    """One item of a list, in quotes where YAML would read it as something else."""
    is_plain = re.fullmatch(r"[A-Za-z_/.][\w./-]*", word) and yaml.safe_load(word) == word
    return word if is_plain else json.dumps(word, ensure_ascii=False)


def shown(value: object) -> str:
    """A value as far as it can be shown: never a key, never endless."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "empty"
    if isinstance(value, dict):
        return "a group of keys"
    if isinstance(value, str | int | float | date):
        try:
            words = str(value) if isinstance(value, date) else repr(value)
        except ValueError:  # more digits than Python prints
            return "a huge number"
        if looks_like_key(words):
            return "something that looks like a key"
        return words if len(words) <= 80 else f"{words[:80]}..."
    return "a list" if isinstance(value, list | tuple) else type(value).__name__


def _known_key(location: Location) -> str:
    known = sorted(_known_keys(location[:-1]))
    return suggest(location[-1], known) or (f" Known here: {', '.join(known)}." if known else "")


def _known_keys(location: Location) -> set[str]:
    """The keys that the section at `location` may hold, found by walking the settings' own types."""
    if location[:1] == (PRESETS,):  # what a stage may hold, but for another preset
        return _known_keys(("stages", "simulator", *location[2:])) - {PRESET}
    model: type[BaseModel] = RunConfig
    names = list(location)
    while names:
        name = str(names.pop(0))
        if name not in model.model_fields:
            return set()
        annotation = model.model_fields[name].annotation
        inner = _section_type(annotation)
        if inner is None:
            return _literal_keys(annotation) if not names else set()
        if "dict" in str(annotation) or "tuple" in str(annotation):
            if not names:
                return _literal_keys(annotation)
            names.pop(0)
        model = inner
    added = {RunConfig: {PRESETS}, ModelSettings: {PRESET}, VariantSettings: {PRESET}}
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
