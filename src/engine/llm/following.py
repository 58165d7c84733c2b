"""What of a server's own limits is followed, where none of that kind is configured.

What others use of them (other processes with the same key) is left to them: it is what the server counts
beyond our own sends of the last minute.
"""

from __future__ import annotations

from collections.abc import Mapping

from engine.llm.rate_headers import SeenLimits
from engine.llm.rates import Rates

# Differences up to this share of a limit are the server's way of counting, not another process.
_OTHERS = 0.05
# A server whose bucket holds seconds instead of a minute counts as used what it never held.
_LEAST = 0.5

PerMinute = tuple[int | None, int | None, int | None, int | None]


def followed(
    seen: SeenLimits,
    rates: Rates,
    configured: Mapping[str, int | None],
    *,
    largest_request: int,
    largest_output: int,
) -> PerMinute | None:
    """Requests, tokens, input and output tokens per minute to keep from now on; None: those that hold.

    `configured`: by kind, as an admission takes them; the largest are the most tokens any request asked for.
    """
    window = rates.window
    before = (
        window.requests_per_min,
        window.tokens_per_min,
        rates.input_tokens_per_min,
        rates.output_tokens_per_min,
    )
    requests, tokens, prompt, output = before
    if configured["requests_per_min"] is None and seen.requests_per_min is not None:
        requests = _ours(seen.requests_per_min, seen.remaining_requests, window.requests)
    if not any(configured[f"{kind}tokens_per_min"] for kind in ("", "input_", "output_")):
        # A request that could never be sent would end the run: rather let the server refuse it.
        if (limit := seen.tokens_per_min) is not None:
            tokens = max(_ours(limit, seen.remaining_tokens, window.tokens), largest_request)
        if (limit := seen.input_tokens_per_min) is not None:
            prompt = max(_ours(limit, seen.remaining_input_tokens, rates.input_tokens), largest_request)
        if (limit := seen.output_tokens_per_min) is not None:
            output = max(_ours(limit, seen.remaining_output_tokens, rates.output_tokens), largest_output)
    after = requests, tokens, prompt, output
    return None if all(map(_is_alike, after, before)) else after


def _ours(limit: int, remaining: int | None, sent: int) -> int:
    """What of a limit per minute is left to this process, which has `sent` so many within the last one."""
    others = 0 if remaining is None else limit - remaining - sent
    return limit if others <= _OTHERS * limit else max(1, int(limit * _LEAST), limit - others)


def _is_alike(one: int | None, other: int | None) -> bool:
    """Whether two limits differ by no more than a server's way of counting."""
    if one is None or other is None:
        return one is other
    return abs(one - other) <= _OTHERS * max(one, other)
