"""A whole reply as the event stream that its provider would send: nothing is said that the body does not say.

Texts come in pieces of a few characters, as tokens do. Like the providers' own, OpenAI's stream has usage
only where it was asked for; Anthropic's counts what was asked first and what was answered last.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

_PIECE = 8  # characters


def openai_events(whole: bytes, body: Mapping[str, object]) -> tuple[bytes, ...]:
    """The stream of a chat completion; `body` is the request."""
    reply: dict[str, Any] = orjson.loads(whole)
    (choice,) = reply["choices"]
    options = body.get("stream_options")
    has_usage = isinstance(options, dict) and options.get("include_usage") is True
    head = {name: reply[name] for name in ("id", "created", "model", "system_fingerprint")}
    head["object"] = "chat.completion.chunk"

    def chunk(delta: dict[str, object], finish: str | None = None) -> bytes:
        choices = [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]
        return _event({**head, "choices": choices, **({"usage": None} if has_usage else {})})

    return (
        chunk({"role": "assistant", "content": "", "refusal": None}),
        *(chunk({"content": piece}) for piece in _pieces(choice["message"]["content"])),
        chunk({}, choice["finish_reason"]),
        *([_event({**head, "choices": [], "usage": reply["usage"]})] if has_usage else []),
        b"data: [DONE]\n\n",
    )


def anthropic_events(whole: bytes, body: Mapping[str, object]) -> tuple[bytes, ...]:
    """The stream of a message."""
    message: dict[str, Any] = orjson.loads(whole)
    (block,) = message["content"]
    usage = message["usage"]
    begun = {**message, "content": [], "stop_reason": None, "usage": {**usage, "output_tokens": 1}}
    said: list[dict[str, object]] = [
        {"type": "message_start", "message": begun},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "ping"},
    ]
    for piece in _pieces(block["text"]):
        delta = {"type": "text_delta", "text": piece}
        said.append({"type": "content_block_delta", "index": 0, "delta": delta})
    ended = {"stop_reason": message["stop_reason"], "stop_sequence": message["stop_sequence"]}
    said += [
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": ended, "usage": {"output_tokens": usage["output_tokens"]}},
        {"type": "message_stop"},
    ]
    return tuple(b"event: %b\n%b" % (str(each["type"]).encode(), _event(each)) for each in said)


def _event(data: dict[str, object]) -> bytes:
    return b"data: %b\n\n" % orjson.dumps(data)


def _pieces(text: str) -> Iterator[str]:
    return (text[at : at + _PIECE] for at in range(0, len(text), _PIECE))
