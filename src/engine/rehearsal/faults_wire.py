"""Faults of the third kind: connections that break, stall or speak no HTTP.

Where a fault ends by closing, the bytes before it arrive first; a reset drops what is unsent.
"""

from __future__ import annotations

from collections.abc import Iterator

from engine.rehearsal.faults import Do, Fault, Met, Pause, Step, http

_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
# Fast enough that no read ever times out, slow enough that no reply is ever whole.
_DRIP_S = 50.0
_DRIPS = 24
_SLOW_S = 300.0


def _begun(met: Met) -> bytes:
    """A framed reply up to the middle of its body."""
    whole = http(200, met.reply)
    return whole[: len(whole) - len(met.reply) // 2]


def _then(name: str, what: str, *steps: Step) -> Fault:
    return Fault(name, what, lambda met: steps)


def _after_begun(name: str, what: str, *steps: Step) -> Fault:
    return Fault(name, what, lambda met: [_begun(met), *steps])


def _drip(name: str, what: str, start: bytes, byte: bytes) -> Fault:
    def steps(met: Met) -> Iterator[Step]:
        yield start
        for _ in range(_DRIPS):
            yield Pause(_DRIP_S)
            yield byte

    return Fault(name, what, steps)


def _at_reuse(name: str, what: str, how: Do) -> Fault:
    """On a connection that has served before; a fresh one gets its reply."""

    def steps(met: Met) -> list[Step]:
        return [how] if met.turn else [http(200, met.reply)]

    return Fault(name, what, steps)


def _whole(name: str, what: str, *steps: Step) -> Fault:
    """The whole reply, then `steps`."""
    return Fault(name, what, lambda met: [http(200, met.reply), *steps])


FAULTS = (
    _whole("refused", "this reply comes, then connections are refused for 20 s", Do.GO_DOWN, Do.CLOSE),
    _whole("dropped", "this reply comes, then the next connection is reset at once", Do.DROP_NEXT, Do.CLOSE),
    _at_reuse("closed-at-reuse", "an idle connection closes as it is used again", Do.CLOSE),
    _at_reuse("reset-at-reuse", "an idle connection is reset as it is used again", Do.RESET),
    _then("closed-before-reply", "closed before the first byte", Do.CLOSE),
    _then("reset-before-reply", "reset before the first byte", Do.RESET),
    _then("closed-in-head", "closed inside the head", _HEAD, Do.CLOSE),
    _then("reset-in-head", "reset inside the head", _HEAD, Do.RESET),
    _after_begun("closed-in-body", "closed inside the body", Do.CLOSE),
    _after_begun("reset-in-body", "reset inside the body", Do.RESET),
    _then("closed-in-chunks", "closed between two chunks",
          _HEAD + b"transfer-encoding: chunked\r\n\r\n3\r\n{\"c\r\n", Do.CLOSE),
    _whole("closed-after-body", "closed after the whole reply", Do.CLOSE),
    _whole("reset-after-body", "reset after the whole reply", Do.RESET),
    Fault("no-keep-alive", "the reply ends with the connection",
          lambda met: [b"HTTP/1.0 200 OK\r\n\r\n" + met.reply, Do.CLOSE]),
    _then("stalled", "silence instead of a reply", Do.HOLD),
    _then("stalled-in-head", "silence inside the head", _HEAD, Do.HOLD),
    _after_begun("stalled-in-body", "silence inside the body", Do.HOLD),
    _drip("dripping-head", "a byte of the head every 50 s", _HEAD + b"x-long: ", b"a"),
    _drip("dripping-body", "a byte of the body every 50 s", _HEAD + b"content-length: 9999\r\n\r\n", b" "),
    Fault("slow", "the reply comes after 300 s", lambda met: [Pause(_SLOW_S), http(200, met.reply)]),
    Fault("early-hints", "103 before the reply",
          lambda met: [b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n", http(200, met.reply)]),
    _then("garbage", "bytes that are not HTTP", b"\x16\x03\x01\x00garbage\r\n\r\n", Do.CLOSE),
    _then("bad-status-line", "`HTTP/9.9 abc`", b"HTTP/9.9 abc\r\n\r\n", Do.CLOSE),
    _then("bad-header", "a header without a colon", _HEAD + b"no colon\r\n\r\n", Do.CLOSE),
    _then("oversized-header", "a header of 1 MB", _HEAD + b"x-big: " + b"a" * 1_000_000 + b"\r\n\r\n",
          Do.CLOSE),
    _then("bad-chunk", "a chunk without a length",
          _HEAD + b"transfer-encoding: chunked\r\n\r\nzz\r\nabc\r\n", Do.CLOSE),
)  # fmt: skip
