"""All is used up, as in a window of a minute: nothing is sent for a while, then one call.

    refused                  held again, for twice as long
    served, or not refused   the end. Within the time that refusals take, since replies come much later
    a short one              a bucket that refills, or a limit in flight: the governor tells (`adaptive`)
    a long one               a window, and what it held is the rate; or an outage, where that is hardly any

Pure: no task, no timer, no clock. Times are monotonic seconds.
"""

from __future__ import annotations

import math

from engine.llm.pace import MARGIN, Pace

# A call that has not been refused so long after it was sent is served; at least, and by what refusals take.
PATIENCE_S = 0.1
FIRST_HOLD_S = 0.25
LONGEST_HOLD_S = 5.0
# What a server may ask for.
LONGEST_ASKED_S = 120.0
# The first calls of a run were few: a window that opens again lets only so many through at first.
FIRST_CALLS_S = 2.5
# Between two moments at which all was used up, so that what was accepted meanwhile says what is allowed.
EMPTIED_S = 5.0
# A window of a minute that holds fewer calls is not taken for one the first time.
FEWEST_IN_WINDOW = 20


class Drought:
    """Whether all is used up (`is_on`), and the one call that tries whether it still is (`is_probing`).

    `holds`: those since a call was last served, which make the next one longer.
    """

    __slots__ = (
        "_began_at", "_emptied", "_patience_s", "_probed_at", "_window", "holds", "is_on", "is_probing",
    )  # fmt: skip

    def __init__(self) -> None:
        self.is_on = self.is_probing = False
        self.holds = 0
        self._began_at = math.inf
        self._probed_at = math.inf
        # After which time the one call would have been refused.
        self._patience_s = PATIENCE_S
        # Calls accepted in the minute before the last hold.
        self._window = 0
        # When all was last used up, and how many had been accepted until then.
        self._emptied = (math.inf, 0)

    def sent(self, now: float) -> None:
        """The one call is sent."""
        self._probed_at, self.is_probing = now, True

    def refused(self, now: float, sent_at: float) -> None:
        """A call was refused, in a drought or out of it: so long does a refusal take."""
        self._patience_s = max(0.9 * self._patience_s, 3 * (now - sent_at), PATIENCE_S)

    def is_probe(self, sent_at: float) -> bool:
        """Whether a call that was sent then is the one that tries."""
        return self.is_probing and sent_at >= self._probed_at

    def patience_left_s(self, now: float) -> float:
        """Seconds until the one call counts as served; 0 or less = it does."""
        return self._probed_at + self._patience_s - now

    def hold(self, now: float, pace: Pace, retry_after_s: float | None) -> float:
        """Begin the drought, or go on with it; the seconds for which nothing is to be sent."""
        if not self.is_on:
            self.is_on, self._began_at = True, now
            since, accepted = self._emptied
            self._emptied = now, pace.total
            # Empty then and now, so what was accepted between is what came in.
            if pace.is_known and not pace.is_windowed and now - since >= EMPTIED_S:
                pace.bound((pace.total - accepted) / (now - since))
        self.is_probing = False
        self._window = pace.in_window
        hold_s = min(FIRST_HOLD_S * 2.0 ** min(self.holds, 10), LONGEST_HOLD_S)
        self.holds += 1
        asked_s = min(retry_after_s or 0.0, LONGEST_ASKED_S)
        hold_s = max(hold_s, asked_s)
        # The likeliest end of the first drought, if it is a window's. It opens as slowly as the run began.
        until_window_s = pace.window_ends_at() - now
        if 0 < until_window_s < hold_s:
            hold_s = max(until_window_s + FIRST_CALLS_S, asked_s)
        return hold_s

    def end(self, now: float) -> float:
        """A call is served again; the seconds that the drought lasted."""
        self.is_on = self.is_probing = False
        return now - self._began_at

    def open_window(self, now: float, pace: Pace) -> None:
        """Go on at the rate of the window that has opened.

        It is one of a minute, most likely, and was full at the last refusal: a sliding one held what had been
        accepted in the minute before. A fixed one may have held less, and is then used up a bit early.
        """
        window = self._window
        if window < FEWEST_IN_WINDOW:
            # An outage, more likely.
            pace.guess(now, window / 60)
            return
        pace.is_windowed = True
        pace.set(now, window / 60 * MARGIN, ceiling=window / 60)

    def __repr__(self) -> str:
        return f"Drought({f'{self.holds} holds' if self.is_on else 'none'})"
