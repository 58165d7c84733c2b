"""What a status other than 200 means: one table, with its special cases beside it.

Reasons (the words kept in records):

    throttled      429, 529, and 503 with a hint   wait; no attempt is used up
    server_error   408 409 425 500 502 503 504     transient: tried again, attempts are counted
    quota          402, and 429/400/403 that speak of money, credit or quota   the endpoint stops, resumably
    key_refused    401 403, and a 400 of Google's  the endpoint stops; a 403 of a moderation filter does not
    not_served     403 or 400 that speaks of the country or region   the endpoint stops
    not_found      404 405, and any 3xx            the endpoint stops: wrong base URL or model
    context_full   400/413 that speak of the context length   the conversation ends
    bad_request    any other 4xx, any 3xx, and a 429 for a request that is larger than the limit itself:
                   this call fails; trying again would be the same

Sources: the providers' error pages (OpenAI "error codes", Anthropic "errors", Google "troubleshooting").
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import orjson

from engine.errors import ServerFailed
from engine.logs import SECRETS
from engine.wire.retry_after import LONGEST_HINT_S, retry_after_s

# Someone gave up waiting for someone else, who may be at work on it and charge for it.
_OUTCOME_UNKNOWN = frozenset({408, 502, 504, 524})
_TRANSIENT = frozenset({408, 409, 425, 500, 502, 504})
_SHOWN = 300
_SEARCHED = 65_536

# Spending and quota, not rate: waiting a second does not help. Words of OpenAI, Anthropic, DeepSeek,
# OpenRouter, Google, Azure and xAI.
_QUOTA = re.compile(
    r"insufficient_quota|exceeded your current quota|billing_hard_limit|billing_not_active"
    r"|enforced_spend_limit|spend limit|usage limits? (?:was |were |has been )?reached"
    r"|specified API usage limits"
    r"|insufficient (?:balance|credits?)|credit balance is too low|requires more credits|quota_exceeded"
    r"|used all available credits|monthly spending limit|key limit exceeded",
    re.IGNORECASE,
)
# Google says "exceeded your current quota" of its limits per minute too; its quota ids tell them apart.
# A limit of 0 is a model that the account does not have.
_GOOGLE_RATE = re.compile(r"Per(?:Minute|Second)|retryDelay")
_GOOGLE_SPENT = re.compile(r"PerDay|\blimit: 0\b(?![.,]\d)")
_GOOGLE_DELAY = re.compile(r'"retryDelay":\s*"([0-9]{1,6}(?:\.[0-9]{1,9})?)s"')
_CONTEXT = re.compile(
    r"context_length_exceeded|maximum context length|context (?:window|length|size|limit)|too many tokens"
    r"|prompt is too long|exceeds? the available context|input (?:is )?too long|string_above_max_length"
    r"|maximum prompt length|input token count|range of input length"
    r"|inputs` tokens \+ `max_new_tokens|inputs` must have less than",
    re.IGNORECASE,
)
_MODERATION = re.compile(r"moderation|flagged", re.IGNORECASE)
# Which of the two names is refused is the one that is named first: the other is then recommended.
_LENGTH_FIELD = re.compile(r"\bmax_(?:completion_)?tokens\b")
_UNKNOWN_FIELD = re.compile(
    r"(?:un|not )supported|unrecogni[sz]ed|unknown|unexpected|forbidden|not permitted|not allowed|deprecated"
    r"|extra (?:inputs|fields)|additional propert",
    re.IGNORECASE,
)
# Google answers a wrong key with 400.
_BAD_KEY = re.compile(r"API_KEY_INVALID|API key (?:not valid|expired)")
# OpenAI's unsupported_country_region_territory, and Google's words for it.
_REGION = re.compile(
    r"unsupported_country"
    r"|(?:country|region|territory|location)\b[^.]{0,60}\bnot (?:supported|available|allowed)",
    re.IGNORECASE,
)
_NEVER_FITS = re.compile(r"request too large", re.IGNORECASE)


def failure_for_status(status: int, headers: Mapping[str, str], body: bytes, *, wall: float) -> ServerFailed:
    """The error for a reply with `status`, its reason from the table above. `wall` is Unix time."""
    message = error_message(body)
    head = body[:4096].decode("utf-8", "replace")
    hint = retry_after_s(headers, wall=wall)
    if hint is None and (delay := _GOOGLE_DELAY.search(head)):
        hint = min(float(delay[1]), LONGEST_HINT_S)
    reason = _reason(status, message, head, hint)
    advice = _advice(head) if reason == "bad_request" else ""
    return ServerFailed(
        reason,
        f"HTTP {status}: {message}{advice}" if message else f"HTTP {status}",
        status=status,
        retry_after_s=hint,
        possibly_paid=reason == "server_error" and status in _OUTCOME_UNKNOWN,
    )


def _reason(status: int, message: str, head: str, hint: float | None) -> str:
    if status == 402 or (status in (400, 403, 429) and _speaks_of_quota(head)):
        return "quota"
    if (status == 403 and _MODERATION.search(message)) or (status == 429 and _NEVER_FITS.search(message)):
        return "bad_request"
    if status in (400, 403) and _REGION.search(head):
        return "not_served"
    if status in (429, 529) or (status == 503 and hint is not None):
        return "throttled"
    if status in _TRANSIENT or status >= 500:
        return "server_error"
    if status in (401, 403) or (status == 400 and _BAD_KEY.search(head)):
        return "key_refused"
    if status in (404, 405) or 300 <= status < 400:
        return "not_found"
    if status in (400, 413, 422) and _CONTEXT.search(message or head):
        return "context_full"
    return "bad_request"


def _advice(head: str) -> str:
    """What to set where the server does not know the field for the reply's length, or nothing."""
    field = _LENGTH_FIELD.search(head)
    if field is None or not _UNKNOWN_FIELD.search(head):
        return ""
    other = "max_completion_tokens" if field[0] == "max_tokens" else "max_tokens"
    return f" [engine: set `max_tokens_field: {other}` for this stage]"


def _speaks_of_quota(head: str) -> bool:
    if "RESOURCE_EXHAUSTED" in head:
        if _GOOGLE_SPENT.search(head):
            return True
        if _GOOGLE_RATE.search(head):
            return False
    return _QUOTA.search(head) is not None


def error_message(body: bytes) -> str:
    """The server's own words, one line, cut; from an error object where there is one."""
    try:
        data = orjson.loads(body)
    except ValueError:
        data = None
    if isinstance(data, list) and len(data) == 1:  # Google's OpenAI-format address wraps its errors so
        data = data[0]
    error = data.get("error", data) if isinstance(data, dict) else data
    text = error if isinstance(error, str) else ""
    if isinstance(error, dict):
        parts = (error.get(key) for key in ("message", "code", "type", "detail", "status"))
        text = " ".join(str(part) for part in parts if isinstance(part, str | int))
    if not text:
        # As it came: printing what was parsed could recurse as deep as the server likes.
        text = SECRETS.hide(body[:_SEARCHED].decode("utf-8", "replace"))[: 4 * _SHOWN]
        if text.lstrip().startswith("<"):
            text = re.sub(r"<[^<>]{0,200}>", " ", text)
    # A server may quote the key that it refuses; hidden before the cut, which could leave a part of it.
    text = " ".join(SECRETS.hide(text[:_SEARCHED]).split())
    # It is shown on terminals, which a control character would steer.
    text = "".join(letter if letter.isprintable() else "\ufffd" for letter in text[: 2 * _SHOWN])
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."
