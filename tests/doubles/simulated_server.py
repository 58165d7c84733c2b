"""A closed loop of callers, a governor and a server with a limit, as discrete events: minutes take seconds.

No event loop and no tasks: one heap of events. The callers behave as the engine's do: first come, first
served, back-off as in `engine.wire.backoff`, back to the end of the queue afterwards.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from random import Random

from engine.llm.adaptive import Governor
from engine.wire.backoff import throttle_wait_s

# What a refusal takes on its way; real ones take 10-100 ms.
REFUSAL_S = 0.02


class Server:
    """Serves whatever comes, at once. The others differ in what they refuse and in how long they take."""

    hint_s: float | None = None

    def __init__(self) -> None:
        self.in_service = 0

    def accepts(self, now: float) -> bool:
        return True

    def stretch(self) -> float:
        """By how much the work of a call that comes now is slower than alone."""
        return 1.0

    def serve(self, now: float, work_s: float) -> float:
        """Begin an accepted call; the time at which it ends."""
        return now + work_s * self.stretch()


class InFlightCap(Server):
    """At most `most` in flight, 429 above."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most

    def accepts(self, now: float) -> bool:
        return self.in_service < self.most


class Bucket(Server):
    """A token bucket: `per_min` calls a minute, `holds_s` seconds' worth of them stored."""

    def __init__(self, per_min: float, holds_s: float, *, has_hint: bool = False) -> None:
        super().__init__()
        self.per_min, self.holds_s, self._has_hint = per_min, holds_s, has_hint
        self._level, self._at = math.inf, 0.0

    def accepts(self, now: float) -> bool:
        rate = self.per_min / 60
        self._level = min(self._level + (now - self._at) * rate, max(1.0, rate * self.holds_s))
        self._at = now
        self.hint_s = float(math.ceil((1 - self._level) / rate)) if self._has_hint else None
        if self._level < 1:
            return False
        self._level -= 1
        return True


class SlidingWindow(Server):
    """At most `per_min` accepted calls in any 60 s."""

    def __init__(self, per_min: int, *, has_hint: bool = False) -> None:
        super().__init__()
        self.per_min, self._has_hint = per_min, has_hint
        self._times: deque[float] = deque()

    def accepts(self, now: float) -> bool:
        while self._times and self._times[0] <= now - 60:
            self._times.popleft()
        over = len(self._times) - self.per_min
        self.hint_s = float(math.ceil(self._times[over] + 60 - now)) if self._has_hint and over >= 0 else None
        if over >= 0:
            return False
        self._times.append(now)
        return True


class FixedWindow(Server):
    """At most `per_min` accepted calls in each minute; a minute begins at `phase_s`."""

    def __init__(self, per_min: int, *, phase_s: float = 0.0, has_hint: bool = False) -> None:
        super().__init__()
        self.per_min, self._phase_s, self._has_hint = per_min, phase_s, has_hint
        self._minute, self._count = -1, 0

    def accepts(self, now: float) -> bool:
        minute = int((now + 60 - self._phase_s) // 60)
        if minute != self._minute:
            self._minute, self._count = minute, 0
        is_over = self._count >= self.per_min
        next_at = minute * 60 + self._phase_s
        self.hint_s = float(math.ceil(next_at - now)) if self._has_hint and is_over else None
        self._count += not is_over
        return not is_over


class Flaky(Server):
    """Refuses a `share` of the calls at random, whatever the load; the others go to `inner`."""

    def __init__(self, share: float, inner: Server | None = None, seed: int = 7) -> None:
        super().__init__()
        self.share, self._inner = share, inner or Server()
        self._random = Random(seed)

    def accepts(self, now: float) -> bool:
        self._inner.in_service = self.in_service
        return self._random.random() >= self.share and self._inner.accepts(now)

    def serve(self, now: float, work_s: float) -> float:
        self._inner.in_service = self.in_service
        return self._inner.serve(now, work_s)


class Queue(Server):
    """Works on `width` calls at full speed; the others wait their turn. Refuses nothing."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self._free_at = [0.0] * width

    def set_width(self, width: int) -> None:
        """Change the number of calls at full speed; calls that have come keep their ends."""
        latest_first = sorted(self._free_at, reverse=True) + [0.0] * width
        self._free_at = sorted(latest_first[:width])

    def serve(self, now: float, work_s: float) -> float:
        ends_at = max(now, self._free_at[0]) + work_s
        heapq.heapreplace(self._free_at, ends_at)
        return ends_at


class Gentle(Server):
    """Slows down with each call in service: latency = r0 * (1 + n / `half`)."""

    def __init__(self, half: int) -> None:
        super().__init__()
        self.half = half

    def stretch(self) -> float:
        return 1 + self.in_service / self.half


def fixed(seconds: float) -> Callable[[Random], float]:
    return lambda _random: seconds


def lognormal(median_s: float, sigma: float = 0.5) -> Callable[[Random], float]:
    return lambda random: median_s * math.exp(random.gauss(0, sigma))


@dataclass(slots=True)
class Seen:
    """What happened between two times."""

    seconds: float
    replies: int
    refusals: int
    latencies_s: list[float]

    @property
    def rate(self) -> float:
        return self.replies / self.seconds

    @property
    def refused_share(self) -> float:
        return self.refusals / max(1, self.replies + self.refusals)

    @property
    def p95_s(self) -> float:
        return sorted(self.latencies_s)[int(0.95 * len(self.latencies_s))]


@dataclass(slots=True)
class Loop:
    """`callers` that ask again as soon as they are answered, through `governor`, at `server`.

    `is_governed` false: nothing but the number of callers limits what is sent.
    """

    server: Server
    callers: int
    work: Callable[[Random], float]
    seed: int = 0
    # Output tokens per second of work; None: 100 tokens, whatever the work.
    tokens_per_s: float | None = None
    is_governed: bool = True
    governor: Governor = field(init=False)
    now: float = 0.0
    in_flight: int = 0
    replies: list[tuple[float, float]] = field(default_factory=list)
    refusals: list[float] = field(default_factory=list)
    _random: Random = field(init=False)
    _jitter: Random = field(init=False)
    _events: list[tuple[float, int, str, int, float]] = field(default_factory=list)
    _numbers: count[int] = field(default_factory=count)
    _waiting: deque[int] = field(default_factory=deque)
    _tries: dict[int, int] = field(default_factory=dict)
    _work_s: dict[int, float] = field(default_factory=dict)
    _pump_at: float = math.inf
    _active: int = 0

    def __post_init__(self) -> None:
        self.governor = Governor(self.callers)
        self._random, self._jitter = Random(self.seed), Random(self.seed + 1)
        self.set_callers(self.callers)

    def set_callers(self, callers: int) -> None:
        """Let so many ask from now on; those that are too many stop after their reply."""
        self._waiting.extend(range(self._active, callers))
        self._active = callers

    def run(self, until: float) -> Seen:
        """Go on to the time `until`; what happened meanwhile."""
        since, replies, refusals = self.now, len(self.replies), len(self.refusals)
        self._pump()
        while self._events and self._events[0][0] <= until:
            self.now, _, kind, caller, sent_at = heapq.heappop(self._events)
            if kind == "pump":
                self._pump_at = math.inf
            elif kind == "retry":
                self._waiting.append(caller)
            elif kind == "reply":
                self._reply(caller, sent_at)
            else:
                self._refuse(caller, sent_at)
            self._pump()
        self.now = until
        return Seen(
            until - since,
            len(self.replies) - replies,
            len(self.refusals) - refusals,
            [latency_s for _, latency_s in self.replies[replies:]],
        )

    def _pump(self) -> None:
        governor = self.governor
        while self._waiting and (not self.is_governed or self.in_flight < governor.in_flight_limit):
            wait_s = governor.wait_s(self.now) if self.is_governed else 0.0
            if wait_s > 0:
                at = self.now + max(wait_s, 0.001)
                if at < self._pump_at:
                    self._pump_at = at
                    self._push(at, "pump", -1, 0.0)
                return
            self._send(self._waiting.popleft())

    def _send(self, caller: int) -> None:
        self.governor.on_send(self.now)
        self.in_flight += 1
        if self.server.accepts(self.now):
            work_s = self._work_s[caller] = self.work(self._random)
            ends_at = self.server.serve(self.now, work_s)
            self.server.in_service += 1
            self._push(ends_at, "reply", caller, self.now)
        else:
            self._push(self.now + REFUSAL_S, "refuse", caller, self.now)

    def _reply(self, caller: int, sent_at: float) -> None:
        self.in_flight -= 1
        self.server.in_service -= 1
        self._tries.pop(caller, None)
        latency_s = self.now - sent_at
        self.replies.append((self.now, latency_s))
        limit = self.governor.in_flight_limit
        self.governor.on_reply(
            self.now,
            latency_s=latency_s,
            output_tokens=100 if self.tokens_per_s is None else int(self.tokens_per_s * self._work_s[caller]),
            in_service=self.in_flight,
            is_saturated=bool(self._waiting) or self.in_flight >= 0.8 * limit,
        )
        if caller < self._active:
            self._waiting.append(caller)

    def _refuse(self, caller: int, sent_at: float) -> None:
        self.in_flight -= 1
        self.refusals.append(self.now)
        hint_s = self.server.hint_s
        self.governor.on_throttle(self.now, sent_at=sent_at, in_service=self.in_flight, retry_after_s=hint_s)
        tries = self._tries.get(caller, 0)
        self._tries[caller] = tries + 1
        self._push(self.now + throttle_wait_s(tries, hint_s, self._jitter), "retry", caller, 0.0)

    def _push(self, at: float, kind: str, caller: int, sent_at: float) -> None:
        heapq.heappush(self._events, (at, next(self._numbers), kind, caller, sent_at))
