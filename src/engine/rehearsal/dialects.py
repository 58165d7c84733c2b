"""The other formats that the endpoint speaks: Anthropic's Messages and Google's generateContent.

A request is turned into the chat-completions one that asks the same, and the reply back. What the real
provider refuses is refused here too (a system message among the others, no `max_tokens`, a field that it
does not know), so that a run in rehearsal shows what would go wrong. Neither format has a cache key, and
Anthropic's has no seed: equal requests get equal answers.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import unquote

import orjson

from engine.rehearsal.asked import Asked, BadRequest
from engine.rehearsal.responder import Answer
from engine.rehearsal.streams import anthropic_events, openai_events

Json = dict[str, object]
_GEMINI_PATH = re.compile(r"/(?:v1|v1beta)/models/([^/?]+):generateContent")
_AZURE_PATH = re.compile(r"/openai/deployments/([^/?]+)/chat/completions")
_ANTHROPIC_FIELDS = frozenset(
    {"model", "max_tokens", "messages", "system", "temperature", "top_p", "top_k", "stop_sequences"}
    | {"metadata", "stream", "thinking", "service_tier", "cache_control", "tools", "tool_choice"}
)
_GEMINI_FIELDS = frozenset(
    {"contents", "systemInstruction", "generationConfig", "safetySettings", "cachedContent", "tools"}
)
_ANTHROPIC_ERRORS = {
    400: "invalid_request_error", 401: "authentication_error", 404: "not_found_error",
    413: "request_too_large", 429: "rate_limit_error",
}  # fmt: skip
_GEMINI_ERRORS = {
    400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED",
}  # fmt: skip


class Dialect(NamedTuple):
    """One format: `read` raises BadRequest; `model` is the one that the address names, if it does.

    `stream` makes events of a whole body; None where the format has an address of its own for that.
    """

    read: Callable[[Json], Json]
    reply: Callable[[Asked, Answer, int, Json], bytes] | None
    error: Callable[[int, str], bytes] | None
    model: str = ""
    stream: Callable[[bytes, Json], tuple[bytes, ...]] | None = None


def dialect_of(path: str) -> Dialect | None:
    """The dialect that is spoken at `path`; None for chat completions at their usual place, and elsewhere."""
    if path == "/v1/messages":
        return Dialect(_read_anthropic, _anthropic_reply, _anthropic_error, stream=anthropic_events)
    if found := _GEMINI_PATH.fullmatch(path):
        return Dialect(_read_gemini, _gemini_reply, _gemini_error, unquote(found[1]))
    if found := _AZURE_PATH.fullmatch(path):
        return Dialect(lambda body: body, None, None, unquote(found[1]), openai_events)
    return None


# --- Anthropic ----------------------------------------------------------------------------------------


def _read_anthropic(body: Json) -> Json:
    _refuse_unknown(body, _ANTHROPIC_FIELDS)
    if not isinstance(body.get("max_tokens"), int):
        raise BadRequest("max_tokens: Field required", "max_tokens")
    messages = body.get("messages")
    if not isinstance(messages, list):
        raise BadRequest("messages: Field required", "messages")
    roles = [message.get("role") if isinstance(message, dict) else None for message in messages]
    if any(role not in ("user", "assistant") for role in roles):
        raise BadRequest('messages: Unexpected role; allowed are "user" and "assistant"', "messages")
    said: list[object] = list(messages)
    if (system := body.get("system")) is not None:
        said.insert(0, {"role": "system", "content": system})
    return {name: body[name] for name in ("model", "max_tokens", "temperature") if name in body} | {
        "messages": said
    }


def _anthropic_reply(asked: Asked, said: Answer, seed: int, body: Json) -> bytes:
    cached = said.cached_tokens if b'"cache_control"' in orjson.dumps(body) else 0
    return orjson.dumps(
        {
            "id": f"msg_{said.digest:016x}",
            "type": "message",
            "role": "assistant",
            "model": asked.model,
            "content": [{"type": "text", "text": said.text}],
            "stop_reason": "max_tokens" if said.finish_reason == "length" else "end_turn",
            "stop_sequence": None,
            "usage": {
                "input_tokens": said.prompt_tokens - cached,
                "cache_creation_input_tokens": 0,
                "cache_read_input_tokens": cached,
                "output_tokens": said.completion_tokens,
            },
            # Not the provider's: it says that no model wrote the text.
            "system_fingerprint": f"rehearsal-{seed}",
        }
    )


def _anthropic_error(status: int, message: str) -> bytes:
    error = {"type": _ANTHROPIC_ERRORS.get(status, "api_error"), "message": message}
    return orjson.dumps({"type": "error", "error": error})


# --- Gemini -------------------------------------------------------------------------------------------


def _read_gemini(body: Json) -> Json:
    _refuse_unknown(body, _GEMINI_FIELDS)
    contents, instruction = body.get("contents"), body.get("systemInstruction")
    if not isinstance(contents, list) or not contents:
        raise BadRequest("contents is not specified", "contents")
    said = []
    if isinstance(instruction, dict):
        said.append({"role": "system", "content": instruction.get("parts")})
    for content in contents:
        role = content.get("role") if isinstance(content, dict) else None
        if role not in ("user", "model"):
            raise BadRequest("Please use a valid role: user, model.", "contents")
        said.append({"role": "assistant" if role == "model" else "user", "content": content.get("parts")})
    asked: Json = {"messages": said}
    config = body.get("generationConfig")
    if isinstance(config, dict):
        for theirs, ours in (
            ("maxOutputTokens", "max_tokens"),
            ("temperature", "temperature"),
            ("seed", "seed"),
        ):
            if theirs in config:
                asked[ours] = config[theirs]
    return asked


def _gemini_reply(asked: Asked, said: Answer, seed: int, body: Json) -> bytes:
    return orjson.dumps(
        {
            "candidates": [
                {
                    "content": {"parts": [{"text": said.text}], "role": "model"},
                    "finishReason": "MAX_TOKENS" if said.finish_reason == "length" else "STOP",
                    "index": 0,
                }
            ],
            "usageMetadata": {
                "promptTokenCount": said.prompt_tokens,
                "candidatesTokenCount": said.completion_tokens,
                "totalTokenCount": said.prompt_tokens + said.completion_tokens,
                "cachedContentTokenCount": said.cached_tokens,
            },
            "modelVersion": asked.model,
            "responseId": f"{said.digest:016x}",
            "systemFingerprint": f"rehearsal-{seed}",
        }
    )


def _gemini_error(status: int, message: str) -> bytes:
    error = {"code": status, "message": message, "status": _GEMINI_ERRORS.get(status, "INTERNAL")}
    return orjson.dumps({"error": error})


def _refuse_unknown(body: Json, known: frozenset[str]) -> None:
    if unknown := sorted(body.keys() - known):
        raise BadRequest(f"{unknown[0]}: Extra inputs are not permitted", unknown[0])
