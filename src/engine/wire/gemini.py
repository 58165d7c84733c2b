"""Google's Gemini format (generateContent): request bytes out, reply bytes in, no I/O.

The model is named in the address, the assistant is called `model`, the system prompt stands beside the
contents, and parameters have a section of their own. Prefixes are cached by the provider unasked: there is no
hint to send. Tokens of thoughts are reported apart and paid like the others. Source: the provider's API
reference, generateContent, and its pages on thinking and on context caching.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from engine.errors import ReplyUnusable
from engine.schema.call import Reply, Usage
from engine.wire.json_body import count, read_object, section, word
from engine.wire.message_log import MessageLog

PATH = "/models/{model}:generateContent"
KEY_HEADER = "x-goog-api-key"
HEADERS: dict[str, str] = {}
_ROLES = {"user": "user", "assistant": "model"}
_CONFIG = "generationConfig"
# Their words for why a reply ended, in ours; any other is kept in lower case.
_WITHHELD = (
    "SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY",
)  # fmt: skip
_FINISH = {"STOP": "stop", "MAX_TOKENS": "length"} | dict.fromkeys(_WITHHELD, "content_filter")


class RequestForm:
    """What is the same in every request of one model."""

    __slots__ = ("_config", "_fields", "_send_seed", "model")

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
    ) -> None:
        config: dict[str, object] = {"maxOutputTokens": max_tokens}
        if temperature is not None:
            config["temperature"] = temperature
        if top_p is not None:
            config["topP"] = top_p
        if stop:
            config["stopSequences"] = list(stop)
        fields = dict(extra or {})
        # A stage's `extra` adds to our parameters, such as {generationConfig: {thinkingConfig: ...}}.
        more = fields.pop(_CONFIG, None)
        config.update(more if isinstance(more, dict) else {})
        self.model = model
        self._fields = fields
        self._config = config
        self._send_seed = send_seed

    def encode(self, messages: MessageLog, *, seed: int, cache_key: str | None) -> bytes:
        """The request's body. No cache hint is sent: the provider looks for known prefixes by itself."""
        said: list[dict[str, Any]] = orjson.loads(b"[%b]" % messages.body())
        system = []
        while said and said[0]["role"] == "system":
            system.append({"text": said.pop(0)["content"]})
        body: dict[str, object] = {
            **self._fields,
            "contents": [
                {"role": _ROLES[message["role"]], "parts": [{"text": message["content"]}]} for message in said
            ],
            _CONFIG: {**self._config, "seed": seed} if self._send_seed else self._config,
        }
        if system:
            body["systemInstruction"] = {"parts": system}
        return orjson.dumps(body, option=orjson.OPT_SORT_KEYS)

    def __repr__(self) -> str:
        return f"RequestForm({self.model}, gemini)"


def decode_reply(body: bytes) -> Reply:
    """The reply in `body`. Raises ReplyUnusable alone."""
    data = read_object(body)
    candidates = data.get("candidates")
    blocked = section(data, "promptFeedback").get("blockReason")
    if blocked and not candidates:
        return _reply(data, "", "content_filter", "")
    if not isinstance(candidates, list) or not candidates or not isinstance(candidates[0], dict):
        if isinstance(data.get("error"), dict):
            raise ReplyUnusable("error_object", "the server sent an error object with status 200")
        raise ReplyUnusable(
            "wrong_shape", "the reply holds no candidates[0]: is this a Gemini-format endpoint?"
        )
    candidate: dict[str, object] = candidates[0]
    stopped = word(candidate.get("finishReason"))
    finish = _FINISH.get(stopped, stopped.lower() or "stop")
    parts = section(candidate, "content").get("parts")
    texts: tuple[list[str], list[str]] = [], []
    for part in parts if isinstance(parts, list) else ():
        if isinstance(part, dict):
            texts[part.get("thought") is True].append(word(part.get("text")))
    text, thoughts = ("".join(found) for found in texts)
    if not text.strip() and finish != "content_filter":
        spent = thoughts or count(section(data, "usageMetadata").get("thoughtsTokenCount"))
        what = "reasoning alone: raise max_tokens for this model" if spent else "no text"
        raise ReplyUnusable("empty", f"the reply holds {what} (finish reason {stopped!r:.40})")
    return _reply(data, text, finish, thoughts)


def _reply(data: dict[str, object], text: str, finish: str, thoughts: str) -> Reply:
    usage = section(data, "usageMetadata")
    return Reply(
        text,
        finish,
        Usage(
            count(usage.get("promptTokenCount")),
            count(usage.get("candidatesTokenCount")) + count(usage.get("thoughtsTokenCount")),
            count(usage.get("cachedContentTokenCount")),
        ),
        word(data.get("modelVersion")),
        thoughts,
        word(data.get("systemFingerprint")),
    )
