"""What a status means, for the bodies that providers send; messages are shaped as theirs are."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.wire.status import error_message, failure_for_status


def openai(message: str, code: str | None = None, kind: str = "invalid_request_error") -> bytes:
    return json.dumps({"error": {"message": message, "type": kind, "param": None, "code": code}}).encode()


def google(message: str, *details: Mapping[str, object], code: int = 429) -> bytes:
    error = {"code": code, "message": message, "status": "RESOURCE_EXHAUSTED", "details": details}
    return json.dumps([{"error": error}], indent=2).encode()


def quota_failure(quota_id: str) -> dict[str, object]:
    return {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{"quotaId": quota_id}]}


RETRY = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "32.5s"}
GOOGLE_QUOTA = "You exceeded your current quota, please check your plan and billing details."

TABLE: dict[str, tuple[int, bytes, str]] = {
    # money and quota
    "openai quota": (429, openai("You exceeded your current quota", "insufficient_quota"), "quota"),
    "openai hard limit": (400, openai("Billing hard limit reached", "billing_hard_limit_reached"), "quota"),
    "openai inactive": (429, openai("Your account is not active", "billing_not_active"), "quota"),
    "anthropic spend": (400, openai("You have reached your specified API usage limits."), "quota"),
    "anthropic spend code": (429, openai("Limit", "enforced_spend_limit_reached"), "quota"),
    "anthropic credit": (400, openai("Your credit balance is too low to access the API"), "quota"),
    "deepseek": (402, openai("Insufficient Balance", "invalid_request_error"), "quota"),
    "openrouter": (402, b'{"error":{"code":402,"message":"Insufficient credits. Add more"}}', "quota"),
    "openrouter tokens": (402, b'{"error":{"message":"This request requires more credits"}}', "quota"),
    "azure quota": (403, openai("Out of call volume quota", "quota_exceeded"), "quota"),
    "google per day": (429, google(GOOGLE_QUOTA, quota_failure("RequestsPerDayPerModel"), RETRY), "quota"),
    "google none given": (429, google(f"{GOOGLE_QUOTA} * Exceeded, limit: 0, model: m", RETRY), "quota"),
    "google bare": (429, google(GOOGLE_QUOTA), "quota"),
    "openrouter key": (403, b'{"error":{"code":403,"message":"Key limit exceeded (total limit)."}}', "quota"),
    "xai credits": (
        429, b'{"code":"Some resource has been exhausted","error":"Your team has either used all available '
        b'credits or reached its monthly spending limit."}', "quota",
    ),
    "402 without a body": (402, b"", "quota"),
    # rate
    "openai rate": (429, openai("Rate limit reached on tokens per min", "rate_limit_exceeded"), "throttled"),
    "anthropic rate": (429, openai("This request would exceed your rate limit"), "throttled"),
    "anthropic overloaded": (529, openai("Overloaded", kind="overloaded_error"), "throttled"),
    "google per minute": (
        429, google(GOOGLE_QUOTA, quota_failure("RequestsPerMinutePerProject"), RETRY), "throttled",
    ),
    "google retry alone": (429, google(GOOGLE_QUOTA, RETRY), "throttled"),
    "google exhausted": (429, google("Resource has been exhausted (e.g. check quota)."), "throttled"),
    "azure": (429, openai("exceeded token rate limit. Please retry after 26 seconds.", "429"), "throttled"),
    "429 as a page": (429, b"<html><h1>Too Many Requests</h1></html>", "throttled"),
    # never fits
    "larger than the limit": (429, openai("Request too large for m on tokens per min (TPM)"), "bad_request"),
    # context
    "openai context": (400, openai("Please shorten.", "context_length_exceeded"), "context_full"),
    "vllm": (400, b'{"object":"error","message":"maximum context length is 4096"}', "context_full"),
    "tgi": (422, b'{"error":"`inputs` tokens + `max_new_tokens` must be <= 4096"}', "context_full"),
    "llama.cpp": (400, openai("the request exceeds the available context size"), "context_full"),
    "anthropic long": (400, openai("prompt is too long: 210000 tokens > 200000 maximum"), "context_full"),
    "anthropic sum": (400, openai("input and `max_tokens` exceed context limit: 1 + 2"), "context_full"),
    "google long": (400, openai("The input token count (9) exceeds the maximum"), "context_full"),
    "bedrock": (400, openai("Input is too long for requested model."), "context_full"),
    "xai": (400, openai("This model's maximum prompt length is 131072"), "context_full"),
    "dashscope": (400, openai("Range of input length should be [1, 30720]"), "context_full"),
    "payload": (413, openai("too many tokens"), "context_full"),
    "unprocessable": (422, openai("maximum context length"), "context_full"),
    # keys and addresses
    "no key": (401, openai("Incorrect API key provided"), "key_refused"),
    "forbidden": (403, openai("Your key may not use this model"), "key_refused"),
    "no such model": (404, openai("The model `m` does not exist", "model_not_found"), "not_found"),
    "not a POST address": (405, b"", "not_found"),
    # one request
    "moderation": (403, b'{"error":{"code":403,"message":"m requires moderation: flagged"}}', "bad_request"),
    "bad parameter": (400, openai("Unsupported parameter: 'top_k'"), "bad_request"),
    "teapot": (418, b"", "bad_request"),
    "redirect": (302, b"", "not_found"),
    "too large for a proxy": (413, b"<html>413</html>", "bad_request"),
}  # fmt: skip


@pytest.mark.parametrize(("status", "body", "reason"), TABLE.values(), ids=TABLE.keys())
def test_reason_of_a_reply(status: int, body: bytes, reason: str) -> None:
    failure = failure_for_status(status, {}, body, wall=0.0)
    assert (failure.reason, failure.status) == (reason, status)


@pytest.mark.parametrize("status", [408, 409, 425, 500, 501, 502, 503, 504, 520])
def test_a_servers_trouble_is_transient(status: int) -> None:
    assert failure_for_status(status, {}, b"", wall=0.0).reason == "server_error"


def test_a_busy_server_that_says_how_long_is_a_throttle() -> None:
    failure = failure_for_status(503, {"retry-after": "4"}, b"", wall=0.0)
    assert (failure.reason, failure.retry_after_s) == ("throttled", 4.0)


def test_words_of_quota_in_a_servers_own_trouble_mean_nothing() -> None:
    assert failure_for_status(500, {}, openai("insufficient_quota"), wall=0.0).reason == "server_error"


def test_the_delay_in_googles_body_is_a_hint_unless_a_header_gives_one() -> None:
    body = google(GOOGLE_QUOTA, RETRY)
    assert failure_for_status(429, {}, body, wall=0.0).retry_after_s == 32.5
    assert failure_for_status(429, {"retry-after": "7"}, body, wall=0.0).retry_after_s == 7.0


@pytest.mark.parametrize("delay", ["-3s", "1e9s", "nans", "s", "3", "٣s"])
def test_a_delay_that_is_none_is_no_hint(delay: str) -> None:
    body = google(GOOGLE_QUOTA, {"retryDelay": delay})
    assert failure_for_status(429, {}, body, wall=0.0).retry_after_s is None


# --- the server's own words ------------------------------------------------------------------------

MESSAGES = {
    b'{"error":{"message":"No\\n such\\tmodel","code":"x","type":null}}': "No such model x",
    b'{"error":"plain"}': "plain",
    b'{"message":"flat","code":400}': "flat 400",
    b'{"detail":"Not Found"}': "Not Found",
    b'[{"error":{"message":"wrapped"}}]': "wrapped",
    b'"text"': "text",
    b"Bad gateway\r\n": "Bad gateway",
    b"<html><head><title>502</title></head></html>": "502",
    b"": "",
    b"null": "null",
}


@pytest.mark.parametrize(("body", "expected"), MESSAGES.items(), ids=str)
def test_the_message_is_the_servers(body: bytes, expected: str) -> None:
    assert error_message(body) == expected


@given(st.binary(max_size=300) | st.text().map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_body_gives_one_short_line(body: bytes) -> None:
    message = error_message(body)
    assert len(message) <= 303
    assert len(message.splitlines()) <= 1
    message.encode()


@pytest.mark.parametrize("depth", [900, 1000, 1024, 100_000])
def test_a_body_as_deep_as_it_likes_gives_a_message(depth: int) -> None:
    assert error_message(b"[" * depth + b"]" * depth).endswith("...")
    assert error_message(b'{"a":' * depth + b"1" + b"}" * depth).endswith("...")


def test_a_long_message_is_cut() -> None:
    assert error_message(openai("x" * 5000)) == "x" * 300 + "..."


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ("Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' "
         "instead.", "max_completion_tokens"),
        ("Unrecognized request argument supplied: max_completion_tokens", "max_tokens"),
        ("max_tokens is too large: 99999. This model supports at most 4096 tokens.", None),
        ("Unsupported parameter: 'top_k'", None),
    ],
)  # fmt: skip
def test_other_field_for_the_length_is_recommended_where_one_is_not_known(
    message: str, field: str | None
) -> None:
    failure = failure_for_status(400, {}, openai(message), wall=0.0)
    assert message in str(failure)
    advice = re.findall(r"`max_tokens_field: (\w+)`", str(failure))
    assert advice == ([] if field is None else [field])


@pytest.mark.parametrize("status", [400, 401, 404, 409, 425, 429, 500, 503, 529])
def test_a_refusal_costs_nothing(status: int) -> None:
    assert not failure_for_status(status, {}, b"", wall=0.0).possibly_paid


@pytest.mark.parametrize("status", [408, 502, 504, 524])
def test_who_gave_up_waiting_does_not_know_what_it_cost(status: int) -> None:
    assert failure_for_status(status, {}, b"", wall=0.0).possibly_paid


def test_a_server_s_words_cannot_steer_a_terminal() -> None:
    assert error_message(b'{"error": {"message": "no \\u001b[2Jkey\\u202e"}}') == "no \ufffd[2Jkey\ufffd"
