"""The limit of calls in flight, climbed while throughput grows.

The limit doubles in each round at the start; later steps begin at 1 % and double while they go well.

A server that queues is told by its throughput, in calls/s and tokens/s, since replies get longer and shorter
in the course of a run (at the start, where all conversations are at the same turn, the better of both
counts). The start ends where doubling brings surely less than 15 %, at the smallest limit that was as good;
later a step up (a quarter) stays where throughput grows with at least the limit's power 1/4, and a step
down, tried where latency is stretched, where it costs less.

What refusals mean is the governor's business (`adaptive`), which cuts the limit and tells this of it.
"""

from __future__ import annotations

import math

from engine.llm.throughput import Sample

START = 6
WORTH_DOUBLING = 1.15
WORTH_DOUBLING_EXPONENT = math.log2(WORTH_DOUBLING)
# While the limit doubles, a queue's latency lags behind it, which flatters the last level by up to 4/3.
AS_GOOD = WORTH_DOUBLING * 4 / 3
WORTH_EXPONENT = 0.25
FIRST_STEP = 0.01
LARGEST_STEP = 0.25
# Smaller steps change throughput by less than can be measured.
MEASURED_STEP = 0.2
# Between steps that went wrong.
REST_S = 5.0
LONGEST_REST_S = 20.0
FEWEST_SAMPLES = 200
# Steps may cost one refusal in so many calls.
CALLS_PER_REFUSAL = 300
# Latency over the lowest seen: below it nothing queues, and a step down would only cost. Where calls are
# refused a queue is not expected.
STRETCHED = 1.4
STRETCHED_REFUSING = 2.0
# While calls become more and more, those that have come back are mostly short ones.
START_BIAS = 1.25


class Climb:
    """The in-flight limit of one endpoint, at most `most`: rounds, steps and what they brought.

    `base` is what was served through a whole round.
    """

    __slots__ = (
        "_before", "_credit", "_levels", "_most", "_rest_s", "_sample", "_skip", "_step",
        "_unloaded_per_token_s", "_unloaded_s", "base", "has_refused", "is_probing", "is_starting", "is_up",
        "limit", "rested_at",
    )  # fmt: skip

    def __init__(self, most: int) -> None:
        self._most = most
        self.limit = min(START, most)
        self.base = 0
        # Replies to wait for until those sent at the old limit are in; then the sample of this limit.
        self._skip = 0
        self._sample = Sample(self.limit)
        self._before: Sample | None = None
        self.is_starting = True
        self._levels: list[Sample] = []
        self.is_probing = False
        self.is_up = False
        self._step = LARGEST_STEP
        self.rested_at = -math.inf
        self._rest_s = REST_S
        # Refusals that steps may still cost.
        self._credit = 3.0
        self._unloaded_s = math.inf
        self._unloaded_per_token_s = math.inf
        self.has_refused = False

    @property
    def most(self) -> int:
        """The most calls that may ever be in flight."""
        return self._most

    @most.setter
    def most(self, most: int) -> None:
        self._most = most
        if self.limit > most:
            self.set_limit(most)

    def on_reply(self, now: float, *, latency_s: float, output_tokens: int) -> None:
        """A call brought a reply while nearly all of the limit was used."""
        self._credit = min(self._credit + 1 / CALLS_PER_REFUSAL, max(8.0, 0.05 * self.limit))
        if self._skip > 0:
            self._skip -= 1
            return
        sample = self._sample
        sample.add(latency_s, output_tokens)
        if self.is_starting:
            # One by one, so that the first refusal comes with few calls beyond the limit.
            self.limit = min(self.limit + 1, self._most)
            if sample.replies >= sample.limit:
                self._end_start_round()
        elif sample.replies >= self._samples_needed():
            self._end_round(now)

    def _samples_needed(self) -> int:
        if self.is_probing and not self._is_measured:
            return self.limit
        return max(2 * self.limit, FEWEST_SAMPLES)

    @property
    def _is_measured(self) -> bool:
        return not (self.is_up and self.has_refused and self._step < MEASURED_STEP)

    def _end_start_round(self) -> None:
        sample, before = self._sample, self._before
        self._note_unloaded(sample)
        if before is not None:
            doubt = math.sqrt(sample.variance() + before.variance())
            worth = (sample.limit / before.limit) ** WORTH_DOUBLING_EXPONENT
            if sample.best_gain_over(before) * (1 + 2 * doubt) < worth:
                self.is_starting = False
                good = (level for level in self._levels if sample.best_gain_over(level) < AS_GOOD)
                self.set_limit(next(good, before).limit)
                self.base = self.limit
                return
        self.base = sample.limit
        if self.limit == sample.limit:
            self.is_starting = False  # it is at its most
            self.set_limit(self.limit)
            return
        self._levels.append(sample)
        self._before = sample
        self._sample = Sample(self.limit)

    def _end_round(self, now: float) -> None:
        """Decide on the step under test, or begin the next one: a round has gone by without a refusal."""
        sample, before = self._sample, self._before
        self._note_unloaded(sample)
        if not self.is_probing or before is None:
            self.base = self.limit
            has_rested = now - self.rested_at >= self._rest_s
            if self.has_refused:
                # A step of what refusals it may cost, rather than none.
                self._step = max(FIRST_STEP, min(self._step, self._credit / self.limit))
            if has_rested and (not self.has_refused or self._credit >= self.limit * self._step):
                self._begin_step(is_up=not self.is_up or not self._is_stretched(sample))
            elif sample.replies >= 4 * max(self.limit, FEWEST_SAMPLES):
                self._sample = Sample(self.limit)
            return
        self.is_probing = False
        worth = (sample.limit / before.limit) ** WORTH_EXPONENT
        if not self._is_measured or sample.gain_over(before) >= worth:
            self.base = self.limit
            self._rest_s = REST_S
            if self.is_up:
                self._step = min(2 * self._step, LARGEST_STEP)
            self._begin_step(is_up=self.is_up)
        else:
            self.rest(now)
            self.set_limit(before.limit)
            self.base = self.limit

    def _begin_step(self, *, is_up: bool) -> None:
        if is_up and self.limit >= self._most:
            if not self._is_stretched(self._sample):
                return
            is_up = False
        self._before = self._sample
        self.is_probing = True
        self.is_up = is_up
        if is_up:
            self.set_limit(self.limit + max(1, int(self.limit * self._step)))
        else:
            self.set_limit(int(self.limit / (1 + LARGEST_STEP)))
            self.base = self.limit

    def rest(self, now: float) -> None:
        """A step went wrong: wait longer and longer before the next one."""
        self.rested_at = now
        self._rest_s = min(self._rest_s * 1.5, LONGEST_REST_S)

    def _note_unloaded(self, sample: Sample) -> None:
        # The least of many noisy means would be too low: each counts with its doubt.
        surely = (1 + 2 * math.sqrt(sample.variance())) * sample.latency_s
        if self.is_starting:
            surely *= START_BIAS
        self._unloaded_s = min(self._unloaded_s, surely / sample.replies)
        if sample.tokens:
            self._unloaded_per_token_s = min(self._unloaded_per_token_s, surely / sample.tokens)

    def _is_stretched(self, sample: Sample) -> bool:
        factor = STRETCHED_REFUSING if self.has_refused else STRETCHED
        return sample.latency_s > factor * max(
            self._unloaded_s * sample.replies,
            self._unloaded_per_token_s * sample.tokens if sample.tokens else 0,
        )

    def set_limit(self, limit: int) -> None:
        """Go on at `limit`; replies to calls sent before that tell nothing of it."""
        in_air = self.limit
        self.limit = min(max(limit, 1), self._most)
        self._skip = max(self.limit, in_air)
        self._sample = Sample(self.limit)

    def cut(self, limit: int) -> None:
        """End the start or the step under test, at no more than `limit`."""
        self.is_starting = False
        self.is_probing = False
        self.set_limit(min(self.limit, limit))
        self.base = min(self.base, self.limit)

    def stand(self, now: float) -> None:
        """What was served is refused, which no step is to blame for: take none for a while."""
        self.rested_at, self._rest_s = now, REST_S

    def pay(self, refusals: float) -> None:
        """A step under test has cost so many refusals."""
        self._credit -= refusals

    def begin_small(self) -> None:
        """Let the next steps be small ones."""
        self._step = FIRST_STEP

    def begin_again(self, *, is_starting: bool) -> None:
        """Nothing was wrong with the limit: forget what was compared, and climb on."""
        self.has_refused = False
        self.is_starting = is_starting
        self._before, self._levels = None, []

    def __repr__(self) -> str:
        return f"Climb({self.limit} in flight{', starting' if self.is_starting else ''})"
