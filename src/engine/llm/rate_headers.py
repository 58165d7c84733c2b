"""What a server says about its own limits, read from the headers of any reply.

    OpenAI, Azure, Groq    x-ratelimit-{limit,remaining,reset}-{requests,tokens}; resets are durations
                           (`6m0s`, `20ms`, `7.66s`) until a bucket is full again, or plain seconds
    Anthropic              anthropic-ratelimit-{requests,tokens,input-tokens,output-tokens}-
                           {limit,remaining,reset}; resets are RFC 3339 times
    IETF draft             ratelimit-{limit,remaining,reset,policy}; resets are seconds
    OpenRouter and others  x-ratelimit-{limit,remaining,reset}; resets are seconds or Unix time

A limit without a period is dangerous: Groq, and OpenAI for some accounts, give requests per *day* under the
name that others use for requests per minute. So a limit counts as one per minute only where nothing speaks
against it: a policy's `w=` says how long the window is, and it is converted up to two minutes; a reset that
is further away, or a bucket that takes longer to fill (its reset over the share that is used), speaks
against it. Names without `requests` or `tokens` are used for any period and need such a reset or `w=`. What
is not per minute is dropped as a whole: spread evenly over a day, it would be a bad pace.

Where input and output tokens are named apart, they are limits apart; a limit of both beside them (Anthropic's
names the tighter of the two once more) says nothing new. Arbitrary text raises nothing; what cannot be read
is None. What of it is followed is the business of `following`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

_DURATION = re.compile(
    r"(?:(\d{1,6})d)?(?:(\d{1,6})h)?(?:(\d{1,6})m(?!s))?(?:(\d{1,9}(?:\.\d{1,9})?)s)?", re.ASCII
)
_MILLISECONDS = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)ms", re.ASCII)
_NUMBER = re.compile(r"\d{1,15}(?:\.\d{1,9})?", re.ASCII)
_POLICY_WINDOW = re.compile(r"(?:^|[;,\s])w=(\d{1,7})(?:$|[;,\s])", re.ASCII)
# Twice a minute: resets are rounded up.
_LONGEST_PERIOD_S = 120.0
_ANY_PERIOD = ("ratelimit-{}", "x-ratelimit-{}")
_UNIX_S = 1e9
_UNIX_MS = 1e12


@dataclass(frozen=True, slots=True)
class SeenLimits:
    """What the headers say; None = not said, or not per minute. Resets are seconds from now."""

    requests_per_min: int | None = None
    tokens_per_min: int | None = None
    remaining_requests: int | None = None
    remaining_tokens: int | None = None
    reset_requests_s: float | None = None
    reset_tokens_s: float | None = None
    input_tokens_per_min: int | None = None
    output_tokens_per_min: int | None = None
    remaining_input_tokens: int | None = None
    remaining_output_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class _Limit:
    per_min: int | None
    remaining: int | None
    reset_s: float | None


_NOTHING = _Limit(None, None, None)


def read_limits(headers: Mapping[str, str], *, wall: float) -> SeenLimits:
    """The limits in `headers` (names in lower case); `wall` is Unix time, for resets that are dates."""
    requests = _first(
        _read(headers, "x-ratelimit-{}-requests", wall),
        _read(headers, "anthropic-ratelimit-requests-{}", wall),
        _read(headers, "ratelimit-{}", wall),
        _read(headers, "x-ratelimit-{}", wall),
    )
    prompt = _read(headers, "anthropic-ratelimit-input-tokens-{}", wall)
    output = _read(headers, "anthropic-ratelimit-output-tokens-{}", wall)
    tokens = _NOTHING
    if prompt is _NOTHING and output is _NOTHING:
        tokens = _first(
            _read(headers, "x-ratelimit-{}-tokens", wall),
            _read(headers, "anthropic-ratelimit-tokens-{}", wall),
        )
    return SeenLimits(
        requests.per_min,
        tokens.per_min,
        requests.remaining,
        tokens.remaining,
        requests.reset_s,
        tokens.reset_s,
        prompt.per_min,
        output.per_min,
        prompt.remaining,
        output.remaining,
    )


def _first(*found: _Limit) -> _Limit:
    return next((limit for limit in found if limit is not _NOTHING), _NOTHING)


def _read(headers: Mapping[str, str], name: str, wall: float) -> _Limit:
    text = headers.get(name.format("limit"), "")
    limit = _count(text)
    if limit is None or limit == 0:
        return _NOTHING
    remaining = _count(headers.get(name.format("remaining"), ""))
    reset = headers.get(name.format("reset"), "").strip()
    reset_s = _reset_s(reset, wall)
    window_s = _policy_window_s(text) or _policy_window_s(headers.get(name.format("policy"), ""))
    if window_s is not None:
        if window_s > _LONGEST_PERIOD_S:
            return _NOTHING
        return _Limit(max(1, int(limit * 60 / window_s)), remaining, reset_s)
    if reset_s is None:
        return _NOTHING if name in _ANY_PERIOD else _Limit(limit, remaining, None)
    used = 0 if remaining is None else limit - remaining
    is_bucket = not _NUMBER.fullmatch(reset) and "T" not in reset.upper()
    period_s = reset_s * limit / used if is_bucket and used > 0 else reset_s
    return _NOTHING if period_s > _LONGEST_PERIOD_S else _Limit(limit, remaining, reset_s)


def _count(text: str) -> int | None:
    """The first number of a header such as `100, 100;w=60`."""
    number = re.split(r"[,;]", text, maxsplit=1)[0].strip()
    return int(float(number)) if _NUMBER.fullmatch(number) else None


def _policy_window_s(text: str) -> float | None:
    found = _POLICY_WINDOW.search(text)
    return float(found[1]) if found and int(found[1]) else None


def _reset_s(text: str, wall: float) -> float | None:
    if _NUMBER.fullmatch(text):
        number = float(text)
        if number >= _UNIX_MS:
            return max(0.0, number / 1_000 - wall)
        return max(0.0, number - wall) if number >= _UNIX_S else number
    if found := _MILLISECONDS.fullmatch(text):
        return float(found[1]) / 1_000
    if text and (found := _DURATION.fullmatch(text)):
        days, hours, minutes, seconds = (float(part or 0) for part in found.groups())
        return ((days * 24 + hours) * 60 + minutes) * 60 + seconds
    try:
        time = datetime.fromisoformat(text)
        return max(0.0, (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() - wall)
    except (ValueError, OverflowError, OSError):
        return None
