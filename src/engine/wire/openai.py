"""OpenAI's chat-completions format: request bytes out, reply bytes in, no I/O.

Sources: the provider's API reference for /v1/chat/completions, and the dialects of servers that speak
it (vLLM, llama.cpp, Ollama). Arbitrary bytes raise ReplyUnusable and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson
import xxhash

from engine.errors import ReplyUnusable, ServerFailed
from engine.schema.call import Reply, Usage
from engine.wire.json_body import count, is_blank, read_object, word
from engine.wire.message_log import MessageLog
from engine.wire.status import failure_for_status

PATH = "/chat/completions"
PARAMETERS_DIGEST_BYTES = 8

# What models wrap their reasoning in: most use <think>, Magistral [THINK], others what a prompt asked for,
# in whichever case it did.
_CLOSINGS = {
    opening: re.compile(rf"(?ai:{re.escape(closing)})")
    for opening, closing in [
        *((f"<{name}>", f"</{name}>") for name in ("think", "thinking", "thought", "reasoning")),
        ("[think]", "[/think]"),
    ]
}
_OPENING = re.compile(rf"\s*((?ai:{'|'.join(map(re.escape, _CLOSINGS))}))")
# Harmony's channels, as gpt-oss writes them behind a server that does not parse them; `final` is the answer.
_CHANNEL = re.compile(r"\s*(?:<\|start\|>assistant)?<\|channel\|>(\w{1,20})[^<]{0,100}<\|message\|>")
_CHANNEL_END = re.compile(r"<\|(?:end|return|call)\|>\s*\Z")


class RequestForm:
    """What is the same in every request of one model: encoded and hashed once."""

    __slots__ = ("_head", "_salt", "max_tokens", "model", "send_seed")

    def __init__(
        self,
        model: str,
        *,
        temperature: float | None,
        top_p: float | None,
        max_tokens: int,
        stop: tuple[str, ...] = (),
        extra: Mapping[str, object] | None = None,
        send_seed: bool = True,
        max_tokens_field: str = "max_tokens",
    ) -> None:
        fields: dict[str, object] = {"model": model, "max_tokens": max_tokens}
        if temperature is not None:
            fields["temperature"] = temperature
        if top_p is not None:
            fields["top_p"] = top_p
        if stop:
            fields["stop"] = list(stop)
        fields.update(extra or {})
        self.model = model
        self.max_tokens = max_tokens
        self.send_seed = send_seed
        # Neither the cache hint, which follows from the job, nor the spelling of a field decides content.
        self._salt = orjson.dumps(fields, option=orjson.OPT_SORT_KEYS)
        fields[max_tokens_field] = fields.pop("max_tokens")
        self._head = orjson.dumps(fields, option=orjson.OPT_SORT_KEYS)[:-1] + b',"messages":['

    def encode(self, messages: MessageLog, *, seed: int, cache_key: str | None) -> bytes:
        """The request's body. `cache_key` must need no JSON escaping, as ids of jobs; None sends no hint."""
        tail = b"]"
        if self.send_seed:
            tail += b',"seed":%d' % seed
        if cache_key is not None:
            tail += b',"prompt_cache_key":"%s"' % cache_key.encode("ascii")
        return b"%s%s%s}" % (self._head, messages.body(), tail)

    def digest(self, messages: MessageLog, *, seed: int) -> bytes:
        """8 bytes over model and parameters, then 16 over the messages: a mismatch can name its half."""
        parameters = b"%b%d" % (self._salt, seed) if self.send_seed else self._salt
        return xxhash.xxh3_64_digest(parameters) + messages.digest()

    def __repr__(self) -> str:
        return f"RequestForm({self.model}, {self.max_tokens} tokens)"


def decode_reply(body: bytes) -> Reply:
    """The reply in `body`. Raises ReplyUnusable, or ServerFailed for an error sent with status 200."""
    data: Any = read_object(body)
    try:
        choice = data["choices"][0]
        message = choice["message"]
        text = message["content"]
        finish = choice.get("finish_reason")
        reasoning = message.get("reasoning_content") or message.get("reasoning") or ""
        refusal = message.get("refusal")
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        if isinstance(data.get("error"), dict | str):
            # OpenRouter and some gateways send errors with status 200.
            raise _embedded_error(data, body) from error
        raise ReplyUnusable(
            "wrong_shape", "the reply holds no choices[0].message.content: is this an OpenAI-format endpoint?"
        ) from error
    if refusal and not text:
        text, finish = "", "refusal"
    if text is None and finish in ("content_filter", "refusal"):
        text = ""
    if not isinstance(text, str):
        raise ReplyUnusable("no_content", f"the reply's content is {type(text).__name__}, not text")
    if is_blank(text) and finish not in ("content_filter", "refusal"):
        raise ReplyUnusable("empty", f"the reply's content is empty (finish reason {word(finish)!r:.40})")
    said, inline_reasoning = split_reasoning(text)
    if said is not text and is_blank(said) and finish not in ("content_filter", "refusal"):
        raise ReplyUnusable("empty", "the reply holds reasoning alone: raise max_tokens for this model")
    return Reply(
        said,
        finish if isinstance(finish, str) else "stop",
        _usage(data.get("usage")),
        word(data.get("model")),
        (reasoning if isinstance(reasoning, str) else "") or inline_reasoning,
        word(data.get("system_fingerprint")),
    )


def split_reasoning(text: str) -> tuple[str, str]:
    """(text, reasoning) where a model puts its reasoning inline, before its answer.

    Only blocks that open the reply count: later ones are the model's own text. The opening <think> may be
    missing, where the model's chat template has put it at the end of the prompt. A block that is never
    closed takes the whole reply: the length limit came first.
    """
    # Nearly no reply holds a mark: "<" is looked for as fast as memory is read.
    if "<" not in text and not text.lstrip().startswith("["):
        return text, ""
    blocks, answer = [], 0
    while tag := _OPENING.match(text, answer):
        closing = _CLOSINGS[tag[1].lower()].search(text, tag.end())
        end, answer = closing.span() if closing else (len(text), len(text))
        blocks.append(text[tag.end() : end])
    if blocks:
        return text[answer:].lstrip("\n"), "\n".join(blocks)
    if _CHANNEL.match(text):
        return _split_channels(text)
    closed = _CLOSINGS["<think>"].search(text)
    if closed is not None and "<think>" not in (before := text[: closed.start()]).lower():
        return text[closed.end() :].lstrip("\n"), before
    return text, ""


def _split_channels(text: str) -> tuple[str, str]:
    _, *parts = _CHANNEL.split(text)
    said: tuple[list[str], list[str]] = ([], [])
    for channel, part in zip(parts[::2], parts[1::2], strict=True):
        said[channel != "final"].append(_CHANNEL_END.sub("", part))
    return "\n".join(said[0]), "\n".join(said[1])


def _usage(usage: object) -> Usage:
    if not isinstance(usage, dict):
        return Usage()
    details = usage.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, dict) else None
    return Usage(count(usage.get("prompt_tokens")), count(usage.get("completion_tokens")), count(cached))


def _embedded_error(data: Mapping[str, object], body: bytes) -> ServerFailed | ReplyUnusable:
    error = data["error"]
    code = error.get("code") if isinstance(error, dict) else None
    if type(code) is int and 400 <= code < 600:
        return failure_for_status(code, {}, body, wall=0.0)
    return ReplyUnusable("error_object", "the server sent an error object with status 200")
