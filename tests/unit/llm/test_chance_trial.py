"""Scattered refusals: suspected to be chance, tried with less asked, and what is gone on with afterwards."""

from __future__ import annotations

from random import Random

from engine.llm.chance_trial import ChanceTrial
from engine.llm.climb import Climb
from engine.llm.pace import Pace
from engine.llm.refusals import Refusals

LIMIT = 40


class Calls:
    """Ten calls a second at a limit in flight, of which some are refused at random."""

    def __init__(self) -> None:
        self.climb, self.pace, self.refusals = Climb(1_000), Pace(), Refusals()
        self.climb.limit = self.climb.base = LIMIT
        self.climb.is_starting = False
        self.trial = ChanceTrial(self.climb, self.pace, self.refusals)
        self.now = 100.0
        self.random = Random(3)

    def go_on(self, calls: int, share: float) -> bool:
        """Whether a trial began or ended within so many calls."""
        for _ in range(calls):
            self.now += 0.1
            self.pace.sent(self.now)
            self.refusals.sent(self.now)
            is_refused = self.random.random() < share
            if is_refused:
                self.pace.refused(self.now)
                self.refusals.refused(self.now)
            test = self.trial.test
            if test is not None:
                if is_refused and not self.trial.refused(test):
                    return True
                if self.trial.judge(self.now, test):
                    return True
            elif is_refused:
                self.trial.explains(self.now, LIMIT - 1, is_late=False, is_cut_first=False)
                if self.trial.test is not None:
                    return True
        return False


def test_as_many_refusals_with_less_asked_are_chance_and_the_limit_comes_back() -> None:
    calls = Calls()
    assert calls.go_on(1_000, 0.03)
    assert calls.climb.limit < LIMIT
    assert calls.go_on(2_000, 0.03)
    assert calls.trial.test is None
    assert calls.climb.limit == LIMIT
    assert calls.refusals.background > 0


def test_none_with_less_asked_were_the_load_and_the_limit_stays_below() -> None:
    calls = Calls()
    assert calls.go_on(1_000, 0.03)
    assert calls.go_on(2_000, 0.0)
    assert calls.trial.test is None
    assert calls.climb.limit < LIMIT or calls.pace.is_known
    assert calls.refusals.background == 0


def test_dense_refusals_end_a_trial_undecided() -> None:
    calls = Calls()
    assert calls.go_on(1_000, 0.03)
    assert calls.go_on(10, 1.0)
    assert calls.trial.test is None
    assert calls.refusals.background == 0


def test_a_known_rate_is_cut_before_anything_is_tried() -> None:
    calls = Calls()
    calls.pace.sent(calls.now)
    calls.refusals.sent(calls.now)
    calls.refusals.refused(calls.now)
    assert not calls.trial.explains(calls.now, LIMIT - 1, is_late=False, is_cut_first=True)
    assert calls.trial.explains(calls.now, LIMIT - 1, is_late=False, is_cut_first=False)
