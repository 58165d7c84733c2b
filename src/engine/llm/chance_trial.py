"""Whether scattered refusals are chance, rather than a limit: suspected, then tried with less asked.

While nothing is decided a refusal changes nothing; while the limit still doubles nothing is tried, since a
limit would show at once. The trial goes on with a bit less than was served, until the sequential test of
`refusals` says:

    as many        chance: it is the background from here on, and all goes on as before. A large share is no
                   chance before it stayed the same at half of the load as well. Beside a rate a limit that
                   fell may be behind it: so it is looked at again now and then, at half of the rate
    hardly any     the load: a rate, where so few calls are served that one in flight more or less is too
                   coarse, or a limit in flight
    dense          a limit after all, whatever it is, and the governor's business (`adaptive`)

Pure: no task, no timer, no clock. Each event is constant work.
"""

from __future__ import annotations

import math

from engine.llm.climb import Climb
from engine.llm.pace import MARGIN, Pace
from engine.llm.refusals import LOAD, Refusals, Trial

# Calls a second, below which a step of one call in flight is too coarse to hold a rate.
SLOW = 15.0
# The largest share that is taken for chance while the limit still doubles.
MOST_AT_START = 0.06
# So large a share is no chance before it stays the same at half of the load.
DOUBTFUL = 0.08
# Before, few calls are in flight, and a trial of half of them would take long.
EARLY_S = 30.0
# Such a share of refusals is worth to look again whether it is chance; first after so long, then after twice
# as long each time.
WORTH_A_CHECK = 0.04
FIRST_CHECK_S = 15.0
LONGEST_CHECK_S = 600.0
SURELY = 8.0
# Chance does not grow: so many times the share before is the most that a trial may find.
MOST_ABOVE = 3.0
# A few scattered refusals tell no greater share, and a trial is to ask for enough to see something.
MOST_SCATTERED = 0.5


class ChanceTrial:
    """The suspicion of chance and its trial, which sets the limits of the `climb` and the `pace`.

    `test`: of the trial that is on. `start_was_cut`: refusals ended the start, to go on if they were chance.
    """

    __slots__ = (
        "_check_after_s", "_check_at", "_climb", "_go_on_with", "_is_check", "_is_halved", "_pace",
        "_refusals", "_refused_with", "_story_from", "_tried_story", "start_was_cut", "test",
    )  # fmt: skip

    def __init__(self, climb: Climb, pace: Pace, refusals: Refusals) -> None:
        self._climb = climb
        self._pace = pace
        self._refusals = refusals
        self.test: Trial | None = None
        self._is_halved = self._is_check = False
        # When chance that was found is to be looked at again, and how long after that.
        self._check_at, self._check_after_s = math.inf, FIRST_CHECK_S
        # The limit and the rate to go on with where chance is found.
        self._go_on_with = (climb.limit, math.inf)
        # When the story of scattered refusals began, and how many calls had been accepted until then.
        self._story_from = (0.0, 0)
        # Of the story that is tried: how many seconds it took, and how many were accepted meanwhile.
        self._tried_story = (0.0, 0)
        # In service at the first of them.
        self._refused_with = 0
        self.start_was_cut = False

    def explains(self, now: float, in_service: int, *, is_late: bool, is_cut_first: bool) -> bool:
        """Whether a refusal is to change nothing, while no trial is on: it is chance, or may be.

        `is_late`: it was under way when the last one came. `is_cut_first`: a known rate is to be tried
        slower before a trial.
        """
        climb, refusals = self._climb, self._refusals
        if refusals.is_explained():
            is_rate = self._pace.is_known and not self._pace.is_windowed
            if is_rate and now >= self._check_at and refusals.share >= WORTH_A_CHECK:
                self._check(now)
            return True
        is_step = climb.is_probing and climb.is_up
        if (is_step and in_service >= climb.base) or (is_late and not refusals.is_dense):
            refusals.drop_last()  # the step is to blame, or it was under way
            return False
        if refusals.is_first:
            self._go_on_with = climb.limit, self._pace.rate
            self._refused_with = in_service
            self._story_from = now, self._pace.total
        if refusals.is_dense or self._pace.in_window == 0:
            return False
        if climb.is_starting:
            # It doubles: a limit would show at once, and what stays alike meanwhile is chance.
            if refusals.are_enough and in_service > 1.3 * self._refused_with:
                refusals.settle_background(min(refusals.share, MOST_AT_START))
                self._check_at, self._check_after_s = now + FIRST_CHECK_S, FIRST_CHECK_S
            return True
        if is_cut_first:
            return False
        if refusals.are_enough:
            self._begin(now, in_service)
            return True
        return in_service < climb.base or in_service == 0

    def _check(self, now: float) -> None:
        """Ask for half of it once more: what was chance then may be a limit that fell since."""
        climb, pace, refusals = self._climb, self._pace, self._refusals
        self.test = Trial(refusals.share, refusals.sent_total, sure=SURELY)
        self._is_halved = self._is_check = True
        self._go_on_with = climb.limit, pace.rate
        climb.is_probing = False
        pace.set(now, pace.rate / 2)
        self._check_after_s = min(2 * self._check_after_s, LONGEST_CHECK_S)
        self._check_at = now + self._check_after_s

    def _begin(self, now: float, in_service: int) -> None:
        """Ask for less from now on."""
        climb, pace, refusals = self._climb, self._pace, self._refusals
        share = min(refusals.share, MOST_SCATTERED)
        self.test = Trial(share, refusals.sent_total)
        climb.is_probing = False
        self._tried_story = self._told(now)
        limit, rate = self._go_on_with
        if math.isinf(rate) and pace.is_known:
            rate = pace.rate  # it has been found since
        self._go_on_with = max(limit, climb.limit), max(rate, pace.rate)
        load = LOAD * (1 - share)
        if pace.is_known:
            pace.rate = min(pace.rate * load, pace.recent_rate(now, 10) * LOAD)
        else:
            climb.set_limit(int(min(climb.limit, in_service + 1) * load))

    def _told(self, now: float) -> tuple[float, int]:
        """How many seconds the story has taken until now, and how many calls were accepted meanwhile."""
        since, accepted = self._story_from
        return now - since, self._pace.total - accepted

    def refused(self, test: Trial) -> bool:
        """A call of the trial was refused; False where that ended it: a limit after all."""
        test.refuse()
        if self._is_check or not self._refusals.is_dense:
            return True
        self.test, self._is_halved = None, False
        return False

    def judge(self, now: float, test: Trial) -> bool:
        """End the trial if its `test` is decided; whether it has ended."""
        climb, pace, refusals = self._climb, self._pace, self._refusals
        is_chance = test.verdict(refusals.sent_total)
        if is_chance is None:
            return False
        found = test.found_share(refusals.sent_total)
        if is_chance and found >= DOUBTFUL and not (self._is_halved or now - pace.began_at < EARLY_S):
            # It may still have been too much for a limit that fell: once more, with half of it.
            self._is_halved = True
            self.test = Trial(found, refusals.sent_total)
            if pace.is_known:
                pace.set(now, pace.rate / 2)
            else:
                climb.set_limit(climb.limit // 2)
            return False
        was_halved, self.test, self._is_halved = self._is_halved, None, False
        was_check, self._is_check = self._is_check, False
        if is_chance and was_check:
            limit, rate = self._go_on_with
            climb.set_limit(limit)
            pace.guess(now, rate)  # and nothing is known of it
        elif is_chance:
            self._check_at, self._check_after_s = now + FIRST_CHECK_S, FIRST_CHECK_S
            self._go_on(now, min(found, MOST_ABOVE * test.share))
        elif was_halved:
            # It lies between the loads of the two trials.
            if pace.is_known:
                pace.set(now, 1.5 * pace.rate, ceiling=2 * pace.rate)
            else:
                climb.set_limit(round(1.5 * climb.limit))
        else:
            self._limit(now, test.share)
        if was_check and not is_chance:
            # What is left at half of the load is chance still.
            refusals.settle_background(found)
        refusals.forget()
        climb.base = climb.limit
        return True

    def _go_on(self, now: float, share: float) -> None:
        """It was chance: let all be as it was before."""
        limit, rate = self._go_on_with
        self._refusals.settle_background(share)
        if self._pace.is_known:
            self._pace.set(now, self._pace.rate, ceiling=rate)
        self._climb.set_limit(limit)
        is_early = now - self._pace.began_at < EARLY_S
        self._climb.begin_again(is_starting=self.start_was_cut and is_early)
        self.start_was_cut = False

    def _limit(self, now: float, share: float) -> None:
        """It was the load: a rate, or what was in service less the share that was refused."""
        pace, (limit, rate) = self._pace, self._go_on_with
        if pace.is_known:
            pace.set(now, pace.rate, ceiling=min(rate, pace.rate / LOAD))
            return
        seconds, accepted = self._tried_story
        if _is_slow(seconds, accepted):
            pace.set(now, accepted / seconds * MARGIN, ceiling=accepted / seconds)
            self._climb.set_limit(limit)
        else:
            self._climb.set_limit(round(limit * (1 - share) * MARGIN))

    def is_slow_rate(self, now: float, in_service: int) -> bool:
        """Whether refusals go on, without a trial, at a rate that a few in flight are too coarse to hold."""
        return (
            not self._pace.is_known
            and self._refusals.are_enough
            and not self._climb.is_starting
            and in_service <= self._refused_with / 2
            and _is_slow(*self._told(now))
        )

    def hold_slow_rate(self, now: float) -> None:
        """Let that rate answer from here on."""
        seconds, accepted = self._told(now)
        rate = accepted / seconds
        self._pace.set(now, rate * MARGIN, ceiling=rate)
        self._climb.set_limit(max(self._climb.limit, self._go_on_with[0]))
        self._refusals.forget()

    def __repr__(self) -> str:
        return f"ChanceTrial({self.test or 'none on'}{', halved' if self._is_halved else ''})"


def _is_slow(seconds: float, accepted: int) -> bool:
    """Whether so many calls accepted are enough to tell their rate, and it is a slow one."""
    return seconds >= 1 and 10 <= accepted <= SLOW * seconds
