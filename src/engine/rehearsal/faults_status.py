"""Faults of the first kind: well-formed answers whose status is not 200.

Messages and codes are modelled on what the providers send, since that is what tells a limit that passes
from money that is gone, and a conversation that is too long from a request that is wrong.
"""

from __future__ import annotations

import json
from email.utils import formatdate

from engine.rehearsal.faults import Fault, Met, Step, error_body, http, in_json

_RATE = "Rate limit reached for requests."


def _status(name: str, what: str, status: int, message: str, *headers: str, **more: object) -> Fault:
    def steps(met: Met) -> list[Step]:
        return [http(status, error_body(message, met.quote, **more), *headers)]

    return Fault(name, what, steps)


def _body(name: str, what: str, status: int, body: dict[str, object] | list[object]) -> Fault:
    """An answer in a form of its own; the request's key is quoted in a field beside."""

    def steps(met: Met) -> list[Step]:
        text = json.dumps(body)
        return [http(status, text.replace("@", in_json(met.quote), 1).encode())]

    return Fault(name, what, steps)


def _dated(name: str, what: str, seconds: float) -> Fault:
    def steps(met: Met) -> list[Step]:
        date = formatdate(met.wall + seconds, usegmt=True)
        return [http(429, error_body(_RATE, met.quote), f"retry-after: {date}")]

    return Fault(name, what, steps)


def _redirect(status: int) -> Fault:
    def steps(met: Met) -> list[Step]:
        # Another name of this machine: a client that follows comes back to this server, which sees it.
        where = f"location: http://localhost:{met.port}/elsewhere"
        return [http(status, b"", where)]

    return Fault(f"redirect-{status}", f"{status} to another host", steps)


def _google(name: str, what: str, quota: str, *more: object) -> Fault:
    violation = {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{"quotaId": quota}]}
    error = {
        "code": 429, "message": "You exceeded your current quota, please check your plan.",
        "status": "RESOURCE_EXHAUSTED", "details": [violation, *more],
    }  # fmt: skip

    def steps(met: Met) -> list[Step]:
        said = {**error, "message": f"{error['message']}{met.quote}"}
        return [http(429, json.dumps([{"error": said}]).encode())]

    return Fault(name, what, steps)


_RETRY_INFO = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "31s"}

FAULTS = (
    # A limit that passes.
    _status("429-seconds", "429, `Retry-After: 7`", 429, _RATE, "retry-after: 7"),
    _status("429-milliseconds", "429, `retry-after-ms: 1500`", 429, _RATE, "retry-after-ms: 1500"),
    _dated("429-date", "429, a date in 90 s", 90.0),
    _dated("429-past-date", "429, a date that has passed", -90.0),
    _status("429-no-hint", "429, no hint", 429, _RATE),
    _status("429-words", "429, `Retry-After: soon`", 429, _RATE, "retry-after: soon"),
    _status("429-negative", "429, `Retry-After: -5`", 429, _RATE, "retry-after: -5"),
    _status("429-endless", "429, `Retry-After: inf`", 429, _RATE, "retry-after: inf"),
    _status("429-a-year", "429, `Retry-After: 31536000`", 429, _RATE, "retry-after: 31536000"),
    _google("429-google-minute", "429, a quota per minute, delay in the body",
            "GenerateRequestsPerMinutePerProject", _RETRY_INFO),
    _status("503-hint", "503, `Retry-After: 3`", 503, "Loading the model.", "retry-after: 3"),
    _status("529-overloaded", "529, overloaded", 529, "Overloaded", type="overloaded_error"),
    # Something that may work the next time.
    _status("408", "408", 408, "Request timed out."),
    _status("409", "409", 409, "Conflict."),
    _status("425", "425", 425, "Too early."),
    _status("500", "500", 500, "The server had an error."),
    _status("500-hint", "500, `Retry-After: 12`", 500, "The server had an error.", "retry-after: 12"),
    _status("502", "502", 502, "Bad gateway."),
    _status("503", "503, no hint", 503, "Service unavailable."),
    _status("504", "504", 504, "Gateway timeout."),
    _status("524", "524 of a proxy", 524, "A timeout occurred."),
    Fault("502-page", "502 with an HTML page",
          lambda met: [http(502, f"<html><body><h1>502 Bad Gateway</h1>{met.quote}</body></html>".encode(),
                            kind="text/html")]),
    # Money or quota that is used up.
    _status("quota-openai", "429 `insufficient_quota`", 429,
            "You exceeded your current quota, please check your plan and billing details.",
            type="insufficient_quota", code="insufficient_quota"),
    _status("quota-openai-hard-limit", "400 `billing_hard_limit_reached`", 400,
            "Billing hard limit has been reached", code="billing_hard_limit_reached"),
    _body("quota-anthropic-spend", "429 `enforced_spend_limit_reached`", 429,
          {"type": "error", "error": {"type": "rate_limit_error", "message": "Spend limit@.",
                                      "details": {"error_code": "enforced_spend_limit_reached"}}}),
    _body("quota-anthropic-usage", "400, the usage limit was reached", 400,
          {"type": "error", "error": {"type": "invalid_request_error", "message":
              "You have reached your specified API usage limits. You will regain access on 2027-01-01.@"}}),
    _body("quota-anthropic-credit", "400, the credit is too low", 400,
          {"type": "error", "error": {"type": "invalid_request_error", "message":
              "Your credit balance is too low to access the API.@"}}),
    _status("quota-deepseek", "402, insufficient balance", 402, "Insufficient Balance"),
    _body("quota-openrouter", "402 with a code in the body", 402,
          {"error": {"code": 402, "message": "This request requires more credits, or fewer max_tokens.@"}}),
    _body("quota-openrouter-key", "403, the key's own limit", 403,
          {"error": {"code": 403, "message": "Key limit exceeded (total limit).@"}}),
    _body("quota-azure", "403, out of quota", 403,
          {"error": {"code": "quota_exceeded", "message":
              "Out of call volume quota. Quota will be replenished in 6 days.@"}}),
    _google("quota-google-day", "429, a quota per day", "GenerateRequestsPerDayPerProject"),
    _body("quota-xai", "429, credits used up or limit reached", 429,
          {"code": "Some resource has been exhausted", "error":
              "Your team has either used all available credits or reached its monthly spending limit.@"}),
    # A key, an address.
    _status("401", "401", 401, "Incorrect API key provided.", code="invalid_api_key"),
    _status("403", "403", 403, "You are not allowed to sample from this model."),
    _status("403-region", "403, the country is not served", 403,
            "Country, region, or territory not supported", type="request_forbidden",
            code="unsupported_country_region_territory"),
    _body("400-region", "400, the place is not served", 400,
          {"error": {"code": 400, "message": "User location is not supported for the API use.@",
                     "status": "FAILED_PRECONDITION"}}),
    _status("404", "404", 404, "The model `m` does not exist.", code="model_not_found"),
    *(_redirect(status) for status in (301, 302, 303, 307, 308)),
    # A request that fits nowhere.
    _status("400", "400", 400, "Unsupported value."),
    _status("403-moderation", "403 of a moderation filter", 403, "Your input was flagged by moderation."),
    _status("413", "413", 413, "Request entity too large."),
    _status("422", "422", 422, "Unprocessable entity."),
    _status("429-never-fits", "429, larger than the limit itself", 429,
            "Request too large for m on tokens per min (TPM): Limit 100, Requested 300."),
    _status("context-openai", "400 `context_length_exceeded`", 400,
            "This model's maximum context length is 4096 tokens.", code="context_length_exceeded"),
    _body("context-anthropic", "400, the prompt is too long", 400,
          {"type": "error", "error": {"type": "invalid_request_error", "message":
              "prompt is too long: 210000 tokens > 200000 maximum@"}}),
    _status("context-llama-cpp", "400 of a llama.cpp server", 400,
            "the request exceeds the available context size, try increasing it",
            type="exceed_context_size_error"),
    _status("context-413", "413 that speaks of the context", 413, "input is too long for the context window"),
)  # fmt: skip
