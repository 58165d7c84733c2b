"""The one place through which every LLM call goes.

    journal look-up -> limits -> HTTP -> decode -> retry or not -> journal commit -> reply

A recorded reply is returned without a request (P2). A new one is on disk before anyone sees it (P1). No
slot is held while backing off (P4), no capacity means waiting (P5), and a failed call is an error for its
own conversation alone (P6). The request is a function of the key and the messages (P8).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Protocol

from engine.clock import Clock
from engine.errors import (
    CallFailed,
    ConfigError,
    EngineError,
    ServerFailed,
    Stopped,
    TransportFailed,
)
from engine.llm.budget import Budget
from engine.llm.drain import Drain, Draining
from engine.llm.endpoint import Endpoint
from engine.llm.history import NO_HISTORY, History
from engine.llm.pool import EndpointPool, Model, Placement, Route
from engine.llm.stopping import is_hopeless, stopping_error
from engine.logs import SECRETS
from engine.schema.call import CUT_OFF, NO_USAGE, CallKey, CallKind, Reply, Usage, call_seed
from engine.wire.backoff import StopRun, Tries, Wait, decide
from engine.wire.formats import decode_recorded
from engine.wire.message_log import MessageLog

# Bytes of JSON per token, rounded down: the reservation is to be an upper bound in English and Chinese.
_BYTES_PER_TOKEN = 3
# An endpoint that has never answered is more likely mistyped than restarting.
_NEVER_ANSWERED_S = 5.0


class CallStore(Protocol):
    """What the caller needs of the journal."""

    async def append_reply(
        self,
        key: CallKey,
        *,
        request_digest: bytes,
        reply: bytes,
        endpoint: str,
        tries: int,
        sent_at: float,
        latency_s: float,
        usage: Usage,
    ) -> int: ...

    def note_failure(
        self,
        key: CallKey,
        kind: CallKind,
        *,
        request_digest: bytes,
        note: bytes,
        endpoint: str,
        tries: int,
        sent_at: float,
        latency_s: float,
        usage: Usage = NO_USAGE,
    ) -> None: ...


class _Request:
    """What one call asks. Its bytes are made for each try and kept by nobody while it is in the air."""

    __slots__ = ("cache_key", "digest", "key", "messages", "output_tokens", "seed", "tokens")

    def __init__(
        self,
        key: CallKey,
        messages: MessageLog,
        seed: int,
        cache_key: str,
        digest: bytes,
        tokens: int,
        output_tokens: int,
    ) -> None:
        self.key = key
        self.messages = messages
        self.seed = seed
        self.cache_key = cache_key
        self.digest = digest
        self.tokens = tokens
        self.output_tokens = output_tokens

    @property
    def bound(self) -> Usage:
        """The most that it may come to: what is kept of a call that was possibly paid for."""
        return Usage(self.tokens - self.output_tokens, self.output_tokens)


class Answer:
    """A reply and the journal's number of the call that brought it."""

    __slots__ = ("reply", "seq")

    def __init__(self, reply: Reply, seq: int) -> None:
        self.reply = reply
        self.seq = seq

    def __repr__(self) -> str:
        return f"Answer({self.reply!r}, {self.seq})"


@dataclass(slots=True)
class CallCounts:
    """What the caller did in this process; for progress and the summary."""

    sent: int = 0
    replies: int = 0
    replayed: int = 0
    failed: int = 0
    retries: dict[str, int] = field(default_factory=dict)
    backing_off: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    last_failure: str = ""


class Caller:
    """Asks models and journals their replies. One per run; `counts` is read by the progress display."""

    def __init__(
        self,
        store: CallStore,
        clock: Clock,
        drain: Drain,
        *,
        run_seed: int,
        attempts: int = 8,
        give_up_after_s: float = 900.0,
    ) -> None:
        self._store = store
        self._clock = clock
        self._drain = drain
        self._run_seed = run_seed
        self._attempts = attempts
        self._give_up_after_s = give_up_after_s
        self.counts = CallCounts()
        self.budget: Budget | None = None

    async def ask(
        self,
        key: CallKey,
        model: Model,
        messages: MessageLog,
        *,
        cache_key: str,
        history: History = NO_HISTORY,
        placement: Placement | None = None,
    ) -> Answer:
        """The reply to `messages`, recorded or new.

        `placement` keeps the calls of one side of a conversation on one endpoint of the model's pool.
        Raises CallFailed when this call cannot succeed, Draining when the run is stopping, and
        IdentityChanged when the recorded call asked something else.
        """
        seed = call_seed(self._run_seed, key)
        digest = model.form.digest(messages, seed=seed)
        record = history.find(key, digest)
        if record is not None:
            self.counts.replayed += 1
            return Answer(decode_recorded(record.reply), record.seq)
        placement = placement or Placement()
        tokens = reserved_tokens(messages, model.form.max_tokens)
        request = _Request(key, messages, seed, cache_key, digest, tokens, model.form.max_tokens)
        tries = Tries.after(history.failed_tries(key), attempts=self._attempts)
        avoid: Endpoint | None = None
        while True:
            endpoint = model.pool.choose(placement, self._clock.now(), avoid=avoid)
            if endpoint is None:
                await self._wait_for_pool(model.pool)
                continue
            try:
                if self.budget is None:
                    return await self._try_once(request, model.route(endpoint), endpoint, tries)
                return await self._try_within(self.budget, request, model, endpoint, tries)
            except CallFailed as failure:
                wait_s = self._wait_after(failure, key, model.pool, endpoint, tries, digest)
            avoid = endpoint
            await self._back_off(wait_s)

    async def _back_off(self, seconds: float) -> None:
        """Wait with nothing in the air and no slot held."""
        self.counts.backing_off += 1
        try:
            with self._drain.interruptible():
                await self._clock.sleep(seconds)
        finally:
            self.counts.backing_off -= 1

    async def _wait_for_pool(self, pool: EndpointPool) -> None:
        """Wait while every endpoint rests; stop the run where that has lasted too long."""
        now = self._clock.now()
        self._drain.check()
        self._stop_if_hopeless(pool, now)
        # An upper bound, so that a stop for good is noticed in time.
        await self._back_off(min(max(pool.wait_s(now), 0.05), 5.0))

    async def _try_within(
        self, budget: Budget, request: _Request, model: Model, endpoint: Endpoint, tries: Tries
    ) -> Answer:
        """As `_try_once`, within the budget: its upper bound is set aside before any limit is waited for."""
        name, input_tokens = model.form.model, request.tokens - request.output_tokens
        hold = budget.try_reserve(name, input_tokens, request.output_tokens)
        if hold is None:
            try:
                with self._drain.interruptible():
                    hold = await budget.reserve(name, input_tokens, request.output_tokens)
            except Stopped as error:
                self._drain.request(error)
                raise Draining("the run is stopping") from error
        try:
            answer = await self._try_once(request, model.route(endpoint), endpoint, tries)
        except BaseException as error:
            if isinstance(error, Draining) or (isinstance(error, CallFailed) and not error.possibly_paid):
                budget.release(hold)
            else:
                budget.settle(hold, None)
            raise
        budget.settle(hold, answer.reply.usage)
        return answer

    async def _try_once(self, request: _Request, route: Route, endpoint: Endpoint, tries: Tries) -> Answer:
        key, digest, lane = request.key, request.digest, route.lane
        try:
            permit = lane.admission.try_acquire(request.tokens, request.output_tokens)
            if permit is None:
                with self._drain.interruptible():
                    permit = await lane.admission.acquire(request.tokens, request.output_tokens)
        except ConfigError as error:
            # A request larger than a whole minute's limit: stop in order, to go on with a larger one.
            self._drain.request(error)
            raise Draining("the run is stopping") from error
        is_sent = False
        sent_at, started = self._clock.wall(), self._clock.now()
        try:
            self._drain.check()
            tries.made += 1
            self.counts.sent += 1
            endpoint.begin(started)
            is_sent = True
            try:
                hint = request.cache_key if endpoint.sends_cache_hint else None
                raw = await endpoint.transport.post(
                    route.url,
                    endpoint.headers,
                    route.form.encode(request.messages, seed=request.seed, cache_key=hint),
                    deadline_s=endpoint.call_timeout_s,
                )
                lane.note_headers(raw.headers, sent_at)
                reply = endpoint.format.decode(raw.status, raw.headers, raw.body, wall=sent_at)
            finally:
                endpoint.in_flight -= 1
            now, usage = self._clock.now(), reply.usage
            endpoint.answered(now)
            lane.answered(now, sent_at=started, output_tokens=usage.completion_tokens)
        except CallFailed as failure:
            now = self._clock.now()
            try:
                endpoint.failed(failure, now, item=key.item)
                lane.failed(failure, now, sent_at=started)
            finally:
                permit.settle(None if failure.possibly_paid else 0)
            if failure.possibly_paid:
                self._store.note_failure(
                    key, CallKind.POSSIBLY_PAID, request_digest=digest, note=_note(failure),
                    endpoint=endpoint.name, tries=tries.made, sent_at=sent_at,
                    latency_s=now - started, usage=request.bound,
                )  # fmt: skip
            raise
        except BaseException:
            if not is_sent:
                permit.refund()
            else:
                # Cancelled in the air: the server may be at work on it and charge for it.
                permit.settle(None)
                now = self._clock.now()
                endpoint.breaker.abandon(now)
                self._store.note_failure(
                    key, CallKind.POSSIBLY_PAID, request_digest=digest, note=CUT_OFF,
                    endpoint=endpoint.name, tries=tries.made, sent_at=sent_at,
                    latency_s=now - started, usage=request.bound,
                )  # fmt: skip
            raise
        permit.settle(usage.prompt_tokens + usage.completion_tokens or None, usage.completion_tokens)
        seq = await self._store.append_reply(
            key, request_digest=digest, reply=raw.body, endpoint=endpoint.name, tries=tries.made,
            sent_at=sent_at, latency_s=now - started, usage=usage,
        )  # fmt: skip
        counts = self.counts
        counts.replies += 1
        counts.prompt_tokens += usage.prompt_tokens
        counts.cached_tokens += usage.cached_tokens
        return Answer(reply, seq)

    def _wait_after(
        self,
        failure: CallFailed,
        key: CallKey,
        pool: EndpointPool,
        endpoint: Endpoint,
        tries: Tries,
        digest: bytes,
    ) -> float:
        """Seconds to wait before the next try; raises where there is none."""
        counts, now = self.counts, self._clock.now()
        counts.last_failure = SECRETS.hide(f"{endpoint.name}: {failure}")
        jitter = Random(f"{self._run_seed}/{key}/{tries.made}")
        decision = decide(failure, tries, attempts=self._attempts, random=jitter)
        match decision:
            case _ if isinstance(decision, StopRun) or is_hopeless(endpoint, failure):
                endpoint.refusal = stopping_error(endpoint, failure)
                self._stop_if_hopeless(pool, now)
                return 0.0  # the others still serve us
            case Wait(uses_attempt=uses_attempt):
                counts.retries[failure.reason] = counts.retries.get(failure.reason, 0) + 1
                if uses_attempt and not failure.possibly_paid:
                    self._note_unpaid(CallKind.RETRIED, failure, key, endpoint, tries, digest)
                self._stop_if_hopeless(pool, now)
                is_down = isinstance(failure, TransportFailed) and failure.reason in ("connect", "reset")
                if is_down and pool.others_usable(endpoint, now) and tries.made % len(pool.endpoints):
                    return 0.0  # elsewhere, at once; after a round of all, back off
                return decision.seconds
            case _:
                counts.failed += 1
                if not failure.possibly_paid:
                    self._note_unpaid(CallKind.FAILED, failure, key, endpoint, tries, digest)
                raise failure

    def _note_unpaid(
        self,
        kind: CallKind,
        failure: CallFailed,
        key: CallKey,
        endpoint: Endpoint,
        tries: Tries,
        digest: bytes,
    ) -> None:
        self._store.note_failure(
            key, kind, request_digest=digest, note=_note(failure), endpoint=endpoint.name, tries=tries.made,
            sent_at=self._clock.wall(), latency_s=0.0,
        )  # fmt: skip

    def _stop_if_hopeless(self, pool: EndpointPool, now: float) -> None:
        """Request a stop where no endpoint of the pool has answered for too long; raises Draining then."""
        alive = [endpoint for endpoint in pool.endpoints if endpoint.refusal is None]
        for endpoint in alive:
            never = not endpoint.has_answered and endpoint.last_reason == "connect"
            patience_s = min(_NEVER_ANSWERED_S, self._give_up_after_s) if never else self._give_up_after_s
            if endpoint.failing_since is None or now - endpoint.failing_since < patience_s:
                return
            if endpoint.last_reason != "connect" and not endpoint.fails_widely:
                # One conversation alone: its attempts end it. A stop would take it up again, for ever.
                return
        if alive:
            cause: EngineError | None = Stopped(
                f"endpoint {alive[0].name}: nothing usable comes from {alive[0].url} "
                f"({self.counts.last_failure}). Is the server running, and is the base URL right? Nothing is "
                "lost: `engine resume` goes on from here."
            )
        else:
            cause = pool.endpoints[0].refusal
        self._drain.request(cause)
        raise Draining("the run is stopping")

    def __repr__(self) -> str:
        counts = self.counts
        return (
            f"Caller({counts.replies} replies, {counts.replayed} replayed, {counts.failed} failed, "
            f"{counts.backing_off} backing off)"
        )


def reserved_tokens(messages: MessageLog, max_tokens: int) -> int:
    """What a call reserves of tokens/min until its usage is known: an upper bound of input and output."""
    return messages.size // _BYTES_PER_TOKEN + max_tokens


def _note(failure: CallFailed) -> bytes:
    # A server may quote the key that it refuses.
    return SECRETS.hide(str(failure)).encode("utf-8", "replace")


def failure_status(failure: CallFailed) -> Mapping[str, object]:
    """What an outcome keeps of the failure that ended its conversation."""
    note: dict[str, object] = {"reason": failure.reason, "message": SECRETS.hide(str(failure))}
    if isinstance(failure, ServerFailed):
        note["status"] = failure.status
    return note
