"""Limits in headers: each provider's names, periods that are not a minute, and text that is none of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.llm.rate_headers import SeenLimits, read_limits

WALL = 1_700_000_000.0


def openai(limit: str, remaining: str, reset: str, kind: str = "requests") -> dict[str, str]:
    return {
        f"x-ratelimit-limit-{kind}": limit,
        f"x-ratelimit-remaining-{kind}": remaining,
        f"x-ratelimit-reset-{kind}": reset,
    }


class TestProviders:
    def test_openai(self) -> None:
        headers = openai("500", "499", "120ms") | openai("150000", "149984", "6ms", "tokens")
        assert read_limits(headers, wall=WALL) == SeenLimits(500, 150_000, 499, 149_984, 0.12, 0.006)

    def test_limits_without_a_reset_are_per_minute_by_their_name(self) -> None:
        headers = {"x-ratelimit-limit-tokens": "1000", "x-ratelimit-remaining-tokens": "10"}
        assert read_limits(headers, wall=WALL) == SeenLimits(tokens_per_min=1_000, remaining_tokens=10)

    def test_anthropic(self) -> None:
        headers = {
            "anthropic-ratelimit-requests-limit": "50",
            "anthropic-ratelimit-requests-remaining": "49",
            "anthropic-ratelimit-requests-reset": "2023-11-14T22:13:21Z",
            "anthropic-ratelimit-input-tokens-limit": "50000",
            "anthropic-ratelimit-input-tokens-remaining": "40000",
            "anthropic-ratelimit-input-tokens-reset": "2023-11-14T22:13:32Z",
            "anthropic-ratelimit-output-tokens-limit": "10000",
            "anthropic-ratelimit-output-tokens-remaining": "9000",
            "anthropic-ratelimit-output-tokens-reset": "2023-11-14T22:13:26Z",
            "anthropic-ratelimit-tokens-limit": "60000",
        }
        assert read_limits(headers, wall=WALL) == SeenLimits(
            requests_per_min=50, remaining_requests=49, reset_requests_s=1.0, input_tokens_per_min=50_000,
            output_tokens_per_min=10_000, remaining_input_tokens=40_000, remaining_output_tokens=9_000,
        )  # fmt: skip

    def test_anthropic_where_only_tokens_of_both_kinds_are_named(self) -> None:
        headers = {
            "anthropic-ratelimit-tokens-limit": "60000",
            "anthropic-ratelimit-tokens-remaining": "60000",
        }
        assert read_limits(headers, wall=WALL) == SeenLimits(tokens_per_min=60_000, remaining_tokens=60_000)

    def test_ietf_draft_with_its_policy(self) -> None:
        headers = {"ratelimit-limit": "100, 100;w=60", "ratelimit-remaining": "50", "ratelimit-reset": "30"}
        assert read_limits(headers, wall=WALL) == SeenLimits(100, None, 50, None, 30.0)
        apart = {"ratelimit-limit": "10", "ratelimit-policy": "10;w=1", "ratelimit-remaining": "9"}
        assert read_limits(apart, wall=WALL).requests_per_min == 600

    def test_reset_as_unix_time_in_milliseconds(self) -> None:
        headers = {
            "x-ratelimit-limit": "20",
            "x-ratelimit-remaining": "0",
            "x-ratelimit-reset": str(int((WALL + 40) * 1_000)),
        }
        assert read_limits(headers, wall=WALL) == SeenLimits(20, None, 0, None, 40.0)


class TestPeriods:
    @pytest.mark.parametrize(
        ("limit", "remaining", "reset"),
        [
            ("10000", "9999", "8.64s"),
            ("14400", "14370", "2m59.56s"),
            ("200", "0", "24h0m0s"),
            ("9", "9", "1d"),
        ],
    )
    def test_requests_per_day_are_not_taken_for_a_minute(
        self, limit: str, remaining: str, reset: str
    ) -> None:
        assert read_limits(openai(limit, remaining, reset), wall=WALL) == SeenLimits()

    def test_a_fixed_window_that_is_little_used_is_still_a_minute(self) -> None:
        assert read_limits(openai("100", "99", "59"), wall=WALL).requests_per_min == 100

    def test_a_name_for_any_period_needs_more_than_itself(self) -> None:
        assert read_limits({"x-ratelimit-limit": "5000"}, wall=WALL) == SeenLimits()
        hourly = {"x-ratelimit-limit": "5000", "x-ratelimit-reset": str(int(WALL) + 3_000)}
        assert read_limits(hourly, wall=WALL) == SeenLimits()
        assert read_limits({"ratelimit-limit": "1000;w=3600"}, wall=WALL) == SeenLimits()

    @pytest.mark.parametrize(("text", "seconds"), [("1s", 1), ("1m30s", 90), ("20ms", 0.02), ("1m", 60)])
    def test_durations(self, text: str, seconds: float) -> None:
        assert read_limits(openai("60", "0", text), wall=WALL).reset_requests_s == seconds


NAMES = [
    name.format(part) + kind
    for name in (
        "x-ratelimit-{}",
        "ratelimit-{}",
        "anthropic-ratelimit-requests-{}",
        "anthropic-ratelimit-input-tokens-{}",
        "anthropic-ratelimit-output-tokens-{}",
    )
    for part in ("limit", "remaining", "reset", "policy")
    for kind in ("", "-requests", "-tokens")
]
TEXTS = st.text(max_size=30) | st.from_regex(r"[0-9.\-+emsdhTZ:;w=,]{0,30}") | st.integers().map(str)


@given(st.dictionaries(st.sampled_from(NAMES), TEXTS), st.sampled_from([0.0, WALL, 1e18]))
def test_arbitrary_text_raises_nothing(headers: dict[str, str], wall: float) -> None:
    seen = read_limits(headers, wall=wall)
    assert seen.requests_per_min is None or seen.requests_per_min >= 1
    assert seen.tokens_per_min is None or seen.tokens_per_min >= 1
    for limit in (seen.input_tokens_per_min, seen.output_tokens_per_min):
        assert limit is None or limit >= 1
    assert seen.reset_requests_s is None or seen.reset_requests_s >= 0
