"""The sends of the last minute, counted exactly, and the smooth pace of tokens.

Sends are counted per slot of a tenth of a second, so memory is 600 slots at any rate; a slot leaves when its
last instant does, and `ARRIVAL_S` after that, which costs 0.5 s in 60 s (0.8 % of the limit): a server
counts when a request arrives, and of two sends 60 s apart the first may have been the longer on its way.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter

from engine.errors import ConfigError

WINDOW_S = 60.0
SLOT_S = 0.1
# A sliding window refused 37 of 4,527 requests on a busy machine without it.
ARRIVAL_S = 0.4
BURST = 0.01


@dataclass(slots=True)
class Slot:
    """What was sent within one `SLOT_S`, and when all of it is out of the window.

    `is_paced`: its tokens were taken from the pace's level, so they may be given back to it.
    """

    expires_at: float
    is_paced: bool
    requests: int = 0
    tokens: int = 0


class Window:
    """The sends of the last minute, and the pace of tokens. Times must not go backwards."""

    __slots__ = (
        "_level",
        "_level_at",
        "_requests",
        "_slots",
        "_tokens",
        "_what",
        "requests_per_min",
        "tokens_per_min",
    )

    def __init__(
        self, now: float, requests_per_min: int | None, tokens_per_min: int | None, *, what: str = "tokens"
    ) -> None:
        self._what = what
        self.requests_per_min = requests_per_min
        self.tokens_per_min = tokens_per_min
        self._slots: deque[Slot] = deque()
        self._requests = 0
        self._tokens = 0
        self._level = self._burst
        self._level_at = now

    @property
    def requests(self) -> int:
        """Requests of the last minute, as of the last call of another method."""
        return self._requests

    @property
    def tokens(self) -> int:
        """Tokens of the last minute, as of the last call of another method."""
        return self._tokens

    def count(self, now: float, others: Sequence[Window]) -> None:
        """Count what `others` have counted, too; all of their tokens are taken to be of this kind."""
        for window in (self, *others):
            window._expire(now)
        sent = [slot for other in others for slot in other._slots]
        # Copies, since what is settled there stays there; never paced, since this level gave nothing for it.
        copies = (Slot(slot.expires_at, False, slot.requests, slot.tokens) for slot in sent)
        self._slots = deque(sorted((*self._slots, *copies), key=attrgetter("expires_at")))
        self._requests += sum(slot.requests for slot in sent)
        self._tokens += sum(slot.tokens for slot in sent)

    def set_limits(self, now: float, requests_per_min: int | None, tokens_per_min: int | None) -> None:
        """Go on with other limits; what was sent still counts."""
        self._refill(now)
        had_none = self.tokens_per_min is None
        self.requests_per_min, self.tokens_per_min = requests_per_min, tokens_per_min
        self._level = self._burst if had_none else min(self._level, self._burst)

    @property
    def _burst(self) -> float:
        return 0.0 if self.tokens_per_min is None else max(1.0, self.tokens_per_min * BURST)

    def refuse_impossible(self, tokens: int) -> None:
        """Raise where no amount of waiting would help."""
        if self.tokens_per_min is not None and tokens > self.tokens_per_min:
            kind = self._what.removesuffix("tokens")
            raise ConfigError(
                f"{kind}tokens_per_min is {self.tokens_per_min:,}, but one request reserves {tokens:,} "
                f"{kind.replace('_', ' ')}tokens: raise {kind}tokens_per_min (of the endpoint, or of the "
                "model under per_model) or lower max_tokens"
            )

    def wait_s(self, now: float, tokens: int) -> float:
        """Seconds until a request of `tokens` fits, as far as is known now; 0 = it fits."""
        if self._slots and self._slots[0].expires_at <= now:
            self._expire(now)
        if self.tokens_per_min is None and self.requests_per_min is None:
            return 0.0
        return max(self._pace_wait_s(now, tokens), self._window_wait_s(now, tokens))

    def _pace_wait_s(self, now: float, tokens: int) -> float:
        if self.tokens_per_min is None:
            return 0.0
        self._refill(now)
        # A request larger than the burst needs a full burst, and leaves a debt.
        missing = min(tokens, self._burst) - self._level
        return 0.0 if missing <= 1e-6 else missing * WINDOW_S / self.tokens_per_min

    def _window_wait_s(self, now: float, tokens: int) -> float:
        requests_over = 0 if self.requests_per_min is None else self._requests + 1 - self.requests_per_min
        tokens_over = 0 if self.tokens_per_min is None else self._tokens + tokens - self.tokens_per_min
        if requests_over <= 0 and tokens_over <= 0:
            return 0.0
        wait_s = 0.0
        for slot in self._slots:
            if requests_over <= 0 and tokens_over <= 0:
                break
            requests_over -= slot.requests
            tokens_over -= slot.tokens
            wait_s = slot.expires_at - now
        return wait_s

    def add(self, now: float, tokens: int) -> Slot:
        """Count a request sent now."""
        slots = self._slots
        if slots and slots[0].expires_at <= now:
            self._expire(now)
        is_paced = self.tokens_per_min is not None
        if is_paced:
            self._refill(now)
        ends_at = (math.floor(now / SLOT_S) + 1) * SLOT_S + WINDOW_S + ARRIVAL_S
        slot = slots[-1] if slots else None
        if slot is None or slot.expires_at < ends_at or slot.is_paced is not is_paced:
            slot = Slot(ends_at, is_paced)
            slots.append(slot)
        slot.requests += 1
        slot.tokens += tokens
        self._requests += 1
        self._tokens += tokens
        if is_paced:
            self._level -= tokens
        return slot

    def give_back(self, now: float, slot: Slot, tokens: int) -> None:
        """Return tokens to the slot that they were taken from; one that has expired no longer counts."""
        if slot.is_paced and self.tokens_per_min is not None:
            # First what time has brought: above the burst it would be lost.
            self._refill(now)
            self._level += tokens
        if self._slots and slot.expires_at >= self._slots[0].expires_at:
            slot.tokens -= tokens
            self._tokens -= tokens

    def _expire(self, now: float) -> None:
        while self._slots and self._slots[0].expires_at <= now:
            slot = self._slots.popleft()
            self._requests -= slot.requests
            self._tokens -= slot.tokens

    def _refill(self, now: float) -> None:
        # Only time is capped by the burst: what a reply gave back was never used and is kept.
        if self.tokens_per_min is not None and self._level < self._burst:
            refill = (now - self._level_at) * self.tokens_per_min / WINDOW_S
            self._level = min(self._burst, self._level + refill)
        self._level_at = now

    def describe(self, now: float) -> list[str]:
        """The state of the last minute in words for a status line, one text for each limit."""
        self._expire(now)
        parts = []
        if self.requests_per_min is not None:
            parts.append(f"{self._requests:,} of {self.requests_per_min:,} requests/min")
        if self.tokens_per_min is not None:
            what = self._what.replace("_", " ")
            parts.append(f"{self._tokens:,} of {self.tokens_per_min:,} {what}/min")
        return parts
