"""Faults of the fourth kind: a reply that is asked for as an event stream, and is not whole.

Each is the stream that the request would have got up to its middle, between two events, and then something
else. A request for no stream gets its reply.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from engine.rehearsal.faults import Do, Fault, Met, Pause, Step, error_body, http

_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_END = b"0\r\n\r\n"
# Well within the time after which silence is a fault.
_BREATH_S = 50.0
_BREATHS = 24


Events = tuple[bytes, ...]


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _stream(name: str, what: str, then: Callable[[Met, Events], Iterable[Step]]) -> Fault:
    """`then` gets the stream's events, and what follows the first half of them is up to it."""

    def steps(met: Met) -> Iterable[Step]:
        return then(met, met.events) if met.events else [http(200, met.reply)]

    return Fault(name, what, steps)


def _half(events: Events) -> bytes:
    return _HEAD + b"".join(_chunk(event) for event in events[: len(events) // 2])


def _error(message: str, quoted: str, **more: object) -> bytes:
    return _chunk(b"data: %b\n\n" % error_body(message, quoted, **more)) + _END


FAULTS = (
    _stream("stream-error", "an error event in the middle",
            lambda met, events: [_half(events) + _error("Overloaded", met.quote)]),
    _stream("stream-error-first", "an error event with code 429 instead of the first word",
            lambda met, events: [_HEAD + _chunk(events[0]) + _error("Rate limited", met.quote, code=429)]),
    _stream("stream-unfinished", "a proper end in the middle", lambda met, events: [_half(events) + _END]),
    _stream("stream-without-done", "every event but the last",
            lambda met, events: [_HEAD + _chunk(b"".join(events[:-1])) + _END]),
    _stream("stream-torn", "a proper end inside an event",
            lambda met, events: [_half(events) + _chunk(events[-2][:9]) + _END]),
    _stream("stream-reset", "reset in the middle", lambda met, events: [_half(events), Do.RESET]),
    _stream("stream-stalled", "silence after the middle", lambda met, events: [_half(events), Do.HOLD]),
    _stream("stream-breathing", "a comment every 50 s after the middle",
            lambda met, events: [_half(events), *(Pause(_BREATH_S), _chunk(b": still here\n\n")) * _BREATHS]),
)  # fmt: skip
