"""Anthropic's Messages format: request bytes out, reply bytes in, no I/O.

The system prompt stands beside the messages, `max_tokens` is required, and there is no seed. What may be
cached is marked: a breakpoint behind the system prompt and one behind the last message, so that each request
reads what the one before it wrote. Input tokens are reported without those written to and read from the
cache; they are added up here. Source: the provider's API reference, Messages, prompt caching and errors.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from engine.errors import ReplyUnusable, ServerFailed
from engine.schema.call import Reply, Usage
from engine.wire.json_body import count, read_object, section, word
from engine.wire.message_log import MessageLog
from engine.wire.status import failure_for_status

PATH = "/messages"
KEY_HEADER = "x-api-key"
HEADERS: dict[str, str] = {"anthropic-version": "2023-06-01"}
_CACHED = {"type": "ephemeral"}
# Their words for why a reply ended, in ours; any other is kept as it is.
_FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "refusal",
}


class RequestForm:
    """What is the same in every request of one model: encoded once."""

    __slots__ = ("_head", "model")

    def __init__(
        self,
        model: str,
        *,
        temperature: float | None,
        top_p: float | None,
        max_tokens: int,
        stop: tuple[str, ...] = (),
        extra: Mapping[str, object] | None = None,
        send_seed: bool = False,
    ) -> None:
        """`send_seed` changes nothing: the format has no seed."""
        fields: dict[str, object] = {"model": model, "max_tokens": max_tokens}
        if temperature is not None:
            fields["temperature"] = temperature
        if top_p is not None:
            fields["top_p"] = top_p
        if stop:
            fields["stop_sequences"] = list(stop)
        fields.update(extra or {})
        self.model = model
        self._head = orjson.dumps(fields, option=orjson.OPT_SORT_KEYS)[:-1]

    def encode(self, messages: MessageLog, *, seed: int, cache_key: str | None) -> bytes:
        """The request's body; with any `cache_key` it carries breakpoints. The seed cannot be sent."""
        said: list[dict[str, Any]] = orjson.loads(b"[%b]" % messages.body())
        system = []
        while said and said[0]["role"] == "system":
            system.append({"type": "text", "text": said.pop(0)["content"]})
        if cache_key is not None:
            if system:
                system[-1]["cache_control"] = _CACHED
            if said:
                last = {"type": "text", "text": said[-1]["content"], "cache_control": _CACHED}
                said[-1] = {"role": said[-1]["role"], "content": [last]}
        before = b',"system":%b' % orjson.dumps(system) if system else b""
        return b'%b%b,"messages":%b}' % (self._head, before, orjson.dumps(said))

    def __repr__(self) -> str:
        return f"RequestForm({self.model}, anthropic)"


def decode_reply(body: bytes) -> Reply:
    """The reply in `body`. Raises ReplyUnusable, or ServerFailed for an error sent with status 200."""
    data = read_object(body)
    blocks = data.get("content")
    if data.get("type") == "error":
        raise _error(data, body)
    if not isinstance(blocks, list):
        raise ReplyUnusable(
            "wrong_shape", "the reply holds no list `content`: is this an Anthropic-format endpoint?"
        )
    stopped = word(data.get("stop_reason"))
    finish = _FINISH.get(stopped, stopped or "stop")
    text, reasoning = _joined(blocks, "text"), _joined(blocks, "thinking")
    if not text.strip() and finish != "refusal":
        what = "reasoning alone: raise max_tokens for this model" if reasoning else "no text"
        raise ReplyUnusable("empty", f"the reply holds {what} (stop reason {stopped!r:.40})")
    usage = section(data, "usage")
    read = count(usage.get("cache_read_input_tokens"))
    asked = count(usage.get("input_tokens")) + count(usage.get("cache_creation_input_tokens")) + read
    return Reply(
        text,
        finish,
        Usage(asked, count(usage.get("output_tokens")), read),
        word(data.get("model")),
        reasoning,
        word(data.get("system_fingerprint")),
    )


def _joined(blocks: list[object], kind: str) -> str:
    """The texts of all blocks of one kind, whose name is also that of the field that holds the text."""
    found = (block for block in blocks if isinstance(block, dict) and block.get("type") == kind)
    return "".join(word(block.get(kind)) for block in found)


def _error(data: dict[str, object], body: bytes) -> ServerFailed | ReplyUnusable:
    kind = word(section(data, "error").get("type"))
    if kind == "overloaded_error":
        return failure_for_status(529, {}, body, wall=0.0)
    return ReplyUnusable("error_object", f"the server sent an error object with status 200 ({kind:.40})")
