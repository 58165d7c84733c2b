"""How long a server asks to be left alone."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.wire.retry_after import LONGEST_HINT_S, retry_after_s

WALL = datetime(2025, 3, 1, 12, 0, 0, tzinfo=UTC).timestamp()

HINTS: dict[str, float | None] = {
    "0": 0.0,
    "5": 5.0,
    " 5 ": 5.0,
    "0.25": 0.25,
    "1e3": 1000.0,
    "999999999": LONGEST_HINT_S,
    "-1": None,
    "inf": None,
    "-inf": None,
    "nan": None,
    "1_000": None,
    "٣": None,
    "５": None,
    "": None,
    "soon": None,
    "5 s": None,
    "9" * 400: None,
    "Sat, 01 Mar 2025 12:01:00 GMT": 60.0,
    "Sat, 01 Mar 2025 13:01:00 +0100": 60.0,
    "Sat, 01 Mar 2025 11:00:00 GMT": 0.0,
    "Sat, 01 Mar 2325 12:00:00 GMT": LONGEST_HINT_S,
    "Sat, 01 Mar 99999 12:00:00 GMT": None,
    "Sat, 99 Mar 2025 12:00:00 GMT": None,
}


@pytest.mark.parametrize(("value", "expected"), HINTS.items(), ids=repr)
def test_retry_after_header(value: str, expected: float | None) -> None:
    assert retry_after_s({"retry-after": value}, wall=WALL) == expected


@pytest.mark.parametrize("value", ["Sat Mar  1 12:01:00 2025", "Sat, 01 Mar 2025 12:01:00 -0000"])
def test_a_date_without_a_zone_is_utc_wherever_this_runs(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        seconds = retry_after_s({"retry-after": value}, wall=WALL)
    time.tzset()
    assert seconds == 60.0


@pytest.mark.parametrize(
    ("milliseconds", "expected"),
    [("250", 0.25), ("0", 0.0), ("1e12", LONGEST_HINT_S), ("-5", 7.0), ("x", 7.0), ("nan", 7.0)],
)
def test_milliseconds_come_first_where_they_are_usable(milliseconds: str, expected: float) -> None:
    headers = {"retry-after-ms": milliseconds, "retry-after": "7"}
    assert retry_after_s(headers, wall=WALL) == expected


def test_no_header_is_no_hint() -> None:
    assert retry_after_s({}, wall=WALL) is None


@given(st.text(max_size=60), st.text(max_size=20))
def test_any_header_gives_a_bounded_wait_or_none(value: str, milliseconds: str) -> None:
    seconds = retry_after_s({"retry-after": value, "retry-after-ms": milliseconds}, wall=WALL)
    assert seconds is None or 0 <= seconds <= LONGEST_HINT_S


@given(st.datetimes(timezones=st.just(UTC)))
def test_any_date_gives_a_bounded_wait(date: datetime) -> None:
    value = format_datetime(date, usegmt=True)
    seconds = retry_after_s({"retry-after": value}, wall=WALL)
    assert seconds is None or 0 <= seconds <= LONGEST_HINT_S
