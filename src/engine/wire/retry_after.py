"""How long a server asks to be left alone: seconds, milliseconds or a date, in several headers.

Sources: RFC 9110 section 10.2.3 (Retry-After); OpenAI's `retry-after-ms`; Anthropic's rate-limit page.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime

# A hint beyond a day is a mistake of the server, and waiting for it would look like a hang.
LONGEST_HINT_S = 86_400.0


def retry_after_s(headers: Mapping[str, str], *, wall: float) -> float | None:
    """Seconds to wait from Unix time `wall`, or None where no usable hint is given."""
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return min(milliseconds / 1000, LONGEST_HINT_S)
    value = headers.get("retry-after")
    if value is None:
        return None
    seconds = _number(value)
    if seconds is None:
        try:
            date = parsedate_to_datetime(value)
            if date.tzinfo is None:  # HTTP's obsolete date forms name no zone and mean UTC
                date = date.replace(tzinfo=UTC)
            seconds = max(0.0, date.timestamp() - wall)
        except (ValueError, TypeError, IndexError, OverflowError):
            return None
    return min(seconds, LONGEST_HINT_S)


def _number(value: str | None) -> float | None:
    # "1_000" and unicode digits would pass float(); a header has neither.
    if value is None or not value.isascii() or "_" in value or len(value) > 32:
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None
