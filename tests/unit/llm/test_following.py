"""A server's own limits: kept where none is configured, less what others use, and never below one request."""

from __future__ import annotations

import pytest

from engine.llm.following import PerMinute, followed
from engine.llm.rate_headers import SeenLimits
from engine.llm.rates import Rates

KINDS = ("requests_per_min", "tokens_per_min", "input_tokens_per_min", "output_tokens_per_min")


def after(seen: SeenLimits, *, sent: int = 0, largest: int = 0, **configured: int) -> PerMinute | None:
    rates = Rates(100.0)
    for _ in range(sent):
        rates.add(100.0, 10, 5)
    limits = dict.fromkeys(KINDS) | configured
    return followed(seen, rates, limits, largest_request=largest, largest_output=largest)


def test_what_is_said_is_kept() -> None:
    assert after(SeenLimits(60, 9_000)) == (60, 9_000, None, None)
    assert after(SeenLimits(input_tokens_per_min=900, output_tokens_per_min=80)) == (None, None, 900, 80)


def test_nothing_said_changes_nothing() -> None:
    assert after(SeenLimits()) is None


def test_what_is_configured_holds() -> None:
    assert after(SeenLimits(60, 9_000), requests_per_min=10) == (None, 9_000, None, None)
    assert after(SeenLimits(60, 9_000), output_tokens_per_min=10) == (60, None, None, None)


@pytest.mark.parametrize(
    ("sent", "remaining", "kept"), [(40, 60, 100), (0, 60, 60), (37, 60, 100), (0, 0, 50)]
)
def test_what_others_use_is_left_to_them_up_to_half(sent: int, remaining: int, kept: int) -> None:
    seen = SeenLimits(requests_per_min=100, remaining_requests=remaining)
    assert after(seen, sent=sent) == (kept, None, None, None)


def test_the_largest_request_still_fits() -> None:
    assert after(SeenLimits(tokens_per_min=100), largest=700) == (None, 700, None, None)
