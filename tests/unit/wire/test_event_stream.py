"""Streams as providers describe them come out as the reply in one piece; what is not whole is no reply."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.config.endpoint_settings import STREAMED_FORMATS
from engine.errors import CallFailed, ReplyUnusable, ServerFailed
from engine.schema.call import Reply, Usage
from engine.wire.event_stream import ANTHROPIC, OPENAI, EventStream, read_events
from engine.wire.formats import FORMATS, decode_recorded


def stream(*events: object, end: str = "\n", done: bool = True) -> bytes:
    """Events as a server writes them; text stands as it is."""
    said = [each if isinstance(each, str) else f"data: {json.dumps(each)}" for each in events]
    said += ["data: [DONE]"] if done else []
    return "".join(each.replace("\n", end) + 2 * end for each in said).encode()


def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {"id": "c1", "object": "chat.completion.chunk", "model": "m", "choices": [choice], **more}


def named(data: dict[str, Any]) -> str:
    return f"event: {data['type']}\ndata: {json.dumps(data, ensure_ascii=False)}"


USAGE = {"prompt_tokens": 12, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 8}}
TOKENS = Usage(12, 5, 8)
STOP = chunk({}, "stop")
BEGUN = {
    "type": "message_start",
    "message": {"id": "m1", "type": "message", "role": "assistant", "model": "m", "content": [],
                "stop_reason": None, "usage": {"input_tokens": 3, "cache_creation_input_tokens": 1,
                                               "cache_read_input_tokens": 8, "output_tokens": 1}},
}  # fmt: skip
STOPPED = {"type": "message_stop"}


def ended(reason: str = "end_turn", tokens: int = 5) -> dict[str, Any]:
    return {"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": None},
            "usage": {"output_tokens": tokens}}  # fmt: skip


def block(index: int, kind: str, *pieces: str) -> list[dict[str, Any]]:
    return [
        {"type": "content_block_start", "index": index, "content_block": {"type": kind, kind: ""}},
        *(
            {"type": "content_block_delta", "index": index, "delta": {"type": f"{kind}_delta", kind: piece}}
            for piece in pieces
        ),
        {"type": "content_block_stop", "index": index},
    ]


def claude(*events: dict[str, Any]) -> bytes:
    return stream(*map(named, events), done=False)


STREAMS: dict[str, tuple[str, bytes, Reply]] = {
    "openai": (
        "openai",
        stream(
            chunk({"role": "assistant", "content": "", "refusal": None}, usage=None),
            chunk({"content": "Hé"}, usage=None, system_fingerprint="fp_1"),
            chunk({"content": "llo 你"}, usage=None),
            chunk({}, "stop", usage=None),
            {"id": "c1", "model": "m", "choices": [], "usage": USAGE},
        ),
        Reply("Héllo 你", "stop", TOKENS, "m", "", "fp_1"),
    ),
    "carriage returns, a mark and comments": (
        "openai",
        b"\xef\xbb\xbf"
        + stream(": PROCESSING", "retry: 9", chunk({"content": "Hi"}), ":", "id: 1", STOP, end="\r\n"),
        Reply("Hi", "stop", Usage(), "m"),
    ),
    "old ends of lines, no blank behind the colon, one event in two lines": (
        "openai",
        stream('data:{"model":\ndata: "m","choices":[{"delta":{"content":"Hi"}}]}', STOP, end="\r"),
        Reply("Hi", "stop", Usage(), "m"),
    ),
    "no empty line at the end": (
        "openai",
        stream(chunk({"content": "Hi"}), STOP).removesuffix(b"\n\n"),
        Reply("Hi", "stop", Usage(), "m"),
    ),
    "other ends of lines that are none": (
        "openai",
        stream("data: " + json.dumps(chunk({"content": "a\u2028b\x0bc\x85d"}), ensure_ascii=False), STOP),
        Reply("a\u2028b\x0bc\x85d", "stop", Usage(), "m"),
    ),
    "vllm, usage that grows": (
        "openai",
        stream(
            chunk({"reasoning_content": "h"}, usage={"prompt_tokens": 12, "completion_tokens": 1}),
            chunk({"reasoning_content": "m"}),
            chunk({"content": "Hi"}, "length", usage=USAGE),
        ),
        Reply("Hi", "length", TOKENS, "m", "hm"),
    ),
    "azure, a first chunk without a name and an empty last one": (
        "openai",
        stream({"model": "", "choices": []}, chunk({"content": "Hi"}), STOP, chunk({}, None)),
        Reply("Hi", "stop", Usage(), "m"),
    ),
    "a second choice is passed over": (
        "openai",
        stream(chunk({"content": "Hi"}), {"choices": [{"index": 1, "delta": {"content": "no"}}]}, STOP),
        Reply("Hi", "stop", Usage(), "m"),
    ),
    "a refusal": (
        "openai",
        stream(chunk({"refusal": "I can"}), chunk({"refusal": "not."}), STOP),
        Reply("", "refusal", Usage(), "m"),
    ),
    "withheld": ("openai", stream(chunk({}, "content_filter")), Reply("", "content_filter", Usage(), "m")),
    "thoughts inline": (
        "openai",
        stream(*(chunk({"content": each}) for each in ("<thi", "nk>hm</think>\n", "Hi")), STOP),
        Reply("Hi", "stop", Usage(), "m", "hm"),
    ),
    "anthropic": (
        "anthropic",
        claude(
            BEGUN, {"type": "ping"}, *block(0, "thinking", "h", "m"), *block(1, "text", "Hé", "llo 你"),
            ended(), STOPPED,
        ),
        Reply("Héllo 你", "stop", TOKENS, "m", "hm"),
    ),
    "anthropic, two blocks": (
        "anthropic",
        claude(BEGUN, *block(0, "text", "a"), *block(1, "text", "b"), ended("max_tokens"), STOPPED),
        Reply("ab", "length", TOKENS, "m"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", STREAMS)
def test_stream_is_understood_and_its_body_is_replayed_alike(case: str) -> None:
    name, body, expected = STREAMS[case]
    form = FORMATS[name]
    assert form.stream is not None
    whole = form.stream.reply(body)
    assert form.decode(200, {}, whole, wall=0.0) == expected
    assert decode_recorded(whole) == expected
    assert form.stream.reply(whole) == whole


@pytest.mark.parametrize("case", ["openai", "anthropic", "vllm, usage that grows"])
def test_stream_that_ends_anywhere_before_its_end_is_no_reply(case: str) -> None:
    """At each byte, in the middle of characters, lines and events."""
    name, body, expected = STREAMS[case]
    form = FORMATS[name]
    assert form.stream is not None
    # What comes before the first colon is no stream yet; the last event's line break makes no difference.
    begun, done = body.index(b":") + 1, len(body.rstrip())
    for length in range(len(body)):
        outcome: Reply | str
        try:
            outcome = form.decode(200, {}, form.stream.reply(body[:length]), wall=0.0)
        except ReplyUnusable as failure:
            outcome = failure.reason
        assert outcome == ("not_json" if length < begun else "broken_off" if length < done else expected)


UNUSABLE: dict[str, tuple[EventStream, bytes, str]] = {
    "no finish reason": (OPENAI, stream(chunk({"content": "Hi"})), "broken_off"),
    "no [DONE]": (OPENAI, stream(chunk({"content": "Hi"}), STOP, done=False), "broken_off"),
    "an error behind words": (
        OPENAI, stream(chunk({"content": "Hi"}), {"error": {"message": "no", "code": 429}}), "broken_off",
    ),
    "an event that is no object": (OPENAI, stream(chunk({"content": "Hi"}), "data: [1]"), "broken_off"),
    "half a character": (OPENAI, stream(r'data: {"choices":[{"delta":{"content":"\ud83d"}}]}'),
                         "lone_surrogate"),
    "another format": (OPENAI, claude(BEGUN, *block(0, "text", "a"), ended(), STOPPED), "broken_off"),
    "usage without a bottom": (
        OPENAI, stream('data: {"usage":' + '{"a":' * 400 + "1" + "}" * 400 + "}", STOP), "wrong_shape",
    ),
    "anthropic, no stop reason": (ANTHROPIC, claude(BEGUN, *block(0, "text", "a"), STOPPED), "broken_off"),
    "anthropic, no message_stop": (ANTHROPIC, claude(BEGUN, *block(0, "text", "a"), ended()), "broken_off"),
    "anthropic, an error behind words": (
        ANTHROPIC, claude(BEGUN, *block(0, "text", "a"), {"type": "error", "error": {"type": "x"}}),
        "broken_off",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", UNUSABLE)
def test_stream_that_is_not_whole_says_why(case: str) -> None:
    form, body, reason = UNUSABLE[case]
    with pytest.raises(ReplyUnusable) as caught:
        form.reply(body)
    assert (caught.value.reason, caught.value.possibly_paid) == (reason, True)


@pytest.mark.parametrize(
    ("name", "body", "reason"),
    [
        ("openai", stream({"error": {"message": "slow down", "code": 429}}, done=False), "throttled"),
        ("openai", stream(chunk({"content": ""}), {"error": "oh"}), "error_object"),
        ("anthropic", claude(BEGUN, {"type": "error", "error": {"type": "overloaded_error"}}), "throttled"),
    ],
)
def test_error_before_the_first_word_is_that_of_a_reply_in_one_piece(
    name: str, body: bytes, reason: str
) -> None:
    form = FORMATS[name]
    assert form.stream is not None
    with pytest.raises((ServerFailed, ReplyUnusable)) as caught:
        form.decode(200, {}, form.stream.reply(body), wall=0.0)
    assert caught.value.reason == reason


def test_what_the_server_said_in_the_middle_is_told() -> None:
    with pytest.raises(ReplyUnusable, match="broke off with an error: out of memory"):
        OPENAI.reply(stream(chunk({"content": "Hi"}), {"error": {"message": "out of memory"}}))


@pytest.mark.parametrize("body", [b"", b"<html>", b' {"data": 1}', b"[1]", b"null", b'"data: x"', b"\x1f"])
def test_what_is_no_stream_stays_as_it_came(body: bytes) -> None:
    assert OPENAI.reply(body) is body


def test_request_asks_for_a_stream_and_for_nothing_else_that_is_new() -> None:
    asked = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
    assert orjson.loads(OPENAI.request(orjson.dumps(asked))) == asked | {
        "stream": True, "stream_options": {"include_usage": True},
    }  # fmt: skip
    assert orjson.loads(ANTHROPIC.request(orjson.dumps(asked))) == asked | {"stream": True}


def test_settings_and_codecs_agree_on_which_formats_stream() -> None:
    assert set(STREAMED_FORMATS) == {name for name, form in FORMATS.items() if form.stream is not None}


LINES = st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\r\n"), min_size=1)


@given(st.lists(LINES, min_size=1, max_size=6), st.sampled_from(["\n", "\r\n", "\r"]))
def test_data_comes_back_whatever_it_holds(texts: list[str], end: str) -> None:
    written = "".join(f": {text}{end}data: {text}{end}event: x{end}{end}" for text in texts)
    assert [data.decode() for data in read_events(written.encode())] == texts


@given(st.text(min_size=1).filter(lambda text: "<" not in text and text.strip()), st.data())
def test_a_text_cut_anywhere_is_the_same_text(text: str, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    body = stream(*(chunk({"content": piece}) for piece in pieces), STOP)
    assert FORMATS["openai"].decode(200, {}, OPENAI.reply(body), wall=0.0).text == text


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(max_size=8)
    | st.sampled_from(["stop", "message_start", "message_delta", "message_stop", "end_turn", "text"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["choices", "delta", "content", "finish_reason", "index", "usage", "error", "type",
                         "message", "content_block", "text", "stop_reason", "model"]), inner),
    max_leaves=12,
)  # fmt: skip


@given(st.lists(json_values | st.binary(max_size=20), max_size=5))
@pytest.mark.parametrize("name", STREAMED_FORMATS)
def test_whatever_comes_is_a_reply_or_a_failed_call(name: str, events: list[Any]) -> None:
    form = FORMATS[name]
    assert form.stream is not None
    said = [each if isinstance(each, bytes) else orjson.dumps(each) for each in events]
    body = b"".join(b"data: %b\n\n" % each for each in [*said, b"[DONE]"])
    with suppress(CallFailed):
        whole = form.stream.reply(body)
        reply = form.decode(200, {}, whole, wall=0.0)
        assert decode_recorded(whole) == reply
