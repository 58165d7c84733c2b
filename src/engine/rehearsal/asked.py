"""The request as far as it matters: checked by hand.

What OpenAI's format allows and this endpoint ignores is accepted; what it cannot honour is refused. There is
no pydantic model here: few fields are read, and each request is checked whole, all its messages included.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import orjson

_ROLES = frozenset({"system", "developer", "user", "assistant", "tool"})


class BadRequest(Exception):
    """The request cannot be answered; `param` names the field as OpenAI's error object does."""

    def __init__(self, message: str, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code


class Message(NamedTuple):
    """One message: content parts of type `text` are joined."""

    role: str
    text: str


@dataclass(frozen=True, slots=True)
class Asked:
    """One chat-completions request. `digest_input` holds all that a reply may depend on."""

    model: str
    messages: tuple[Message, ...]
    max_tokens: int | None
    cache_key: str
    digest_input: bytes
    seed: int | None = None


def parse_body(raw: bytes) -> dict[str, object]:
    """The JSON object in `raw`. Raises `BadRequest`; lone surrogates and deep nesting are not JSON here."""
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"The body is not valid JSON: {error}") from error
    if not isinstance(body, dict):
        raise BadRequest("The body must be a JSON object.")
    return body


def read_asked(body: dict[str, object]) -> Asked:
    """Raises `BadRequest` naming the field that is missing, of the wrong type, or not offered."""
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise BadRequest("'model' must be a non-empty string.", "model")
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise BadRequest("'messages' must be a non-empty array.", "messages")
    if body.get("n") not in (None, 1):
        raise BadRequest("Only one choice is offered.", "n", "unsupported_value")
    read = tuple(_read_message(message, i) for i, message in enumerate(messages))
    cache_key = body.get("prompt_cache_key")
    if cache_key is not None and not isinstance(cache_key, str):
        raise BadRequest("'prompt_cache_key' must be a string.", "prompt_cache_key")
    digest_input = orjson.dumps(
        [model, body.get("seed"), body.get("temperature"), cache_key, *map(tuple, read)]
    )
    seed = body.get("seed")
    return Asked(
        model,
        read,
        _read_max_tokens(body),
        cache_key or "",
        digest_input,
        seed if type(seed) is int else None,
    )


def _read_message(message: object, i: int) -> Message:
    where = f"messages[{i}]"
    if not isinstance(message, dict):
        raise BadRequest(f"'{where}' must be an object.", where)
    role, content = message.get("role"), message.get("content")
    if not isinstance(role, str) or role not in _ROLES:
        raise BadRequest(f"'{where}.role' must be one of {sorted(_ROLES)}.", f"{where}.role")
    if isinstance(content, list):
        texts = [part.get("text") if isinstance(part, dict) else None for part in content]
        if all(isinstance(text, str) for text in texts):
            content = "".join(map(str, texts))
    if not isinstance(content, str):
        raise BadRequest(f"'{where}.content' must be a string or text parts.", f"{where}.content")
    return Message(role, content)


def _read_max_tokens(body: dict[str, object]) -> int | None:
    limit: int | None = None
    for field in ("max_tokens", "max_completion_tokens"):
        value = body.get(field)
        if value is None:
            continue
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise BadRequest(f"'{field}' must be an integer of at least 1.", field)
        limit = value if limit is None else min(limit, value)
    return limit
