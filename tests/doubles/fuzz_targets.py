"""What is fed with arbitrary bytes, by Hypothesis every day and by a coverage-guided fuzzer.

Each target takes bytes and returns; whatever it raises is a finding. What it may raise, it catches.
"""

from __future__ import annotations

import asyncio
import gzip
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

from engine.config.load import parse_config
from engine.errors import BadInput, CallFailed, ConfigError, ReplyUnusable
from engine.llm.http1_connection import Call, Connection
from engine.llm.request_head import request_head
from engine.scenarios.profile_pool import load_profiles
from engine.scenarios.task_file import read_task_file
from engine.scenarios.text_template import compile_template
from engine.schema.call import Reply
from engine.wire.formats import FORMATS, decode_recorded
from engine.wire.json_body import read_object
from engine.wire.openai import split_reasoning

_STATUSES = (200, 200, 200, 400, 401, 403, 413, 422, 429, 500, 503, 529)
_MOST_BYTES = 4096
# A template is its user's own, and may ask for as much memory or time as it likes; that is no finding.
_WITHOUT_BOUND = re.compile(r"\*|\d{4}|center|indent|format|wordwrap|%\s*\(|'%|\"%")


def decode(data: bytes) -> None:
    """A reply in each format: its first byte chooses the status."""
    status = _STATUSES[data[0] % len(_STATUSES)] if data else 200
    understood = []
    for form in FORMATS.values():
        with suppress(CallFailed):
            understood.append(form.decode(status, {}, data[1:], wall=1_700_000_000.0))
    for reply in understood:
        assert status == 200
        assert isinstance(reply, Reply)
        assert min(reply.usage) >= 0
        reply.text.encode("utf-8")
    if understood:
        # What was understood when it came is understood when it is replayed, and alike.
        assert decode_recorded(data[1:]) in understood


def stream(data: bytes) -> None:
    """A reply that was asked for as a stream, in each format that has them."""
    for form in FORMATS.values():
        if form.stream is not None:
            with suppress(CallFailed):
                whole = form.stream.reply(data)
                reply = form.decode(200, {}, whole, wall=1_700_000_000.0)
                assert whole is data or decode_recorded(whole) == reply


def json_body(data: bytes) -> None:
    """A body that should be an object."""
    with suppress(ReplyUnusable):
        assert isinstance(read_object(data), dict)


def reasoning(data: bytes) -> None:
    """Reasoning and answer are told apart; neither is longer than the whole."""
    text = data.decode("utf-8", "ignore")
    said, thought = split_reasoning(text)
    assert len(said) + len(thought) <= len(text)


class _Side:
    """A connection's owner and its transport."""

    def __init__(self) -> None:
        self.freed = self.gone = 0
        self.closed = False

    def connection_is_free(self, connection: Connection) -> None:
        self.freed += 1

    def connection_is_gone(self, connection: Connection) -> None:
        self.gone += 1

    def send_soon(self, transport: asyncio.Transport, request: bytes) -> None:
        """Nobody reads it."""

    def is_closing(self) -> bool:
        return self.closed

    def abort(self) -> None:
        self.closed = True


_loop = asyncio.new_event_loop()


def connection(data: bytes) -> None:
    """A server's bytes on one connection, in pieces of a length that the first byte gives."""
    side, piece = _Side(), 1 + (data[0] if data else 0)
    held = Connection(side, "http://a.test", _MOST_BYTES)
    held.connection_made(cast(Any, side))
    future = _loop.create_future()
    held.send(Call(request_head("http://a.test/", {}), b"", 0.0, future))
    for start in range(1, len(data), piece):
        if not side.closed:
            held.data_received(data[start : start + piece])
    held.connection_lost(None)
    assert future.done()
    assert isinstance(future.exception(), CallFailed) or len(future.result().body) <= _MOST_BYTES
    assert side.freed <= 1
    assert side.gone == 1


def template(data: bytes) -> None:
    """A template, and its rendering."""
    source = data.decode("utf-8", "ignore")
    if _WITHOUT_BOUND.search(source):
        return
    with suppress(BadInput):
        compile_template(Path("a.j2"), source, "en", {"x", "names"}).render(x="{{ x }}", names=["a", "b"])


def _as_file(read: Callable[[Path], object], name: str) -> Callable[[bytes], None]:
    def target(data: bytes) -> None:
        with TemporaryDirectory() as folder:
            path = Path(folder) / name
            path.write_bytes(data)
            with suppress(BadInput):
                read(path)

    return target


def config(data: bytes) -> None:
    """A configuration file's text."""
    with suppress(ConfigError):
        parse_config(data.decode("utf-8", "ignore"), source="a.yaml", folder=Path("."))


@dataclass(frozen=True, slots=True)
class Target:
    """What is called, and inputs to begin with."""

    feed: Callable[[bytes], None]
    seeds: tuple[bytes, ...]


_ZIPPED = gzip.compress(b"some text")
_REPLIES = (
    b'{"choices":[{"message":{"content":"<think>a</think>b","reasoning":"c"},"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":3,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":1}},"model":"m"}',
    b'{"type":"message","content":[{"type":"text","text":"a"},{"type":"thinking","thinking":"b"}],'
    b'"stop_reason":"end_turn","usage":{"input_tokens":1,"output_tokens":2,"cache_read_input_tokens":3}}',
    b'{"candidates":[{"content":{"parts":[{"text":"a"},{"text":"b","thought":true}]},"finishReason":"STOP"}],'
    b'"usageMetadata":{"promptTokenCount":1,"candidatesTokenCount":2,"thoughtsTokenCount":3}}',
    b'{"promptFeedback":{"blockReason":"SAFETY"}}',
    b'{"error":{"code":429,"message":"Please retry","status":"RESOURCE_EXHAUSTED"}}',
    b'{"choices":[{"message":{"content":"\\ud800"}}]}',
)
_STREAMS = (
    b'data: {"model":"m","choices":[{"index":0,"delta":{"content":"Hi"}}]}\n\n: on\n\n'
    b'data: {"choices":[{"delta":{"reasoning":"hm"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3}}\n\n'
    b"data: [DONE]\n\n",
    b'data: {"choices":[{"delta":{"content":"Hi"}}]}\n\ndata: {"error":{"message":"no","code":429}}\n\n',
    b'event: message_start\r\ndata: {"type":"message_start","message":{"usage":{"input_tokens":3}}}\r\n\r\n'
    b'data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hi"}}\r\n\r\n'
    b'data: {"type":"message_delta","delta":{"stop_reason":"end_turn"}}\r\n\r\n'
    b'data: {"type":"message_stop"}\r\n\r\n',
)
TARGETS: Mapping[str, Target] = {
    "decode": Target(decode, tuple(bytes([n]) + body for n, body in enumerate(_REPLIES * 2))),
    "stream": Target(stream, _STREAMS),
    "json-body": Target(json_body, _REPLIES),
    "reasoning": Target(
        reasoning,
        (
            b"<think>a</think>b",
            b"[THINK]a[/THINK]b",
            b"a</think>b",
            b"<|start|>assistant<|channel|>analysis<|message|>a<|end|><|channel|>final<|message|>b<|return|>",
        ),
    ),
    "connection": Target(
        connection,
        (
            b"\xffHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
            b"\x07HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2;x=y\r\nok\r\n0\r\nt: x\r\n\r\n",
            b"\xffHTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 500 Oh\r\nconnection: close\r\n\r\nno",
            b"\xffHTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(_ZIPPED)
            + _ZIPPED,
        ),
    ),
    "template": Target(
        template,
        (
            b"{{ x }} {% for name in names %}{{ loop.index }}. {{ name | upper }}{% endfor %}",
            b"{% if x %}{{ names | listed }}{% elif not x %}{# no #}{% else %}{{ x[0] }}{% endif %}",
            b"{% macro m(a, b=1) %}{{ a ~ b }}{% endmacro %}{{ m(x) }}{% set y = {'a': [1]} %}{{ y.a }}",
            b"{% filter trim %}{% raw %}{{{% endraw %}{% endfilter %}{% block b %}{{ self }}{% endblock %}",
        ),
    ),
    "task": Target(
        _as_file(lambda path: read_task_file(path, "en"), "task.yaml"),
        (
            b"name: n\ntitle: {en: t}\nvariables:\n  v:\n  - {id: a, text: {en: b}, forms: {w: {en: c}}}\n"
            b"requirements: [{id: r, text: {en: d}}]\nscenarios: [0]\n",
        ),
    ),
    "config": Target(
        config,
        (
            b"limit: 3\nendpoints: {e: {base_url: http://a.test/v1, limits: {max_in_flight: 2}}}\n"
            b"stages:\n  simulator: &m {model: m, endpoint: e, max_tokens: 9}\n  assistant: *m\n"
            b"conversation: {max_rounds: 1, debrief: [{side: user, question: q}]}\n",
        ),
    ),
    "pool": Target(
        _as_file(load_profiles, "pool.jsonl"),
        (
            b'{"id":"p1","gender":"Female","age":"34","personality":"a","occupation":"b",'
            b'"daily_interests_and_hobbies":"c","travel_habits":"d","dining_preferences":"e",'
            b'"spending_habits":"f","other_aspects":"g"}\n',
            b"1. Gender: Female\n2. Age: 34\n3. Personality: a\n4. Occupation: b\n",
        ),
    ),
}
