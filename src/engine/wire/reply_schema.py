"""How a request asks for a reply in JSON, in the formats that can: parameters beside the messages.

OpenAI's `response_format` and Gemini's `generationConfig`; Anthropic's Messages has neither, and there the
prompt's words alone ask for it. Source: the providers' API references on structured output.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Structured = Literal["none", "json_object", "json_schema"]


@dataclass(frozen=True, slots=True)
class ReplySchema:
    """The JSON Schema of an object, and a name for it (letters, digits, `_`)."""

    name: str
    schema: Mapping[str, object]


def schema_parameters(kind: Structured, schema: ReplySchema | None, format: str) -> dict[str, object]:
    """What a request of this format carries beside its other parameters; empty where it cannot ask."""
    if schema is None or kind == "none":
        return {}
    if format == "openai":
        asked: dict[str, object] = {"type": kind}
        if kind == "json_schema":
            asked[kind] = {"name": schema.name, "strict": True, "schema": dict(schema.schema)}
        return {"response_format": asked}
    if format == "gemini":
        config: dict[str, object] = {"responseMimeType": "application/json"}
        if kind == "json_schema":
            config["responseJsonSchema"] = dict(schema.schema)
        return {"generationConfig": config}
    return {}


def with_parameters(extra: Mapping[str, object], added: Mapping[str, object]) -> dict[str, object]:
    """`extra` with what is added, section by section; what stands in `extra` wins."""
    merged = dict(extra)
    for name, value in added.items():
        own = merged.get(name)
        if isinstance(own, Mapping) and isinstance(value, Mapping):
            value = {**value, **own}
        elif own is not None:
            value = own
        merged[name] = value
    return merged
