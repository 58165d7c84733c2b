"""The formats by name: how an endpoint of each is addressed, asked and understood.

The digest of a request is made from its parameters and messages as such, whatever the format: one model may
be asked in two formats, and an endpoint's format may change between two sessions of a run. A recorded reply
says by its own shape which format it is in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from engine.errors import CallFailed
from engine.schema.call import Reply
from engine.wire import anthropic, event_stream, gemini, openai
from engine.wire.event_stream import EventStream
from engine.wire.message_log import MessageLog
from engine.wire.status import failure_for_status


class Encoder(Protocol):
    """Turns messages into a request's body."""

    def encode(self, messages: MessageLog, *, seed: int, cache_key: str | None) -> bytes: ...


class Codec(Protocol):
    """Reads replies; each format's module is one."""

    def decode_reply(self, body: bytes) -> Reply: ...


@dataclass(frozen=True, slots=True)
class Format:
    """`path` follows the base URL; `key_header` carries the key, after `Bearer` if it is `authorization`.

    `stream` is how replies are streamed, where that is known.
    """

    name: str
    title: str
    codec: Codec
    form: Callable[..., Encoder]
    path: str
    key_header: str
    headers: Mapping[str, str]
    stream: EventStream | None = None

    def decode(self, status: int, headers: Mapping[str, str], body: bytes, *, wall: float) -> Reply:
        """The reply, or the defined error for every status other than 200; `wall` is Unix time."""
        if status != 200:
            raise failure_for_status(status, headers, body, wall=wall)
        return self.codec.decode_reply(body)


OPENAI = Format(
    "openai", "OpenAI chat-completions", openai, openai.RequestForm, openai.PATH, "authorization", {},
    event_stream.OPENAI,
)  # fmt: skip
_OTHERS = (
    ("anthropic", "Anthropic Messages", anthropic, event_stream.ANTHROPIC),
    ("gemini", "Gemini generateContent", gemini, None),
)
FORMATS: Mapping[str, Format] = {"openai": OPENAI} | {
    name: Format(name, title, own, own.RequestForm, own.PATH, own.KEY_HEADER, own.HEADERS, stream)
    for name, title, own, stream in _OTHERS
}


def decode_recorded(body: bytes) -> Reply:
    """A reply that was understood when it came, in whichever format it is."""
    try:
        return openai.decode_reply(body)
    except CallFailed as unusable:
        # Not by a mark such as `type`: whatever was understood then must be understood now.
        others: tuple[Codec, ...] = (anthropic, gemini)
        for other in others:
            with suppress(CallFailed):
                return other.decode_reply(body)
        raise unusable
