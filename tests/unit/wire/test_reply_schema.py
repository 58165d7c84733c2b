"""How each format asks for JSON, and what a stage's own parameters do to that."""

from __future__ import annotations

import orjson
import pytest

from engine.config.model_settings import ModelSettings
from engine.runner.endpoints import encoder, request_form
from engine.wire.formats import FORMATS
from engine.wire.message_log import MessageLog
from engine.wire.reply_schema import ReplySchema, schema_parameters, with_parameters

SCHEMA = ReplySchema("verdict", {"type": "object", "properties": {}, "required": []})


def body(format: str, **settings: object) -> dict[str, object]:
    messages = MessageLog()
    messages.extend([("user", "?")])
    chosen = ModelSettings.model_validate({"model": "m", **settings})
    form = encoder(chosen, FORMATS[format], SCHEMA)
    decoded = orjson.loads(form.encode(messages, seed=1, cache_key=None))
    assert isinstance(decoded, dict)
    return decoded


def test_openai_takes_a_schema_or_asks_for_an_object() -> None:
    assert body("openai", structured="json_schema")["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "verdict", "strict": True, "schema": SCHEMA.schema},
    }
    assert body("openai", structured="json_object")["response_format"] == {"type": "json_object"}
    assert "response_format" not in body("openai")


def test_gemini_takes_it_beside_its_other_parameters() -> None:
    config = body("gemini", structured="json_schema", max_tokens=7)["generationConfig"]
    assert isinstance(config, dict)
    assert config["responseMimeType"] == "application/json"
    assert config["responseJsonSchema"] == SCHEMA.schema
    assert config["maxOutputTokens"] == 7


def test_anthropic_is_asked_by_the_prompt_alone() -> None:
    assert not {"response_format", "generationConfig"} & body("anthropic", structured="json_schema").keys()


@pytest.mark.parametrize("kind", ["json_object", "json_schema"])
def test_what_the_stage_says_itself_wins(kind: str) -> None:
    own = {"response_format": {"type": "text"}}
    assert body("openai", structured=kind, extra=own)["response_format"] == {
        **schema_parameters("json_schema", SCHEMA, "openai")["response_format"],  # type: ignore[dict-item]
        "type": "text",
    } or body("openai", structured=kind, extra=own)["response_format"] == {"type": "text"}
    assert with_parameters({"a": 1}, {"a": 2, "b": 3}) == {"a": 1, "b": 3}
    assert with_parameters({"a": {"x": 1}}, {"a": {"x": 2, "y": 3}}) == {"a": {"x": 1, "y": 3}}


def test_it_changes_the_requests_digest() -> None:
    messages = MessageLog()
    settings = ModelSettings(model="m", structured="json_object")
    plain, asked = request_form(settings), request_form(settings, SCHEMA)
    assert plain.digest(messages, seed=1) != asked.digest(messages, seed=1)
