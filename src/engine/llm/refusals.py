"""Refusals at random, told from those of a limit: only the latter become fewer when less is asked.

    dense         three of at most nine calls in a row: a limit, whatever it is; act at once
    scattered     may be chance. After three of them a `Trial` asks for less for a while, and a sequential
                  test of the share of refusals decides: as many as before, so chance; or hardly any
    background    the share that a trial has found to be chance; refusals are news again only when they
                  become clearly more (a cumulative sum that drains at twice that share)

Calls are counted as they are sent, because a refusal is known long before a reply. Pure: no clock, no task;
a send is two steps, a refusal is as many as there are calls between its sending and its coming back.
"""

from __future__ import annotations

import math
from collections import deque

DENSE = 0.25
MOST_BACKGROUND = 0.3
# Refusals that a background explains before they are news; one false alarm in some 25,000 refusals.
ALARM = 8.0
DRAIN = 2.0
# Where all calls are refused, that is news, whatever the background.
MOST_DRAIN = 0.8
# Refusals so many calls apart are not one story.
RARE = 1_500
# Refusals whose spread tells the present share.
RECENT = 16
FOLLOW = 0.15
# A share told by three or four refusals is often too low.
GENEROUS = 1.3
MOST_GROWTH = 1.5
# The trial's test: refusals are as many as before, or a tenth; both errors about 1 in 50.
FEWER = 0.1
SURE = 4.0
LOAD = 0.85
# Three refusals tell their share badly; too high a guess would take chance for load.
CAUTION = 0.6


class Refusals:
    """The refusals of one endpoint, by the number of the call. Report each send and each refusal."""

    __slots__ = (
        "_found",
        "_is_alarmed",
        "_numbers",
        "_score",
        "_scored",
        "_times",
        "background",
        "sent_total",
    )

    def __init__(self) -> None:
        self.sent_total = 0
        self.background = 0.0
        self._found = 0.0
        self._times: deque[float] = deque(maxlen=4_096)
        # Of the last refusals, oldest first.
        self._numbers: deque[int] = deque(maxlen=RECENT)
        self._score = 0.0
        self._scored = 0
        self._is_alarmed = False

    def sent(self, now: float) -> None:
        """A call is sent."""
        self.sent_total += 1
        self._times.append(now)

    def refused(self, sent_at: float) -> None:
        """The call that was sent at `sent_at` was refused."""
        later = 0
        for time in reversed(self._times):
            if time <= sent_at:
                break
            later += 1
        number = self.sent_total - later
        if self._numbers and number - self._numbers[-1] > RARE:
            self._numbers.clear()
        self._numbers.append(number)

    def drop_last(self) -> None:
        """Do not count the last refusal."""
        self._numbers.pop()

    def forget(self) -> None:
        """Let a new story begin: what was refused so far is not counted with what follows."""
        self._numbers.clear()
        self._score, self._is_alarmed = 0.0, False

    @property
    def share(self) -> float:
        """Refusals per call among the last few; 1 while there are fewer than two."""
        if len(self._numbers) < 2:
            return 1.0
        return min(1.0, (len(self._numbers) - 1) / max(1, self._numbers[-1] - self._numbers[0]))

    @property
    def last(self) -> int:
        """The number of the call that was refused last."""
        return self._numbers[-1]

    @property
    def is_first(self) -> bool:
        """Whether a story begins with the last refusal."""
        return len(self._numbers) == 1

    @property
    def is_dense(self) -> bool:
        """Whether the last three (or four, beside a background) came together."""
        n = self._enough - 1
        return len(self._numbers) > n and self._numbers[-1] - self._numbers[-1 - n] <= n / DENSE

    @property
    def is_frequent(self) -> bool:
        """Whether three of the last thirty calls, or more, were refused."""
        return len(self._numbers) >= 3 and self._numbers[-3] > self.sent_total - 30

    def is_run(self, length: int) -> bool:
        """Whether of the last calls so many were refused one after the other, but for one."""
        return len(self._numbers) >= length and self._numbers[-1] - self._numbers[-length] <= length

    def is_half(self, length: int) -> bool:
        """Whether half of the last calls were refused, so many of them."""
        return len(self._numbers) >= length and self._numbers[-1] - self._numbers[-length] <= 2 * length

    @property
    def cost(self) -> float:
        """Refusals that it takes until they are news."""
        return ALARM if self.background else 1.0

    @property
    def are_enough(self) -> bool:
        """Whether there are enough to tell how scattered they are."""
        return len(self._numbers) >= self._enough

    @property
    def _enough(self) -> int:
        return 4 if self.background else 3

    def settle_background(self, share: float) -> None:
        """A trial has found this share of the calls to be refused by chance."""
        self.background = self._found = min(share * GENEROUS, MOST_BACKGROUND)
        self._score, self._scored, self._is_alarmed = 0.0, self.sent_total, False

    def is_explained(self) -> bool:
        """Whether the last refusal is one that chance explains; counts it."""
        if not self.background or not self._numbers:
            return False
        number = self._numbers[-1]
        drained = min(DRAIN * self.background, MOST_DRAIN) * max(0, number - self._scored)
        score = max(0.0, self._score - drained)
        if score < ALARM / 2:
            self._is_alarmed = False
        self._score, self._scored = min(score + 1, 2 * ALARM), max(number, self._scored)
        if self._is_alarmed:
            return False
        if self._score > ALARM:
            self._is_alarmed = True
            self._numbers.clear()
            self._numbers.append(number)
            return False
        if len(self._numbers) == RECENT:
            followed = self.background + FOLLOW * (self.share - self.background)
            self.background = min(followed, self._found * MOST_GROWTH)
        return True

    def __repr__(self) -> str:
        return f"Refusals({self.background:.1%} by chance, {self.sent_total:,} sent)"


class Trial:
    """Whether fewer calls are refused when less is asked, decided call by call.

    `share`: of the calls refused before it; `first`: the number of its first call; `sure`: how sure it is
    to be, as the logarithm of the odds.
    """

    __slots__ = ("_refused", "_sure", "first", "share")

    def __init__(self, share: float, first: int, *, sure: float = SURE) -> None:
        self._sure = sure
        self.share = share
        self.first = first
        self._refused = 0

    def refuse(self) -> None:
        """A call of the trial was refused."""
        self._refused += 1

    def verdict(self, sent_total: int) -> bool | None:
        """True: chance. False: the load. None: too early to say."""
        sent = sent_total - self.first
        score = self._refused * -math.log(FEWER) - sent * self.share * CAUTION * (1 - FEWER)
        return None if abs(score) < self._sure else score > 0

    def found_share(self, sent_total: int) -> float:
        """The share refused during the trial."""
        sent = sent_total - self.first
        return self._refused / max(1, sent)

    def __repr__(self) -> str:
        return f"Trial({self._refused} refused, {self.share:.1%} before)"
