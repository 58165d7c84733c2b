"""The rehearsal's other formats: what they refuse, and that each says the same as chat completions would."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from engine.rehearsal.replies import Reply
from engine.rehearsal.service import Service
from engine.rehearsal.settings import RehearsalSettings

CLAUDE, GOOGLE = "/v1/messages", "/v1beta/models/m:generateContent"
AZURE = "/openai/deployments/m/chat/completions?api-version=1"
ASK = "I need a gift for my teacher."


def ask(path: str, body: dict[str, Any], **settings: Any) -> Reply:
    service = Service(RehearsalSettings(**settings))
    assert service.route("POST", path) is None
    return service.begin_chat(orjson.dumps(body), b"", path)


def claude(**changes: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": ASK}]
    return {"model": "m", "max_tokens": 500, "messages": messages} | changes


def google(**changes: Any) -> dict[str, Any]:
    return {"contents": [{"role": "user", "parts": [{"text": ASK}]}]} | changes


def test_all_formats_say_the_same() -> None:
    chat = orjson.loads(ask(AZURE, {"messages": [{"role": "user", "content": ASK}], "max_tokens": 500}).body)
    said = chat["choices"][0]["message"]["content"]
    assert chat["model"] == "m"
    anthropic = orjson.loads(ask(CLAUDE, claude()).body)
    assert anthropic["content"] == [{"type": "text", "text": said}]
    assert anthropic["stop_reason"] == "end_turn"
    gemini = orjson.loads(ask(GOOGLE, google()).body)
    assert gemini["candidates"][0]["content"]["parts"] == [{"text": said}]
    assert gemini["usageMetadata"]["promptTokenCount"] == anthropic["usage"]["input_tokens"]


def test_length_limit_is_said_in_the_formats_own_words() -> None:
    assert orjson.loads(ask(CLAUDE, claude(max_tokens=3)).body)["stop_reason"] == "max_tokens"
    short = ask(GOOGLE, google(generationConfig={"maxOutputTokens": 3}))
    assert orjson.loads(short.body)["candidates"][0]["finishReason"] == "MAX_TOKENS"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (CLAUDE, {"model": "m", "messages": [{"role": "user", "content": ASK}]}),
        (CLAUDE, claude(seed=1)),
        (CLAUDE, claude(messages=[{"role": "system", "content": "x"}, {"role": "user", "content": ASK}])),
        (CLAUDE, claude(messages="x")),
        (GOOGLE, google(contents=[])),
        (GOOGLE, google(contents=[{"role": "assistant", "parts": [{"text": ASK}]}])),
        (GOOGLE, google(model="m")),
        (GOOGLE, google(contents=[{"role": "user", "parts": 3}])),
    ],
)
def test_what_the_provider_refuses_is_refused_in_its_own_form(path: str, body: dict[str, Any]) -> None:
    reply = ask(path, body)
    assert reply.status == 400
    error = orjson.loads(reply.body)
    assert error["error"]["message"]
    kind = error["error"]["type"] if path == CLAUDE else error["error"]["status"]
    assert kind == ("invalid_request_error" if path == CLAUDE else "INVALID_ARGUMENT")


def test_key_is_wanted_in_every_format() -> None:
    for path, body in ((CLAUDE, claude()), (GOOGLE, google())):
        assert ask(path, body, api_key="k").status == 401


def test_other_methods_and_addresses() -> None:
    service = Service(RehearsalSettings())
    found = [service.route("GET", CLAUDE), service.route("POST", "/v1/models/m:streamGenerateContent")]
    assert [reply and reply.status for reply in found] == [405, 404]
