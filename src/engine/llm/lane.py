"""A lane: what one model may be asked at one endpoint, and what its replies say of that.

Providers limit each model, and so a limit that nobody named is found, or read from headers, for each model
apart. The governor is told what calls brought by those who make them, while they hold their permits.
"""

from __future__ import annotations

from collections.abc import Mapping

from engine.errors import CallFailed, ServerFailed
from engine.llm.limits import Admission
from engine.llm.rate_headers import read_limits

# Headers are read so often, not with each reply: they say the same again, and reading costs 20 us.
_HEADERS_S = 1.0
# Each reply moves the mean latency by so much: some twenty of them make it.
_LATEST = 0.05
# What a call is taken to last before any has ended.
_UNKNOWN_S = 1.0
# With fewer calls in the air than this share of the limit, a reply says nothing about the limit.
_SATURATED = 0.8


class Lane:
    """One model at one endpoint. `follows_headers`: limits that replies name are kept."""

    __slots__ = ("_headers_due_at", "_latency_s", "admission", "follows_headers")

    def __init__(self, admission: Admission, *, follows_headers: bool = False) -> None:
        self.admission = admission
        self.follows_headers = follows_headers
        self._headers_due_at = 0.0
        self._latency_s = 0.0

    @property
    def capacity(self) -> float:
        """How many calls at a time its limits allow, configured or measured; infinite where none is known.

        A limit per minute allows as many as are sent while one of them lasts (Little's law).
        """
        most, per_min = self.admission.max_in_flight, self.admission.calls_per_min
        return max(1.0, min(most, per_min / 60 * (self._latency_s or _UNKNOWN_S)))

    @property
    def load(self) -> float:
        """The share of the capacity that is in the air."""
        return max(self.admission.load, self.admission.in_flight / self.capacity)

    def note_headers(self, headers: Mapping[str, str], wall: float) -> None:
        """Follow what a reply's headers say of the server's limits, at most once in `_HEADERS_S`."""
        if self.follows_headers and wall >= self._headers_due_at:
            self._headers_due_at = wall + _HEADERS_S
            self.admission.follow(read_limits(headers, wall=wall))

    def answered(self, now: float, *, sent_at: float, output_tokens: int) -> None:
        """A call, sent at monotonic time `sent_at` and still holding its permit, brought a reply."""
        latency_s = now - sent_at
        self._latency_s += (latency_s - self._latency_s) * (_LATEST if self._latency_s else 1.0)
        if (search := self.admission.search) is not None:
            governor, admission = search
            others = admission.in_flight - 1
            governor.on_reply(
                now,
                latency_s=latency_s,
                output_tokens=output_tokens,
                in_service=others,
                is_saturated=admission.waiting > 0 or others >= _SATURATED * admission.max_in_flight,
            )

    def failed(self, failure: CallFailed, now: float, *, sent_at: float) -> None:
        """Such a call brought none. Only a refusal is news: the rest is the breaker's business."""
        search = self.admission.search
        if failure.reason == "throttled" and search is not None:
            governor, admission = search
            hint = failure.retry_after_s if isinstance(failure, ServerFailed) else None
            governor.on_throttle(now, sent_at=sent_at, in_service=admission.in_flight - 1, retry_after_s=hint)

    def __repr__(self) -> str:
        return f"Lane({self.admission!r}, {self.admission.search!r})"
