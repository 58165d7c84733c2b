"""Replies that come as an event stream, made into the body that the same reply has in one piece.

The rule here: a stream that does not say that it is whole is none. What is journalled is a body that decodes
as any other, so nothing behind this module knows how a reply came. Sources: the HTML standard's section on
server-sent events; the providers' API references on streaming. Arbitrary bytes raise ReplyUnusable alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import orjson

from engine.errors import ReplyUnusable
from engine.wire.json_body import read_object, section, word
from engine.wire.status import error_message

# A field, or a comment: no JSON and no page begins so. Not by the content type, which gateways get wrong.
_BEGINNING = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:data|event|id|retry)?:")


@dataclass(frozen=True, slots=True)
class EventStream:
    """How a format streams: `fields`, added to a request, ask for it; `assemble` makes one body of it."""

    fields: bytes
    assemble: Callable[[bytes], bytes]

    def request(self, body: bytes) -> bytes:
        """The request `body`, a JSON object with fields, as one for a stream."""
        return b"{%b,%b" % (self.fields, body[1:])

    def reply(self, body: bytes) -> bytes:
        """A reply's body in one piece; one that is no event stream as it came."""
        return self.assemble(body) if _BEGINNING.match(body) else body


def read_events(body: bytes) -> Iterator[bytes]:
    """The data of each event, in order; comments and other fields are passed over.

    The last event needs no empty line behind it: whether a stream is whole is for its format to say.
    """
    data: list[bytes] = []
    # Of bytes, `splitlines` knows the ends of lines that the standard knows, and no others.
    for line in body.removeprefix(b"\xef\xbb\xbf").splitlines():
        if line.startswith(b"data:"):
            data.append(line[5:].removeprefix(b" "))
        elif not line:
            if any(data):
                yield b"\n".join(data)
            data.clear()
    if any(data):
        yield b"\n".join(data)


@dataclass(slots=True)
class _Texts:
    """Pieces of texts by what they belong to, in order of appearance."""

    pieces: dict[tuple[int, str], list[str]] = field(default_factory=dict)

    def take(self, number: int, part: dict[str, object], names: tuple[str, ...]) -> None:
        """Add what `part` holds of the texts of these names."""
        for name in names:
            if isinstance(piece := part.get(name), str):
                self.pieces.setdefault((number, name), []).append(piece)

    def joined(self) -> dict[tuple[int, str], str]:
        return {place: "".join(pieces) for place, pieces in self.pieces.items()}

    @property
    def have_begun(self) -> bool:
        """Whether anything has been said."""
        return any(any(pieces) for pieces in self.pieces.values())


def _assemble_openai(body: bytes) -> bytes:
    """Chunks of chat completions; usage comes in the last one, or grows in each."""
    head: dict[str, object] = {}
    texts = _Texts()
    finish, usage, is_done = "", None, False
    for data in read_events(body):
        if data.strip() == b"[DONE]":
            is_done = True
            break
        chunk = _read_event(data)
        if isinstance(error := chunk.get("error"), dict | str):
            _refuse_after(texts, data)
            return _dumped({"error": error})
        head |= _named(chunk, "id", "model", "system_fingerprint")
        usage = chunk.get("usage") or usage
        choices = chunk.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, dict) and choice.get("index") in (0, None):
                texts.take(0, section(choice, "delta"), _OPENAI_TEXTS)
                finish = word(choice.get("finish_reason")) or finish
    if not (is_done and finish):
        raise _broken_off("a finish reason and [DONE]")
    said = {name: text for (_, name), text in texts.joined().items()}
    message = {"role": "assistant", "content": None, **said}
    choice = {"index": 0, "message": message, "finish_reason": finish}
    return _dumped({**head, "object": "chat.completion", "choices": [choice], "usage": usage})


_OPENAI_TEXTS = ("content", "reasoning_content", "reasoning", "refusal")


def _assemble_anthropic(body: bytes) -> bytes:
    """A message's beginning, its blocks in pieces, then why it ended; usage stands in the first and last."""
    head: dict[str, object] = {}
    usage: dict[str, object] = {}
    texts = _Texts()
    stopped, is_done = "", False
    for data in read_events(body):
        event = _read_event(data)
        kind = event.get("type")
        if kind == "error":
            _refuse_after(texts, data)
            return data
        if kind == "message_stop":
            is_done = True
            break
        message, delta = section(event, "message"), section(event, "delta")
        head |= _named(message, "id", "model", "system_fingerprint")
        usage |= section(message, "usage") | section(event, "usage")
        stopped = word(delta.get("stop_reason")) or stopped
        if type(number := event.get("index")) is int:
            texts.take(number, delta or section(event, "content_block"), _ANTHROPIC_TEXTS)
    if not (is_done and stopped):
        raise _broken_off("a stop reason and message_stop")
    blocks = [{"type": kind, kind: text} for (_, kind), text in texts.joined().items()]
    own = {"type": "message", "role": "assistant", "content": blocks, "stop_reason": stopped, "usage": usage}
    return _dumped(head | own)


# The kinds of blocks, which are also the names of the fields that hold their texts.
_ANTHROPIC_TEXTS = ("text", "thinking")

OPENAI = EventStream(b'"stream":true,"stream_options":{"include_usage":true}', _assemble_openai)
ANTHROPIC = EventStream(b'"stream":true', _assemble_anthropic)


def _read_event(data: bytes) -> dict[str, object]:
    try:
        return read_object(data)
    except ReplyUnusable as error:
        if error.reason == "lone_surrogate":
            raise
        raise ReplyUnusable("broken_off", "the stream holds an event that is no whole JSON object") from error


def _named(part: dict[str, object], *names: str) -> dict[str, object]:
    """What `part` says under these names; servers send empty texts too, before they know better."""
    return {name: text for name in names if (text := word(part.get(name)))}


def _refuse_after(texts: _Texts, data: bytes) -> None:
    """An error before the first word is what it says; behind one, what was said has been paid for."""
    if texts.have_begun:
        raise ReplyUnusable("broken_off", f"the stream broke off with an error: {error_message(data)}")


def _broken_off(end: str) -> ReplyUnusable:
    return ReplyUnusable("broken_off", f"the stream ended before the reply was whole (without {end})")


def _dumped(body: dict[str, object]) -> bytes:
    try:
        return orjson.dumps(body)
    except TypeError as error:  # nested more deeply than can be written
        raise ReplyUnusable("wrong_shape", "the stream holds what no reply does") from error
