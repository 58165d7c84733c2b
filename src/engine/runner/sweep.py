"""Measures an endpoint: the main job's conversations at rising concurrency, and where more stops paying.

One run over all levels, no barrier between them: the number of conversations in flight is raised, what is in
the air settles, and then only calls that end within the window count. Nothing is journalled, since it is the
endpoint that is measured. Names are the field's: E2E latency is a whole call's, from the request to the last
byte of its reply; a goodput counts replies alone, refusals are listed apart. Where replies are streamed, TTFT
is the time to the first piece of one, and TPOT what each further token took.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from itertools import count
from typing import NamedTuple

import anyio

from engine.clock import Clock
from engine.errors import CallFailed, EngineError
from engine.journal.inputs import RunInputs
from engine.llm.budget import Budget
from engine.llm.caller import Caller
from engine.llm.drain import Drain, Draining
from engine.llm.exchange import Exchange
from engine.llm.pool import Model, Placement
from engine.llm.transport import RawReply, Transport
from engine.runner.scheduler import Concurrency, run_jobs
from engine.schema.call import NO_USAGE, CallKey, CallKind, Usage
from engine.schema.conversation import EndReason, Role
from engine.schema.job import Job

# More in flight is not worth it where it brings less than this.
GAIN = 1.05
# The suggested concurrency is the smallest that reaches this share of the best goodput.
NEARLY_BEST = 0.95
MOST_REFUSED = 0.01
_SETTLE_S = 1.0
_LONGEST_SETTLE_S = 60.0


class Quantiles(NamedTuple):
    """Of times, in seconds."""

    p50: float
    p95: float
    p99: float


@dataclass(frozen=True, slots=True)
class Level:
    """What was seen with `concurrency` conversations in flight, over `seconds`.

    Latencies are E2E, in seconds; `tokens_per_s` counts completion tokens; `refused` counts tries that
    brought no reply, by reason. `ttft_s` and `tpot_s` are None where no reply was streamed.
    """

    concurrency: int
    seconds: float
    calls: int
    calls_per_s: float
    tokens_per_s: float
    prompt_tokens: int
    cached_tokens: int
    p50_s: float
    p95_s: float
    p99_s: float
    refused: Mapping[str, int]
    ttft_s: Quantiles | None = None
    tpot_s: Quantiles | None = None

    @property
    def refused_share(self) -> float:
        """Share of all tries that brought no reply."""
        tries = self.calls + sum(self.refused.values())
        return sum(self.refused.values()) / tries if tries else 0.0


# Of the reply that this task has got last: the caller hands the journal a reply's bytes and its whole time.
_FIRST_S: ContextVar[float | None] = ContextVar("first_s", default=None)


class _NotesFirstPieces:
    """A transport that leaves behind when a reply's first piece came."""

    def __init__(self, below: Transport) -> None:
        self._below = below

    async def post(self, url: str, headers: Mapping[str, str], body: bytes, *, deadline_s: float) -> RawReply:
        raw = await self._below.post(url, headers, body, deadline_s=deadline_s)
        _FIRST_S.set(raw.first_s)
        return raw

    async def aclose(self) -> None:
        await self._below.aclose()


@dataclass(slots=True)
class _Window:
    """The calls that end while it is open; the caller's journal, which keeps nothing."""

    latencies_s: list[float] = field(default_factory=list)
    firsts_s: list[float] = field(default_factory=list)
    per_token_s: list[float] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)
    is_open: bool = False
    calls: int = 0

    def open(self) -> None:
        """Count from now on, from nothing."""
        self.latencies_s, self.firsts_s, self.per_token_s = [], [], []
        self.usage, self.is_open = Usage(), True

    async def append_reply(
        self, key: CallKey, *, request_digest: bytes, reply: bytes, endpoint: str, tries: int, sent_at: float,
        latency_s: float, usage: Usage,
    ) -> int:  # fmt: skip
        self.calls += 1
        if self.is_open:
            self.latencies_s.append(latency_s)
            self.usage = self.usage.plus(usage)
            first_s, further = _FIRST_S.get(), usage.completion_tokens - 1
            if first_s is not None:
                self.firsts_s.append(first_s)
                if further > 0:
                    self.per_token_s.append((latency_s - first_s) / further)
        return self.calls

    def note_failure(
        self, key: CallKey, kind: CallKind, *, request_digest: bytes, note: bytes, endpoint: str, tries: int,
        sent_at: float, latency_s: float, usage: Usage = NO_USAGE,
    ) -> None:  # fmt: skip
        return None


@dataclass(frozen=True, slots=True)
class SweepResult:
    """The levels in order. `stopped_by` is what ended the sweep early: an error, or None."""

    levels: tuple[Level, ...]
    calls: int
    stopped_by: EngineError | None = None


async def sweep(
    inputs: RunInputs,
    models: Mapping[Role, Model],
    levels: Sequence[int],
    *,
    seconds: float,
    clock: Clock,
    drain: Drain,
    most_calls: int | None = None,
    budget: Budget | None = None,
    on_level: Callable[[Level], None] = lambda level: None,
) -> SweepResult:
    """Hold the plan's conversations, again and again, at each of `levels` for `seconds`.

    Ends early where two levels in a row bring less than 5 % more goodput, where more than 1 % of the tries
    are refused, after `most_calls` replies, where `budget` is used up, or when `drain` is requested. The
    calls in the air then land.
    """
    window, found = _Window(), list[Level]()
    config = inputs.config
    caller = Caller(
        window, clock, drain, run_seed=config.seed, attempts=config.retry_attempts,
        give_up_after_s=config.unreachable_after_s,
    )  # fmt: skip
    caller.budget = budget
    for endpoint in {each for model in models.values() for each in model.pool.endpoints}:
        endpoint.transport = _NotesFirstPieces(endpoint.transport)
    concurrency = Concurrency(levels[0])

    async def hold(job: Job) -> None:
        exchange = Exchange(job, inputs.prompts(job), inputs.rules(job))
        placements = {side: Placement() for side in models}
        try:
            while (question := exchange.question) is not None:
                answer = await caller.ask(
                    question.key, models[question.side], question.messages, cache_key=question.cache_key,
                    placement=placements[question.side],
                )  # fmt: skip
                exchange.receive(answer.reply, answer.seq)
        except CallFailed:
            exchange.end(EndReason.FAILED)
        finally:
            for placement in placements.values():
                placement.leave()

    async def measure() -> None:
        for level in levels:
            concurrency.change(level)
            settle_s = min(max(_SETTLE_S, 2 * found[-1].p95_s if found else 0.0), _LONGEST_SETTLE_S)
            with drain.interruptible():
                await clock.sleep(settle_s)
                before, started = dict(caller.counts.retries), clock.now()
                window.open()
                await clock.sleep(seconds)
                # Too few calls say nothing: wait for as many as are in flight, within reason.
                while len(window.latencies_s) < level and clock.now() - started < 10 * seconds:
                    await clock.sleep(seconds / 4)
                window.is_open = False
            seen = _level(level, clock.now() - started, window, before, caller.counts.retries)
            found.append(seen)
            on_level(seen)
            if has_passed_the_knee(found) or (most_calls is not None and window.calls >= most_calls):
                break
        drain.request()

    async with anyio.create_task_group() as group:
        group.start_soon(_until_drained, measure)
        await run_jobs(_endless(inputs), hold, concurrency=concurrency, drain=drain, drain_s=config.drain_s)
        group.cancel_scope.cancel()
    return SweepResult(tuple(found), window.calls, drain.cause)


async def _until_drained(work: Callable[[], Awaitable[None]]) -> None:
    with suppress(Draining):
        await work()


async def _endless(inputs: RunInputs) -> AsyncIterator[Job]:
    """The plan's jobs, then the same as further repeats: other ids, so no request comes twice."""
    for round_number in count():
        for job in inputs.plan.jobs():
            yield job._replace(repeat=job.repeat + round_number * inputs.config.repeat)


def _level(
    concurrency: int, seconds: float, window: _Window, before: Mapping[str, int], after: Mapping[str, int]
) -> Level:
    latencies = sorted(window.latencies_s)
    calls = len(latencies)
    refused = {reason: n - before.get(reason, 0) for reason, n in after.items() if n > before.get(reason, 0)}
    return Level(
        concurrency, seconds, calls, calls / seconds, window.usage.completion_tokens / seconds,
        window.usage.prompt_tokens, window.usage.cached_tokens, _quantile(latencies, 0.5),
        _quantile(latencies, 0.95), _quantile(latencies, 0.99), refused, _quantiles(window.firsts_s),
        _quantiles(window.per_token_s),
    )  # fmt: skip


def _quantiles(values: Sequence[float]) -> Quantiles | None:
    ordered = sorted(values)
    return Quantiles(*(_quantile(ordered, share) for share in (0.5, 0.95, 0.99))) if ordered else None


def _quantile(ordered: Sequence[float], share: float) -> float:
    """The nearest-rank quantile; 0 of nothing."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def has_passed_the_knee(levels: Sequence[Level]) -> bool:
    """Whether a higher concurrency need not be tried."""
    if levels[-1].refused_share > MOST_REFUSED:
        return True
    if len(levels) < 3:
        return False
    best_before = max(level.calls_per_s for level in levels[:-2])
    return all(level.calls_per_s < GAIN * best_before for level in levels[-2:])


def suggested(levels: Sequence[Level]) -> Level | None:
    """The smallest concurrency that nearly reaches the best goodput; None where all are refused too often."""
    usable = [level for level in levels if level.calls and level.refused_share <= MOST_REFUSED]
    if not usable:
        return None
    best = max(level.calls_per_s for level in usable)
    return next(level for level in usable if level.calls_per_s >= NEARLY_BEST * best)
