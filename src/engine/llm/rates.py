"""The rates of one set of limits: requests, tokens, and input and output tokens where they are limited apart.

Each kind is a `Window` of its own. A send is charged to all of them at once, and settled in all of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from aiolimiter import AsyncLimiter

from engine.llm.window import BURST, WINDOW_S, Slot, Window


class Shares(NamedTuple):
    """What one send was counted in where input and output tokens are limited apart: those it was charged."""

    slot: Slot
    input: tuple[Window, Slot, int] | None
    output: tuple[Window, Slot, int] | None


# A tuple more for each call would be a tenth of what counting costs.
Charge = Slot | Shares


class Rates:
    """The sends of the last minute and the limits on them. Times must not go backwards.

    It counts also where there is no limit, so that what was sent before a change counts after it.
    """

    __slots__ = ("_input", "_output", "window")

    def __init__(self, now: float, counted: Iterable[Rates] = ()) -> None:
        """Start without limits, with the sends that `counted` have counted."""
        self.window = Window(now, None, None)
        self.window.count(now, [rates.window for rates in counted])
        self._input: Window | None = None
        self._output: Window | None = None

    def set_limits(
        self,
        now: float,
        *,
        requests_per_min: int | None,
        tokens_per_min: int | None,
        input_tokens_per_min: int | None,
        output_tokens_per_min: int | None,
    ) -> None:
        """Go on with other limits. Of what kind earlier tokens were is not known: all count as either."""
        self._input = self._split(now, self._input, input_tokens_per_min, "input_tokens")
        self._output = self._split(now, self._output, output_tokens_per_min, "output_tokens")
        self.window.set_limits(now, requests_per_min, tokens_per_min)

    @property
    def input_tokens_per_min(self) -> int | None:
        """The limit on input tokens alone."""
        return None if self._input is None else self._input.tokens_per_min

    @property
    def output_tokens_per_min(self) -> int | None:
        """The limit on output tokens alone."""
        return None if self._output is None else self._output.tokens_per_min

    @property
    def input_tokens(self) -> int:
        """Input tokens of the last minute; all of its tokens where they are not counted apart."""
        return self.window.tokens if self._input is None else self._input.tokens

    @property
    def output_tokens(self) -> int:
        """Output tokens of the last minute; all of its tokens where they are not counted apart."""
        return self.window.tokens if self._output is None else self._output.tokens

    def _split(self, now: float, window: Window | None, per_min: int | None, what: str) -> Window | None:
        """The window of one kind of tokens under a new limit; None without one, which costs nothing."""
        if per_min is None:
            return None
        if window is None:
            window = Window(now, None, per_min, what=what)
            window.count(now, [self.window])
        else:
            window.set_limits(now, None, per_min)
        return window

    def prefill(self, now: float, sends: Sequence[tuple[float, int]]) -> None:
        """Count sends of an earlier process: (age in seconds, tokens) each. Call before any `add`."""
        earlier = Window(now - WINDOW_S, None, None)
        for age_s, tokens in sorted(sends, reverse=True):
            if 0 <= age_s < WINDOW_S:
                earlier.add(now - age_s, tokens)
        for window in (self.window, self._input, self._output):
            if window is not None:
                window.count(now, [earlier])

    def refuse_impossible(self, tokens: int, output_tokens: int) -> None:
        """Raise ConfigError where no amount of waiting would help."""
        if self.window.tokens_per_min is not None:
            self.window.refuse_impossible(tokens)
        if self._input is not None:
            self._input.refuse_impossible(tokens - output_tokens)
        if self._output is not None:
            self._output.refuse_impossible(output_tokens)

    def wait_s(self, now: float, tokens: int, output_tokens: int) -> float:
        """Seconds until a request fits, as far as is known now; 0 = it fits."""
        wait_s = self.window.wait_s(now, tokens)
        if self._input is not None:
            wait_s = max(wait_s, self._input.wait_s(now, tokens - output_tokens))
        if self._output is not None:
            wait_s = max(wait_s, self._output.wait_s(now, output_tokens))
        return wait_s

    def add(self, now: float, tokens: int, output_tokens: int) -> Charge:
        """Count a request sent now, of whose `tokens` so many are for output."""
        slot = self.window.add(now, tokens)
        if self._input is None and self._output is None:
            return slot
        prompt, output = (
            None if window is None else (window, window.add(now, amount), amount)
            for window, amount in ((self._input, tokens - output_tokens), (self._output, output_tokens))
        )
        return Shares(slot, prompt, output)

    def settle(self, now: float, charge: Charge, tokens: int, used: int, used_output: int | None) -> int:
        """Return what of `tokens` was not used (negative: charge more); the most that any kind got back."""
        freed = tokens - used
        if isinstance(charge, Slot):
            if freed:
                self.window.give_back(now, charge, freed)
            return freed
        self.window.give_back(now, charge.slot, freed)
        output = used if used_output is None else min(used, used_output)
        # Where the kind is unknown, all of it counts as either.
        prompt = used - (0 if used_output is None else output)
        for share, spent in ((charge.input, prompt), (charge.output, output)):
            if share is not None:
                window, slot, amount = share
                window.give_back(now, slot, amount - spent)
                freed = max(freed, amount - spent)
        return freed

    @property
    def calls_per_min(self) -> float:
        """How many calls a minute the limits allow, by the tokens of the last one; infinite = unknown."""
        limit, requests = self.window.requests_per_min, self.window.requests
        least = math.inf if limit is None else float(limit)
        for window in (self.window, self._input, self._output):
            if window is not None and window.tokens_per_min is not None and window.tokens > 0:
                least = min(least, window.tokens_per_min * requests / window.tokens)
        return least

    def describe(self, now: float) -> list[str]:
        """The state of the last minute in words for a status line, one text for each limit."""
        windows = (self.window, self._input, self._output)
        return [part for window in windows if window is not None for part in window.describe(now)]

    def __repr__(self) -> str:
        return f"Rates({self.window.requests:,} requests, {self.window.tokens:,} tokens in the last minute)"


def request_pace(requests_per_min: int | None) -> AsyncLimiter | None:
    """What spreads requests over the minute; None without a limit."""
    if requests_per_min is None:
        return None
    # Alone, AsyncLimiter(1, 60 / n) is exact but loses each timer's lateness: 55-89 % of 60,000/min
    # were used. A burst of 1 % makes up for that, and the window keeps the whole exact.
    burst = max(1, int(requests_per_min * BURST))
    return AsyncLimiter(burst, WINDOW_S * burst / requests_per_min)
