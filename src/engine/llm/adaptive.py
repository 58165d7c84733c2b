"""How many calls an endpoint serves when nobody has said so: found by trying, a little at a time.

Servers limit calls in flight, or calls per minute, or they only get slower. So two limits are kept side by
side, in flight (here) and rate (`pace`), and each answers for its own refusals:

    more in service than was ever served       the last step up was too many: back to what is in service
    no more than was served through a round    a rate, or the limit fell: cut deeper with each refusal that
                                               follows; if some are accepted meanwhile, that is the rate
    nothing in service                         all is used up, as in a window of a minute: hold, and try one
                                               call now and then; what had been accepted is the rate

Calls that were under way when the last refusal came bring no news when they are refused too. How the
limit grows, and how a queue is told, is the business of `climb`; whether refusals are chance, that of
`chance_trial`; whether what looks like a rate is a limit in flight that fell, that of `cap_trial`; how long
to hold, and what a window held, that of `drought`.

Pure: no task, no timer, no clock. Each event is constant work, and memory is constant.
"""

from __future__ import annotations

import math

from engine.llm.cap_trial import CapTrial
from engine.llm.chance_trial import ChanceTrial
from engine.llm.climb import Climb
from engine.llm.drought import Drought
from engine.llm.pace import MARGIN, Pace
from engine.llm.refusals import Refusals

# Refusals further apart are not one story.
QUIET_S = 10.0
# Refusals that do not come together slow a known rate down so often before a trial.
SCATTERED_CUTS = 4
# With so much of the limit in service when calls are accepted again, it is no rate that was used up.
STILL_SERVED = 0.3
# Where a rate is so far below what was once served through ten seconds, and refusals go on, all is forgotten;
# after so long at first.
FAR = 16
FIRST_RESTART_S = 20.0
LONGEST_RESTART_S = 300.0


class Governor:
    """The limits of one endpoint, found while calling it; at most `most` calls in flight.

    Send only while fewer than `in_flight_limit` are in the air and `wait_s` is 0, and report each call:
    `on_send`, then one of `on_reply`, `on_throttle` (429, 503, 529) and `on_failure`. Times are monotonic
    seconds and must not go backwards.
    """

    __slots__ = (
        "_best", "_cap", "_chance", "_climb", "_cut_at", "_drought", "_held_until", "_in_service", "_low_at",
        "_lows", "_pace", "_period_accepted", "_period_at", "_period_limit", "_refusals", "_restart_after_s",
    )  # fmt: skip

    def __init__(self, most: int = 100_000) -> None:
        self._restart_after_s = FIRST_RESTART_S
        self._best = 0.0
        self._learn(most)

    def _learn(self, most: int) -> None:
        """Begin with nothing known."""
        self._pace = Pace()
        self._climb = Climb(most)
        self._refusals = Refusals()
        self._chance = ChanceTrial(self._climb, self._pace, self._refusals)
        self._cap = CapTrial()
        self._drought = Drought()
        self._cut_at = self._held_until = -math.inf
        self._in_service = 0
        # A period: refusals with less than QUIET_S between them. `_lows`: those without a step up to blame.
        self._period_at = -math.inf
        self._period_limit = self._climb.limit
        self._period_accepted = 0
        self._lows = 0
        self._low_at = -math.inf

    @property
    def most(self) -> int:
        """The most calls that may ever be in flight: the number of callers."""
        return self._climb.most

    @most.setter
    def most(self, most: int) -> None:
        self._climb.most = most

    @property
    def in_flight_limit(self) -> int:
        return self._climb.limit

    @property
    def requests_per_min(self) -> float | None:
        """The rate cap that was found; None while none is known."""
        return self._pace.rate * 60 if self._pace.is_known else None

    @property
    def held_until(self) -> float:
        """Nothing is to be sent before this time."""
        return self._held_until

    def wait_s(self, now: float) -> float:
        """Seconds until the next call may be sent; 0 = now."""
        if self._drought.is_probing:
            wait_s = self._drought.patience_left_s(now)
            if wait_s > 0:
                return wait_s
            # It has not been refused, so it is served.
            self._end_drought(now)
        return max(0.0, self._held_until - now, self._pace.wait_s(now))

    def on_send(self, now: float) -> None:
        """A call is sent."""
        self._pace.sent(now)
        self._refusals.sent(now)
        if self._drought.is_on:
            self._drought.sent(now)

    # Replies

    def on_reply(
        self, now: float, *, latency_s: float, output_tokens: int, in_service: int, is_saturated: bool
    ) -> None:
        """A call brought a reply; `in_service` others are in the air.

        `is_saturated`: callers wait, or nearly all of the limit is used, so that success says something.
        """
        self._in_service = in_service
        self._cap.served(in_service)
        if now - latency_s > self._cut_at:
            self._drought.holds = 0
            if self._drought.is_probing:
                self._end_drought(now)
        test = self._chance.test
        if test is not None:
            if self._chance.judge(now, test):
                self._lows = 0
            return
        if self._pace.is_known:
            self._pace.replied(now, is_saturated=is_saturated)
        if not is_saturated or in_service + 1 < 0.8 * self._climb.limit:
            return
        self._climb.on_reply(now, latency_s=latency_s, output_tokens=output_tokens)

    # Refusals

    def on_throttle(
        self, now: float, *, sent_at: float, in_service: int, retry_after_s: float | None
    ) -> None:
        """A call that was sent at `sent_at` was refused; `in_service` others are in the air."""
        climb, chance, drought = self._climb, self._chance, self._drought
        self._pace.refused(now)
        self._refusals.refused(sent_at)
        self._in_service = in_service
        drought.refused(now, sent_at)
        if drought.is_on:
            if drought.is_probe(sent_at):
                self._cut_at = now
                self._hold(now, retry_after_s)
            return
        if self._is_stuck(now):
            self._start_again(now)
            return
        if self._is_chance(now, sent_at, in_service):
            return
        climb.has_refused = True
        is_low = in_service < climb.base or self._is_falling(in_service)
        if sent_at <= self._cut_at and in_service and (not is_low or self._lows):
            # It was under way when the last refusal came.
            if not self._pace.is_known:
                climb.cut(in_service)
            return
        self._open_period(now)
        if self._pace.is_known:
            self._cap.refused(in_service)
        self._cut_at = now
        climb.begin_small()
        if climb.is_starting and in_service:
            climb.rested_at = now
            chance.start_was_cut = True
            climb.cut(in_service)
        elif self._is_wall(in_service):
            self._hold(now, retry_after_s)
        elif chance.is_slow_rate(now, in_service):
            chance.hold_slow_rate(now)
        elif self._pace.is_used(now) and in_service + 1 < 0.9 * climb.limit:
            self._slow_down(now, in_service)
        elif not is_low:
            climb.rest(now)
            if climb.is_probing:
                climb.pay(max(self._refusals.cost, climb.limit - in_service))
            climb.cut(in_service)
        else:
            climb.stand(now)
            self._refused_low(now, in_service)

    def _is_stuck(self, now: float) -> bool:
        """Whether slowing down has gone far and not helped, for long enough."""
        pace = self._pace
        self._best = max(self._best, pace.recent(10) / 10)
        return (
            pace.is_known
            and not pace.is_windowed
            and now - pace.began_at >= self._restart_after_s
            and pace.rate <= self._best / FAR
            and self._refusals.is_frequent
        )

    def _start_again(self, now: float) -> None:
        """Forget what was learnt, which was perhaps of chance; each time after twice as long."""
        self._learn(self._climb.most)
        self._cut_at = now
        self._restart_after_s = min(2 * self._restart_after_s, LONGEST_RESTART_S)

    def _is_chance(self, now: float, sent_at: float, in_service: int) -> bool:
        """Whether a refusal is to change nothing: chance explains it, or may, until a trial has ended."""
        chance, test = self._chance, self._chance.test
        if test is not None:
            if self._refusals.last <= test.first:
                return True  # it was sent before the trial
            if not chance.refused(test):
                return False
            if chance.judge(now, test):
                self._lows = 0
            return True
        is_cut_first = self._pace.is_known and self._lows < SCATTERED_CUTS
        return chance.explains(now, in_service, is_late=sent_at <= self._cut_at, is_cut_first=is_cut_first)

    def _is_falling(self, in_service: int) -> bool:
        """Whether half of the calls are refused while fewer and fewer are in service: so it is a rate."""
        return self._refusals.is_half(6) and in_service + 1 < 0.9 * self._period_limit

    def _is_wall(self, in_service: int) -> bool:
        """Whether nothing at all is accepted any more, rather than a little less."""
        if in_service == 0:
            return self._refusals.is_dense or self._pace.in_window == 0
        if self._pace.is_known:
            return self._refusals.is_run(4) and in_service + 1 < 0.9 * self._climb.limit
        return self._refusals.is_run(8) and in_service + 1 < 0.9 * self._period_limit

    def _open_period(self, now: float) -> None:
        if now - self._cut_at <= QUIET_S:
            return
        self._period_at = now
        self._period_limit = self._climb.limit
        self._period_accepted = self._pace.total
        self._lows = 0
        self._cap.open_story(now, has_rate=self._pace.is_known)

    def _slow_down(self, now: float, in_service: int) -> None:
        if not self._pace.is_windowed and self._cap.is_due(now):
            self._cap.begin(now, self._pace.lift())
            self._refusals.forget()
            self._climb.cut(in_service)
            self._lows = 0
            return
        self._lows += 1
        self._pace.cut(now, nth=self._lows, since=self._period_at)

    def _refused_low(self, now: float, in_service: int) -> None:
        """Refused at what had been served: either a rate is used up, or the limit in flight fell."""
        climb = self._climb
        if self._pace.is_known:
            self._slow_down(now, in_service)
            return
        if self._cap.is_near(now, in_service, climb.limit):
            climb.cut(in_service)
            return
        if self._refusals.background and in_service + 1 >= 0.9 * climb.limit:
            # The alarm came late, so what was accepted until it says nothing of a rate.
            climb.cut(in_service)
            return
        if self._is_rate_after_all(now):
            self._slow_down(now, in_service)
            return
        self._lows += 1
        since_s, accepted = now - self._period_at, self._pace.total - self._period_accepted
        is_again = self._lows == 1 and now - self._low_at < 600
        if self._lows == 1:
            self._low_at = now
        if since_s >= 1 and accepted >= 10:
            self._pace.set(now, accepted / since_s)
        elif is_again:
            self._pace.set(now, self._pace.recent_rate(now, 10) * MARGIN)
        else:
            climb.cut(round(min(climb.limit, in_service) * (1 - min(0.01 * 2.0**self._lows, 0.5))))
            self._held_until = max(self._held_until, now + min(0.02 * 2.0**self._lows, 0.5))
            return
        # The rate answers from here on.
        climb.set_limit(max(climb.limit, self._period_limit))

    def _is_rate_after_all(self, now: float) -> bool:
        """Whether a limit in flight was tried and was none; the rate that was known holds again then."""
        lifted = self._cap.end(now)
        if lifted is None or self._pace.is_known:
            return False
        self._pace.restore(now, lifted)
        self._climb.set_limit(max(self._climb.limit, self._period_limit))
        return True

    def _hold(self, now: float, retry_after_s: float | None) -> None:
        """Send nothing for a while, then one call."""
        hold_s = self._drought.hold(now, self._pace, retry_after_s)
        self._held_until = max(self._held_until, now + hold_s)

    def _end_drought(self, now: float) -> None:
        """A call is served again: now the rate is known."""
        lasted_s = self._drought.end(now)
        self._held_until = -math.inf
        self._lows = 0
        self._cap.forget()
        self._refusals.forget()
        pace = self._pace
        self._is_rate_after_all(now)
        if lasted_s < QUIET_S and not pace.is_known and self._in_service >= STILL_SERVED * self._period_limit:
            self._climb.set_limit(self._in_service + 1)  # a limit in flight that fell
            return
        self._climb.set_limit(max(self._climb.limit, self._period_limit))
        if lasted_s >= QUIET_S:
            self._drought.open_window(now, pace)
        elif pace.is_known:
            pace.is_confirmed = pace.is_confirmed or pace.is_windowed
            pace.set(now, pace.rate * MARGIN)
        else:
            accepted = max(1, pace.total - self._period_accepted)
            # A bucket of a minute's size was full at first, and a window held no more than this.
            pace.guess(now, max(accepted / max(now - self._period_at, 0.5), pace.since_full(now)))

    def on_failure(self, now: float) -> None:
        """A call failed in another way (timeout, 5xx). That is the breaker's business and no news here."""

    def __repr__(self) -> str:
        rate = f", {self._pace.rate * 60:,.0f} requests/min" if self._pace.is_known else ""
        return (
            f"Governor({self._climb.limit} in flight{rate}{', starting' if self._climb.is_starting else ''})"
        )
