"""What each provider's errors mean: quota, rate, overload, context, key, model; examples made up."""

from __future__ import annotations

from collections.abc import Mapping

import orjson
import pytest

from engine.errors import ServerFailed
from engine.wire.formats import FORMATS


def says(kind: str, message: str) -> bytes:
    return orjson.dumps({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"})


def google_says(code: int, status: str, message: str, *details: Mapping[str, object]) -> bytes:
    return orjson.dumps({"error": {"code": code, "message": message, "status": status, "details": details}})


RETRY = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "17s"}
PER_DAY = {"violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}]}
PER_MINUTE = {"violations": [{"quotaId": "GenerateRequestsPerMinutePerProjectPerModel"}]}
BAD_KEY = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}
ERRORS: dict[str, tuple[str, int, bytes, str]] = {
    "anthropic, key": ("anthropic", 401, says("authentication_error", "invalid x-api-key"), "key_refused"),
    "anthropic, permission": (
        "anthropic",
        403,
        says("permission_error", "no access to this model"),
        "key_refused",
    ),
    "anthropic, model": ("anthropic", 404, says("not_found_error", "model: claude-z"), "not_found"),
    "anthropic, rate": (
        "anthropic",
        429,
        says("rate_limit_error", "this request would exceed the rate limit of 50 requests per minute"),
        "throttled",
    ),
    "anthropic, overloaded": ("anthropic", 529, says("overloaded_error", "Overloaded"), "throttled"),
    "anthropic, internal": ("anthropic", 500, says("api_error", "Internal server error"), "server_error"),
    "anthropic, money": (
        "anthropic",
        400,
        says("invalid_request_error", "Your credit balance is too low to access the API."),
        "quota",
    ),
    "anthropic, context": (
        "anthropic",
        400,
        says("invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum"),
        "context_full",
    ),
    "anthropic, parameter": (
        "anthropic",
        400,
        says("invalid_request_error", "temperature: range 0..1"),
        "bad_request",
    ),
    "gemini, key": (
        "gemini",
        400,
        google_says(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.", BAD_KEY),
        "key_refused",
    ),
    "gemini, key expired": (
        "gemini",
        400,
        google_says(400, "INVALID_ARGUMENT", "API key expired. Please renew the API key.", BAD_KEY),
        "key_refused",
    ),
    "gemini, permission": (
        "gemini",
        403,
        google_says(403, "PERMISSION_DENIED", "no permission"),
        "key_refused",
    ),
    "gemini, model": (
        "gemini",
        404,
        google_says(404, "NOT_FOUND", "models/gemini-z is not found"),
        "not_found",
    ),
    "gemini, rate": (
        "gemini",
        429,
        google_says(429, "RESOURCE_EXHAUSTED", "You exceeded your current quota", PER_MINUTE, RETRY),
        "throttled",
    ),
    "gemini, day": (
        "gemini",
        429,
        google_says(429, "RESOURCE_EXHAUSTED", "You exceeded your current quota", PER_DAY, RETRY),
        "quota",
    ),
    "gemini, overloaded": (
        "gemini",
        503,
        google_says(503, "UNAVAILABLE", "The model is overloaded."),
        "server_error",
    ),
    "gemini, context": (
        "gemini",
        400,
        google_says(
            400,
            "INVALID_ARGUMENT",
            "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
        ),
        "context_full",
    ),
    "azure, filter": (
        "openai",
        400,
        b'{"error":{"message":"The response was filtered","code":"content_filter","status":400}}',
        "bad_request",
    ),
    "azure, deployment": (
        "openai",
        404,
        b'{"error":{"code":"DeploymentNotFound","message":"The API deployment does not exist."}}',
        "not_found",
    ),
    "deepseek, money": (
        "openai",
        402,
        b'{"error":{"message":"Insufficient Balance","type":"unknown_error"}}',
        "quota",
    ),
    "openrouter, money": (
        "openai",
        402,
        b'{"error":{"code":402,"message":"This request requires more credits"}}',
        "quota",
    ),
    "vllm, context": (
        "openai",
        400,
        b'{"object":"error","message":"This model\'s maximum context length is 4096 tokens.","code":400}',
        "context_full",
    ),
    "llama.cpp, context": (
        "openai",
        400,
        b'{"error":{"code":400,"message":"the request exceeds the available context size"}}',
        "context_full",
    ),
    "llama.cpp, loading": (
        "openai",
        503,
        b'{"error":{"code":503,"message":"Loading model","type":"unavailable_error"}}',
        "server_error",
    ),
    "ollama, model": (
        "openai",
        404,
        b'{"error":{"message":"model \\"x\\" not found, try pulling it first","type":"api_error"}}',
        "not_found",
    ),
}


@pytest.mark.parametrize("case", ERRORS)
def test_error_of_each_provider_has_its_reason(case: str) -> None:
    name, status, body, reason = ERRORS[case]
    with pytest.raises(ServerFailed) as caught:
        FORMATS[name].decode(status, {}, body, wall=0.0)
    assert caught.value.reason == reason
    if case == "gemini, rate":
        assert caught.value.retry_after_s == 17
