"""Faults of the second kind: status 200, and a body that is not the reply that was asked for.

Each changes the reply that the request would have got as little as the fault needs.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from functools import cache

from engine.rehearsal.faults import Fault, Met, Step, http, in_json

_BOMB_BYTES = 64 * 1024 * 1024
_HUGE_BYTES = 17 * 1024 * 1024
_MARK = "@@@"


def _bytes(name: str, what: str, change: Callable[[bytes], bytes], *headers: str) -> Fault:
    def steps(met: Met) -> list[Step]:
        return [http(200, change(met.reply), *headers)]

    return Fault(name, what, steps)


def _field(name: str, what: str, change: Callable[[dict[str, object], dict[str, object]], None]) -> Fault:
    """A fault that `change(choice, message)` makes."""

    def changed(reply: bytes) -> bytes:
        body = json.loads(reply)
        change(body["choices"][0], body["choices"][0]["message"])
        return json.dumps(body).encode()

    return _bytes(name, what, changed)


def _raw_content(name: str, what: str, raw: bytes) -> Fault:
    """The content is `raw`, as JSON text without its quotes."""

    def changed(reply: bytes) -> bytes:
        body = json.loads(reply)
        body["choices"][0]["message"]["content"] = _MARK
        return json.dumps(body).encode().replace(_MARK.encode(), raw, 1)

    return _bytes(name, what, changed)


def _beside(name: str, what: str, raw: bytes) -> Fault:
    """A whole reply with a field more, whose value is `raw`."""
    return _bytes(name, what, lambda reply: b'{"more":' + raw + b"," + reply[1:])


def _usage(name: str, what: str, raw: bytes) -> Fault:
    def changed(reply: bytes) -> bytes:
        body = json.loads(reply)
        body["usage"] = _MARK
        return json.dumps(body).encode().replace(json.dumps(_MARK).encode(), raw, 1)

    return _bytes(name, what, changed)


def _fixed(name: str, what: str, text: str, kind: str = "application/json") -> Fault:
    def steps(met: Met) -> list[Step]:
        quote = in_json(met.quote) if text.startswith("{") else met.quote
        return [http(200, text.replace("@", quote).encode(), kind=kind)]

    return Fault(name, what, steps)


@cache
def _bomb() -> bytes:
    return gzip.compress(bytes(_BOMB_BYTES), 6)


def _set_content(value: object) -> Callable[[dict[str, object], dict[str, object]], None]:
    return lambda choice, message: message.update(content=value)


def _finish(reason: str, **message_fields: object) -> Callable[[dict[str, object], dict[str, object]], None]:
    def change(choice: dict[str, object], message: dict[str, object]) -> None:
        choice["finish_reason"] = reason
        message.update(message_fields)

    return change


FAULTS = (
    # No JSON, or not the expected one.
    _fixed("empty-body", "200 without a body", ""),
    _bytes("truncated-json", "JSON that breaks off", lambda reply: reply[: len(reply) // 2]),
    _fixed("invalid-json", "text that is not JSON", "upstream connect error@"),
    _fixed("page", "an HTML page", "<!doctype html><html><body>Sign in@</body></html>", "text/html"),
    _fixed("json-list", "a JSON list", "[1, 2]"),
    _fixed("missing-choices", "no `choices`", '{"id": "x", "object": "chat.completion"}'),
    _fixed("empty-choices", "`choices` is empty", '{"choices": []}'),
    _fixed("error-object", "an error object with status 200", '{"error": {"message": "Provider error@"}}'),
    _fixed("error-object-429", "an error object with status 200 and code 429",
           '{"error": {"message": "Rate limited@", "code": 429}}'),
    _fixed("error-object-402", "an error object with status 200 and code 402",
           '{"error": {"message": "Insufficient credits@", "code": 402}}'),
    _raw_content("invalid-utf-8", "a byte that is not UTF-8", b"so \xff far"),
    _bytes("utf-16", "the reply in UTF-16", lambda reply: reply.decode().encode("utf-16")),
    _beside("nan", "a field with the value NaN", b"NaN"),
    _beside("deep-nesting", "200,000 nested lists", b"[" * 200_000 + b"]" * 200_000),
    _raw_content("lone-surrogate", "half a character in the text", rb"so \ud83d far"),
    # JSON of the right shape that holds no text.
    _field("null-content", "content is null", _set_content(None)),
    _field("empty-content", "content is empty", _set_content("")),
    _field("blank-content", "content is blank", _set_content(" \n\u3000")),
    _field("content-list", "content is a list", _set_content([{"type": "text", "text": "Hi"}])),
    _field("tool-calls", "a tool call instead of text",
           _finish("tool_calls", content=None, tool_calls=[{"id": "1", "type": "function"}])),
    # The model's own way to end.
    _field("finish-length", "finish reason `length`", _finish("length")),
    _field("finish-filter", "finish reason `content_filter`, no text",
           _finish("content_filter", content=None)),
    _field("refusal", "a refusal instead of content",
           _finish("stop", content=None, refusal="I cannot help.")),
    # Odd, and yet a reply.
    Fault("wrong-type", "content type `text/plain`", lambda met: [http(200, met.reply, kind="text/plain")]),
    _beside("huge-number", "a number of 6,000 digits beside the reply", b"9" * 6_000),
    _usage("usage-huge-number", "a token count of 6,000 digits", b'{"prompt_tokens":' + b"9" * 6_000 + b"}"),
    _usage("usage-nonsense", "token counts that are none",
           b'{"prompt_tokens": -5, "completion_tokens": "many", "prompt_tokens_details": []}'),
    _usage("usage-null", "no usage", b"null"),
    # Too much.
    _bytes("huge-body", "17 MiB", lambda reply: b" " * _HUGE_BYTES + reply),
    Fault("huge-body-unframed", "17 MiB without a length",
          lambda met: [b"HTTP/1.1 200 OK\r\n\r\n", b" " * _HUGE_BYTES]),
    Fault("gzip-bomb", "64 KiB that inflate to 64 MiB",
          lambda met: [http(200, _bomb(), "content-encoding: gzip")]),
    Fault("gzip-invalid", "a body that is not the gzip it claims to be",
          lambda met: [http(200, met.reply, "content-encoding: gzip")]),
    Fault("gzip-truncated", "gzip that breaks off",
          lambda met: [http(200, gzip.compress(met.reply)[:-20], "content-encoding: gzip")]),
    Fault("gzip", "a reply in gzip, which was not asked for",
          lambda met: [http(200, gzip.compress(met.reply), "content-encoding: gzip")]),
    Fault("unknown-encoding", "a reply in Brotli",
          lambda met: [http(200, met.reply, "content-encoding: br")]),
)  # fmt: skip
