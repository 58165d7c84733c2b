"""Anthropic's and Gemini's formats and the dialects of OpenAI's, by examples as providers describe them."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import CallFailed, ReplyUnusable
from engine.schema.call import Reply, Usage
from engine.wire import anthropic, gemini, openai
from engine.wire.formats import FORMATS, decode_recorded
from engine.wire.message_log import MessageLog

TALK = [
    ("system", "You are Ann."),
    ("user", "Hello!"),
    ("assistant", "Hi, I need a gift."),
    ("user", "For whom?"),
]
EPHEMERAL = {"type": "ephemeral"}


def log(messages: list[tuple[str, str]]) -> MessageLog:
    made = MessageLog()
    made.extend(messages)
    return made


def sent(name: str, messages: list[tuple[str, str]], cache_key: str | None = None, **changes: Any) -> Any:
    fields: dict[str, Any] = {"temperature": 0.5, "top_p": None, "max_tokens": 64} | changes
    form = FORMATS[name].form("some-model", **fields)
    return orjson.loads(form.encode(log(messages), seed=7, cache_key=cache_key))


def test_anthropic_request_keeps_the_system_prompt_apart_and_marks_what_may_be_cached() -> None:
    assert sent("anthropic", TALK, "job/simulator", stop=("END",), top_p=0.9, extra={"top_k": 4}) == {
        "model": "some-model", "max_tokens": 64, "temperature": 0.5, "top_p": 0.9, "top_k": 4,
        "stop_sequences": ["END"],
        "system": [{"type": "text", "text": "You are Ann.", "cache_control": EPHEMERAL}],
        "messages": [
            {"role": "user", "content": "Hello!"},
            {"role": "assistant", "content": "Hi, I need a gift."},
            {"role": "user", "content": [{"type": "text", "text": "For whom?", "cache_control": EPHEMERAL}]},
        ],
    }  # fmt: skip


def test_anthropic_request_without_hint_or_system_prompt_is_plain() -> None:
    assert sent("anthropic", TALK[1:2], temperature=None) == {
        "model": "some-model", "max_tokens": 64, "messages": [{"role": "user", "content": "Hello!"}],
    }  # fmt: skip


def test_gemini_request_has_contents_an_instruction_and_a_section_of_parameters() -> None:
    extra = {"generationConfig": {"thinkingConfig": {"thinkingBudget": 0}}, "safetySettings": []}
    assert sent("gemini", TALK, "job/simulator", stop=("END",), top_p=0.9, extra=extra) == {
        "systemInstruction": {"parts": [{"text": "You are Ann."}]},
        "contents": [
            {"role": "user", "parts": [{"text": "Hello!"}]},
            {"role": "model", "parts": [{"text": "Hi, I need a gift."}]},
            {"role": "user", "parts": [{"text": "For whom?"}]},
        ],
        "generationConfig": {
            "maxOutputTokens": 64, "temperature": 0.5, "topP": 0.9, "stopSequences": ["END"], "seed": 7,
            "thinkingConfig": {"thinkingBudget": 0},
        },
        "safetySettings": [],
    }  # fmt: skip


def test_gemini_request_leaves_out_what_is_not_to_be_sent() -> None:
    asked = sent("gemini", TALK[1:2], temperature=None, send_seed=False)
    assert asked == {
        "contents": [{"role": "user", "parts": [{"text": "Hello!"}]}],
        "generationConfig": {"maxOutputTokens": 64},
    }


@pytest.mark.parametrize("name", ["anthropic", "gemini"])
def test_each_request_begins_as_the_one_before_it(name: str) -> None:
    field = "messages" if name == "anthropic" else "contents"
    earlier, later = sent(name, TALK[:2])[field], sent(name, TALK)[field]
    assert later[: len(earlier)] == earlier


def claude(*blocks: dict[str, object], stop: str = "end_turn", **usage: int) -> bytes:
    return orjson.dumps(
        {
            "id": "msg_013Zva", "type": "message", "role": "assistant", "model": "claude-x-20250101",
            "content": blocks, "stop_reason": stop, "stop_sequence": None,
            "usage": {"input_tokens": 12, "output_tokens": 5} | usage,
        }
    )  # fmt: skip


def google(*parts: dict[str, object], finish: str = "STOP", **usage: int) -> bytes:
    return orjson.dumps(
        {
            "candidates": [
                {"content": {"parts": parts, "role": "model"}, "finishReason": finish, "index": 0}
            ],
            "usageMetadata": {"promptTokenCount": 12, "candidatesTokenCount": 5} | usage,
            "modelVersion": "gemini-x", "responseId": "r1",
        }
    )  # fmt: skip


def chat(message: dict[str, object], **fields: object) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant"} | message, "finish_reason": "stop"}
    usage = {"prompt_tokens": 12, "completion_tokens": 5, "total_tokens": 17}
    return orjson.dumps(
        {"id": "x", "object": "chat.completion", "model": "m", "choices": [choice], "usage": usage} | fields
    )


HI: dict[str, object] = {"type": "text", "text": "Hi!"}
TOKENS = Usage(12, 5)
REPLIES: dict[str, tuple[str, bytes, Reply]] = {
    "anthropic": ("anthropic", claude(HI), Reply("Hi!", "stop", TOKENS, "claude-x-20250101")),
    "anthropic, several blocks": (
        "anthropic",
        claude(
            {"type": "thinking", "thinking": "hm", "signature": "s"}, HI, {"type": "text", "text": " Yes."}
        ),
        Reply("Hi! Yes.", "stop", TOKENS, "claude-x-20250101", "hm"),
    ),
    "anthropic, cache written and read": (
        "anthropic",
        claude(HI, input_tokens=3, cache_creation_input_tokens=40, cache_read_input_tokens=1000),
        Reply("Hi!", "stop", Usage(1043, 5, 1000), "claude-x-20250101"),
    ),
    "anthropic, cut off": (
        "anthropic",
        claude(HI, stop="max_tokens"),
        Reply("Hi!", "length", TOKENS, "claude-x-20250101"),
    ),
    "anthropic, refused": (
        "anthropic",
        claude(stop="refusal"),
        Reply("", "refusal", TOKENS, "claude-x-20250101"),
    ),
    "gemini": ("gemini", google({"text": "Hi!"}), Reply("Hi!", "stop", TOKENS, "gemini-x")),
    "gemini, thoughts and cache": (
        "gemini",
        google(
            {"text": "hm", "thought": True}, {"text": "Hi!"}, thoughtsTokenCount=30, cachedContentTokenCount=8
        ),
        Reply("Hi!", "stop", Usage(12, 35, 8), "gemini-x", "hm"),
    ),
    "gemini, cut off": (
        "gemini",
        google({"text": "Hi"}, finish="MAX_TOKENS"),
        Reply("Hi", "length", TOKENS, "gemini-x"),
    ),
    "gemini, withheld": ("gemini", google(finish="SAFETY"), Reply("", "content_filter", TOKENS, "gemini-x")),
    "gemini, prompt blocked": (
        "gemini",
        orjson.dumps(
            {
                "promptFeedback": {"blockReason": "PROHIBITED_CONTENT"},
                "modelVersion": "gemini-x",
                "usageMetadata": {"promptTokenCount": 12},
            }
        ),
        Reply("", "content_filter", Usage(12), "gemini-x"),
    ),
    "vllm": (
        "openai",
        chat(
            {"content": "Hi!", "reasoning_content": None, "tool_calls": []},
            prompt_logprobs=None,
            kv_transfer_params=None,
        ),
        Reply("Hi!", "stop", TOKENS, "m"),
    ),
    "vllm, reasoning parser": (
        "openai",
        chat({"content": "Hi!", "reasoning": "hm"}),
        Reply("Hi!", "stop", TOKENS, "m", "hm"),
    ),
    "sglang": (
        "openai",
        chat({"content": "Hi!", "reasoning_content": "hm"}, metadata={"weight_version": "default"}),
        Reply("Hi!", "stop", TOKENS, "m", "hm"),
    ),
    "llama.cpp": (
        "openai",
        chat({"content": "Hi!"}, system_fingerprint="b6000-abc", timings={"prompt_n": 12, "cache_n": 0}),
        Reply("Hi!", "stop", TOKENS, "m", "", "b6000-abc"),
    ),
    "ollama": (
        "openai",
        chat({"content": "Hi!", "reasoning": "hm"}, system_fingerprint="fp_ollama"),
        Reply("Hi!", "stop", TOKENS, "m", "hm", "fp_ollama"),
    ),
    "openrouter": (
        "openai",
        chat(
            {
                "content": "Hi!",
                "refusal": None,
                "reasoning": "hm",
                "reasoning_details": [{"type": "reasoning.text"}],
            },
            provider="Some",
            usage={
                "prompt_tokens": 12,
                "completion_tokens": 5,
                "cost": 0.0001,
                "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 0},
            },
        ),
        Reply("Hi!", "stop", Usage(12, 5, 4), "m", "hm"),
    ),
    "azure": (
        "openai",
        chat(
            {"content": "Hi!", "refusal": None, "annotations": []},
            prompt_filter_results=[{"prompt_index": 0, "content_filter_results": {}}],
            system_fingerprint="fp_1",
        ),
        Reply("Hi!", "stop", TOKENS, "m", "", "fp_1"),
    ),
    "deepseek": (
        "openai",
        chat(
            {"content": "Hi!", "reasoning_content": "hm"},
            usage={
                "prompt_tokens": 12,
                "completion_tokens": 5,
                "prompt_cache_hit_tokens": 8,
                "prompt_cache_miss_tokens": 4,
                "prompt_tokens_details": {"cached_tokens": 8},
            },
        ),
        Reply("Hi!", "stop", Usage(12, 5, 8), "m", "hm"),
    ),
}


@pytest.mark.parametrize("case", REPLIES)
def test_reply_is_understood_when_it_comes_and_when_it_is_replayed(case: str) -> None:
    name, body, expected = REPLIES[case]
    assert FORMATS[name].decode(200, {}, body, wall=0.0) == expected
    assert decode_recorded(body) == expected


UNUSABLE: dict[str, tuple[str, bytes, str]] = {
    "anthropic, thoughts alone": (
        "anthropic",
        claude({"type": "thinking", "thinking": "hm"}, stop="max_tokens"),
        "empty",
    ),
    "anthropic, nothing": ("anthropic", claude(), "empty"),
    "anthropic, another format": ("anthropic", chat({"content": "Hi!"}), "wrong_shape"),
    "anthropic, error as 200": (
        "anthropic",
        b'{"type":"error","error":{"type":"api_error","message":"x"}}',
        "error_object",
    ),
    "gemini, thoughts alone": ("gemini", google(finish="MAX_TOKENS", thoughtsTokenCount=64), "empty"),
    "gemini, another format": ("gemini", claude(HI), "wrong_shape"),
    "gemini, no candidate": ("gemini", b'{"candidates": []}', "wrong_shape"),
    "gemini, error as 200": ("gemini", b'{"error": {"code": 500}}', "error_object"),
    "anthropic, no JSON": ("anthropic", b"<html>", "not_json"),
    "gemini, half a character": (
        "gemini",
        rb'{"candidates": [{"content": {"parts": [{"text": "\ud83d"}]}}]}',
        "lone_surrogate",
    ),
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_unusable_reply_says_why(case: str) -> None:
    name, body, reason = UNUSABLE[case]
    with pytest.raises(ReplyUnusable) as caught:
        FORMATS[name].decode(200, {}, body, wall=0.0)
    assert caught.value.reason == reason


_KEYS = ("content", "type", "text", "usage", "candidates", "parts", "error", "choices", "promptFeedback")
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_KEYS), inner),
    max_leaves=12,
)


@given(body=st.binary(max_size=200) | json_values.map(orjson.dumps))
@pytest.mark.parametrize("codec", [anthropic, gemini, openai])
def test_whatever_comes_is_a_reply_or_a_failed_call(codec: Any, body: bytes) -> None:
    for decode in (codec.decode_reply, decode_recorded):
        with suppress(CallFailed):
            assert isinstance(decode(body), Reply)
