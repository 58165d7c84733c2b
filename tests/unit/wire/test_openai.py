"""Request bytes out, reply bytes in: whatever arrives, only the wire's own errors come of it."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import ReplyUnusable, ServerFailed
from engine.schema.call import Reply, Usage
from engine.wire.backoff import is_transient
from engine.wire.formats import OPENAI
from engine.wire.message_log import MessageLog
from engine.wire.openai import RequestForm, decode_reply, split_reasoning

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
MESSAGES = st.lists(st.tuples(st.sampled_from(["system", "user", "assistant"]), TEXTS), max_size=6)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
NAMES_OF_THE_FORMAT = st.sampled_from(
    re.findall(
        r"\S+",
        "choices message content finish_reason refusal reasoning error code usage model "
        "prompt_tokens completion_tokens prompt_tokens_details cached_tokens",
    )
)
LIKE_REPLIES = st.recursive(
    JSON_VALUES,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES_OF_THE_FORMAT, inner, max_size=5),
    max_leaves=12,
)
DEEP = b"[" * 1000 + b"]" * 1000
DEEPER = b"[" * 100_000 + b"]" * 100_000


def reply_body(content: object = "Hello", **fields: Any) -> bytes:
    choice = {"message": {"role": "assistant", "content": content}, "finish_reason": "stop"}
    choice.update(fields.pop("choice", {}))
    return json.dumps({"choices": [choice], **fields}).encode()


def decode_or_fail(status: int, body: bytes) -> Reply | None:
    try:
        return OPENAI.decode(status, {}, body, wall=0.0)
    except (ReplyUnusable, ServerFailed):
        return None


# --- requests --------------------------------------------------------------------------------------


@given(MESSAGES, st.integers(0, 2**31 - 1), st.none() | st.just("travel-11-p001-0"), st.booleans())
def test_request_is_what_a_naive_encoding_of_the_same_request_would_be(
    messages: list[tuple[str, str]], seed: int, cache_key: str | None, send_seed: bool
) -> None:
    form = RequestForm(
        "m", temperature=0.5, top_p=0.9, max_tokens=64, stop=("END",), extra={"top_k": 3}, send_seed=send_seed
    )
    log = MessageLog()
    log.extend(messages)
    naive: dict[str, object] = {
        "model": "m", "temperature": 0.5, "top_p": 0.9, "max_tokens": 64, "stop": ["END"], "top_k": 3,
        "messages": [{"role": role, "content": content} for role, content in messages],
    }  # fmt: skip
    if send_seed:
        naive["seed"] = seed
    if cache_key is not None:
        naive["prompt_cache_key"] = cache_key
    assert json.loads(form.encode(log, seed=seed, cache_key=cache_key)) == naive


def test_what_is_not_set_is_not_sent() -> None:
    form = RequestForm("m", temperature=None, top_p=None, max_tokens=1, send_seed=False)
    assert json.loads(form.encode(MessageLog(), seed=7, cache_key=None)) == {
        "model": "m", "max_tokens": 1, "messages": [],
    }  # fmt: skip


@given(st.text())
def test_any_model_name_is_encoded(model: str) -> None:
    if not model.isprintable():
        return
    form = RequestForm(model, temperature=None, top_p=None, max_tokens=1)
    assert json.loads(form.encode(MessageLog(), seed=0, cache_key=None))["model"] == model


def form(**changes: Any) -> RequestForm:
    fields: dict[str, Any] = {"model": "m", "temperature": 0.5, "top_p": None, "max_tokens": 64}
    fields |= changes
    return RequestForm(fields.pop("model"), **fields)


CHANGES: list[dict[str, Any]] = [
    {"model": "n"}, {"temperature": 0.6}, {"temperature": None}, {"top_p": 0.5}, {"max_tokens": 65},
    {"stop": ("x",)}, {"extra": {"top_k": 1}}, {"send_seed": False},
]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_a_changed_parameter_changes_the_digest_of_parameters_alone(change: dict[str, Any]) -> None:
    log = MessageLog()
    log.extend([("user", "hi")])
    before, after = form().digest(log, seed=1), form(**change).digest(log, seed=1)
    assert len(before) == 24
    assert before[:8] != after[:8]
    assert before[8:] == after[8:]


def test_a_changed_message_changes_the_digest_of_messages_alone() -> None:
    log = MessageLog()
    log.extend([("user", "hi")])
    before = form().digest(log, seed=1)
    after = form().digest(log.fork([("user", "ho")]), seed=1)
    assert before[:8] == after[:8]
    assert before[8:] != after[8:]


def test_a_seed_that_is_not_sent_is_not_in_the_digest() -> None:
    log = MessageLog()
    assert form().digest(log, seed=1) != form().digest(log, seed=2)
    unsent = form(send_seed=False)
    assert unsent.digest(log, seed=1) == unsent.digest(log, seed=2)


def test_the_order_of_extra_parameters_means_nothing() -> None:
    log = MessageLog()
    one, other = form(extra={"a": 1, "b": 2}), form(extra={"b": 2, "a": 1})
    assert one.digest(log, seed=0) == other.digest(log, seed=0)
    assert one.encode(log, seed=0, cache_key=None) == other.encode(log, seed=0, cache_key=None)


# --- replies ---------------------------------------------------------------------------------------


@given(st.binary(max_size=200), st.sampled_from([200, 204, 302, 400, 401, 429, 503]))
def test_arbitrary_bytes_raise_only_the_wires_errors(body: bytes, status: int) -> None:
    decode_or_fail(status, body)


@given(LIKE_REPLIES, st.sampled_from([200, 400, 429]))
def test_json_that_resembles_a_reply_raises_only_the_wires_errors(value: object, status: int) -> None:
    decode_or_fail(status, json.dumps(value).encode())


@given(JSON_VALUES, JSON_VALUES, JSON_VALUES, JSON_VALUES)
def test_any_value_in_any_place_of_a_reply_is_survived(
    content: object, finish: object, usage: object, model: object
) -> None:
    body = reply_body(content, choice={"finish_reason": finish}, usage=usage, model=model)
    reply = decode_or_fail(200, body)
    assert reply is None or isinstance(reply.text, str)


HOSTILE = {
    "deep": DEEP,
    "deeper": DEEPER,
    "deep finish reason": b'{"choices":[{"message":{"content":""},"finish_reason":%s}]}' % DEEP[24:-24],
    "deep content": b'{"choices":[{"message":{"content":%s}}]}' % DEEP[24:-24],
    "deep error": b'{"error":%s}' % DEEP[24:-24],
    "deep message of an error": b'{"error":{"code":500,"message":%s}}' % DEEP[24:-24],
    "a number of 6,000 digits": b'{"error":' + b"9" * 6000 + b"}",
    "bare NaN": b'{"choices":NaN}',
    "lone surrogate": b'{"choices":[{"message":{"content":"\\ud800"}}]}',
    "not UTF-8": b'{"choices":[{"message":{"content":"\xff"}}]}',
    "byte order mark": b"\xef\xbb\xbf{}",
    "nothing": b"",
    "nothing but space": b" \n",
    "NUL": b"\0",
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE.keys())
@pytest.mark.parametrize("status", [200, 400, 500])
def test_hostile_bodies_raise_only_the_wires_errors(body: bytes, status: int) -> None:
    with pytest.raises((ReplyUnusable, ServerFailed)) as caught:
        OPENAI.decode(status, {}, body, wall=0.0)
    assert len(str(caught.value)) < 400
    str(caught.value).encode()


@pytest.mark.parametrize("content", ["Hello", " \n unstripped\n ", "日本語 🍣", "a\u0000b"])
def test_the_text_is_as_it_came(content: str) -> None:
    assert decode_reply(reply_body(content)).text == content


def test_usage_and_names_are_read() -> None:
    usage = {"prompt_tokens": 9, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 5}}
    reply = decode_reply(reply_body(usage=usage, model="m-2"))
    assert reply == Reply("Hello", "stop", Usage(9, 4, 5), "m-2")


@pytest.mark.parametrize("count", [-1, 2**40, 2**53, 2**200, 1.5, True, "9", None, [], {}], ids=str)
def test_token_counts_that_cannot_be_are_taken_as_none(count: object) -> None:
    usage = {
        "prompt_tokens": count,
        "completion_tokens": 4,
        "prompt_tokens_details": {"cached_tokens": count},
    }
    try:
        reply = decode_reply(reply_body(usage=usage))
    except ReplyUnusable:
        assert count == 2**200  # beyond the decoder's numbers
    else:
        assert reply.usage == Usage(0, 4, 0)


@pytest.mark.parametrize("usage", [None, 3, [], "x", {"prompt_tokens_details": None}], ids=str)
def test_a_reply_without_usage_is_a_reply(usage: object) -> None:
    assert decode_reply(reply_body(usage=usage)).usage == Usage()


REASONS = {
    "not_json": b"Internal error",
    "wrong_shape": b'{"choices":[]}',
    "no_content": reply_body(["parts"]),
    "empty": reply_body(" \n"),
    "error_object": b'{"error":{"message":"overloaded"}}',
}


@pytest.mark.parametrize(("reason", "body"), REASONS.items(), ids=REASONS.keys())
def test_each_defect_has_its_own_reason(reason: str, body: bytes) -> None:
    with pytest.raises(ReplyUnusable) as caught:
        decode_reply(body)
    assert caught.value.reason == reason
    assert caught.value.possibly_paid


def test_a_web_page_is_called_a_web_page() -> None:
    with pytest.raises(ReplyUnusable, match="HTML page"):
        decode_reply(b"\n<!doctype html><title>Login</title>")


@pytest.mark.parametrize(("code", "reason"), [(429, "throttled"), (402, "quota"), (502, "server_error")])
def test_an_error_sent_with_status_200_means_what_its_code_says(code: int, reason: str) -> None:
    with pytest.raises(ServerFailed) as caught:
        decode_reply(json.dumps({"error": {"code": code, "message": "no"}}).encode())
    assert (caught.value.reason, caught.value.status) == (reason, code)


@pytest.mark.parametrize("finish", ["content_filter", "refusal"])
@pytest.mark.parametrize("content", [None, ""])
def test_a_filtered_reply_is_an_answer_without_text(finish: str, content: str | None) -> None:
    reply = decode_reply(reply_body(content, choice={"finish_reason": finish}))
    assert (reply.text, reply.finish_reason) == ("", finish)


def test_a_refusal_in_its_own_field_is_a_refusal() -> None:
    body = reply_body(choice={"message": {"content": None, "refusal": "I cannot."}})
    assert decode_reply(body).finish_reason == "refusal"


# --- reasoning -------------------------------------------------------------------------------------


def test_inline_reasoning_is_kept_apart_from_the_text() -> None:
    reply = decode_reply(reply_body("<think>hm</think>\n\nHello"))
    assert (reply.text, reply.reasoning) == ("Hello", "hm")


def test_reasoning_alone_is_no_answer() -> None:
    with pytest.raises(ReplyUnusable, match="max_tokens") as caught:
        decode_reply(reply_body("<think>hm and hm"))
    assert caught.value.reason == "empty"


@pytest.mark.parametrize("field", ["reasoning", "reasoning_content"])
def test_reasoning_in_a_field_is_kept(field: str) -> None:
    body = reply_body(choice={"message": {"content": "Hello", field: "hm"}})
    assert decode_reply(body).reasoning == "hm"


@given(TEXTS)
def test_only_a_block_that_opens_the_reply_is_reasoning(text: str) -> None:
    if "</think>" not in text:
        later = f"A{text}<think>b</think>"
        assert split_reasoning(later) == (later, "")
        assert split_reasoning(f"<think>{text}</think>Hello") == ("Hello", text)


def test_reasoning_whose_opening_tag_stands_in_the_prompt_is_reasoning() -> None:
    assert split_reasoning("hm\n</think>\n\nHello</think>") == ("Hello</think>", "hm\n")


@pytest.mark.parametrize("text", [rb"a\ud800b", rb"\ude00", rb"x\ud83d\ud83d", rb"\uD83Dz"])
def test_half_a_character_is_the_models_fault_and_not_tried_again(text: bytes) -> None:
    with pytest.raises(ReplyUnusable) as caught:
        decode_reply(b'{"choices": [{"message": {"content": "%s"}}]}' % text)
    assert caught.value.reason == "lone_surrogate"
    assert not is_transient(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<think>a</think><think>b</think>\nanswer", ("answer", "a\nb")),
        ("<think>a</think> answer <think>own</think>", (" answer <think>own</think>", "a")),
        ("<think>cut off", ("", "cut off")),
        ("<think></think>" * 200_000 + "x", ("x", "\n" * 199_999)),
        ("<thinking>a</thinking>\n\nanswer", ("answer", "a")),
        ("\n<reasoning>a\nb</reasoning>answer", ("answer", "a\nb")),
        ("<thought>a</thought>answer", ("answer", "a")),
        ("[THINK]a[/THINK]answer", ("answer", "a")),
        ("<think>a</think><thinking>b</thinking>answer", ("answer", "a\nb")),
        ("<thinking>a </think> b</thinking>answer", ("answer", "a </think> b")),
        ("<thinking>cut off", ("", "cut off")),
        ("<THINK>a</THINK>\n\nanswer", ("answer", "a")),
        ("<Think>a</think>answer", ("answer", "a")),
        ("<THINK>a</THINK><Reasoning>b</REASONING>answer", ("answer", "a\nb")),
        ("a</THINK>\nanswer", ("answer", "a")),
        ("Say <THINK> and </think> here", ("Say <THINK> and </think> here", "")),
        ("<reaſoning>a</reaſoning>", ("<reaſoning>a</reaſoning>", "")),
        ("Write <thinking>a</thinking> here", ("Write <thinking>a</thinking> here", "")),
        ("<thinker>a</thinker>", ("<thinker>a</thinker>", "")),
        ("[Thinking] it over, I say yes.", ("[Thinking] it over, I say yes.", "")),
    ],
)
def test_blocks_before_the_answer_are_reasoning(text: str, expected: tuple[str, str]) -> None:
    assert split_reasoning(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "<|channel|>analysis<|message|>Say hello.<|end|>"
            "<|start|>assistant<|channel|>final<|message|>Hello!<|return|>",
            ("Hello!", "Say hello."),
        ),
        (
            "<|start|>assistant<|channel|>analysis<|message|>a<|end|><|start|>assistant"
            "<|channel|>commentary to=x<|message|>b<|call|><|start|>assistant<|channel|>final<|message|>Yes",
            ("Yes", "a\nb"),
        ),
        ("<|channel|>final<|message|>Hello!", ("Hello!", "")),
        ("<|channel|>analysis<|message|>cut off", ("", "cut off")),
        (
            "The token <|channel|>final<|message|> is odd.",
            ("The token <|channel|>final<|message|> is odd.", ""),
        ),
    ],
)
def test_channels_are_taken_apart(text: str, expected: tuple[str, str]) -> None:
    assert split_reasoning(text) == expected
