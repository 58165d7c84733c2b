"""The one place through which every LLM call goes.

    journal look-up -> limits -> HTTP -> decode -> retry or not -> journal commit -> reply

A recorded reply is returned without a request (P2). A new one is on disk before anyone sees it (P1). No
slot is held while backing off (P4), no capacity means waiting (P5), and a failed call is an error for its
own conversation alone (P6). The request is a function of the key and the messages (P8).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from random import Random
from typing import NamedTuple, Protocol

from engine.clock import Clock
from engine.errors import (
    CallFailed,
    ConfigError,
    EngineError,
    IdentityChanged,
    KeyRefused,
    ServerFailed,
    Stopped,
    TransportFailed,
)
from engine.llm.drain import Drain, Draining
from engine.llm.endpoint import Endpoint, Model
from engine.logs import SECRETS
from engine.schema.call import CallKey, CallKind, CallRecord, Reply, Usage
from engine.wire import openai
from engine.wire.backoff import StopRun, Tries, Wait, decide
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
    ) -> None: ...


class Answer(NamedTuple):
    """A reply and the journal's number of the call that brought it."""

    reply: Reply
    seq: int


@dataclass(slots=True)
class CallCounts:
    """What the caller did in this process; for progress and the summary."""

    sent: int = 0
    replies: int = 0
    replayed: int = 0
    failed: int = 0
    retries: dict[str, int] = field(default_factory=dict)
    backing_off: int = 0
    usage: Usage = field(default_factory=Usage)
    last_failure: str = ""


class History:
    """The recorded replies of one item, by step and attempt."""

    __slots__ = ("_replies",)

    def __init__(self, records: list[CallRecord] | tuple[()] = ()) -> None:
        self._replies = {
            (record.step, record.attempt): record for record in records if record.kind == CallKind.REPLY
        }

    def find(self, key: CallKey, digest: bytes) -> CallRecord | None:
        """The recorded call, or None. Raises IdentityChanged where its request was another one."""
        record = self._replies.get((key.step, key.attempt))
        if record is not None and record.request_digest != digest:
            half = openai.PARAMETERS_DIGEST_BYTES
            changed = "model or parameters" if record.request_digest[:half] != digest[:half] else "messages"
            raise IdentityChanged(
                f"{key.item}, step {key.step}: the {changed} of the request are not those that were paid "
                "for. Nothing was sent. Restore the configuration, templates and profiles of the run, or "
                "start a new one with --run NAME.",
                [(f"{key.step}.{changed}", record.request_digest.hex(), digest.hex())],
            )
        return record

    def __len__(self) -> int:
        return len(self._replies)


NO_HISTORY = History()


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
        unreachable_after_s: float = 60.0,
    ) -> None:
        self._store = store
        self._clock = clock
        self._drain = drain
        self._run_seed = run_seed
        self._attempts = attempts
        self._unreachable_after_s = unreachable_after_s
        self.counts = CallCounts()

    async def ask(
        self,
        key: CallKey,
        model: Model,
        messages: MessageLog,
        *,
        cache_key: str,
        history: History = NO_HISTORY,
    ) -> Answer:
        """The reply to `messages`, recorded or new.

        Raises CallFailed when this call cannot succeed, Draining when the run is stopping, and
        IdentityChanged when the recorded call asked something else.
        """
        seed = call_seed(self._run_seed, key)
        digest = model.form.digest(messages, seed=seed)
        record = history.find(key, digest)
        if record is not None:
            self.counts.replayed += 1
            return Answer(openai.decode_reply(record.reply), record.seq)
        hint = cache_key if model.endpoint.sends_cache_hint else None
        body = model.form.encode(messages, seed=seed, cache_key=hint)
        tokens = messages.size // _BYTES_PER_TOKEN + model.form.max_tokens
        tries = Tries()
        while True:
            try:
                return await self._try_once(key, model.endpoint, body, digest, tokens, tries)
            except CallFailed as failure:
                wait_s = self._wait_after(failure, key, model.endpoint, tries, digest)
            self.counts.backing_off += 1
            try:
                with self._drain.interruptible():
                    await self._clock.sleep(wait_s)
            finally:
                self.counts.backing_off -= 1

    async def _try_once(
        self, key: CallKey, endpoint: Endpoint, body: bytes, digest: bytes, tokens: int, tries: Tries
    ) -> Answer:
        permit = endpoint.admission.try_acquire(tokens)
        if permit is None:
            with self._drain.interruptible():
                permit = await endpoint.admission.acquire(tokens)
        used: int | None = 0
        sent_at, started = self._clock.wall(), self._clock.now()
        try:
            self._drain.check()
            tries.made += 1
            self.counts.sent += 1
            endpoint.sent += 1
            used = None  # unknown from here on, until the server has said otherwise
            endpoint.in_flight += 1
            try:
                raw = await endpoint.transport.post(
                    endpoint.url, endpoint.headers, body, deadline_s=endpoint.call_timeout_s
                )
            finally:
                endpoint.in_flight -= 1
            endpoint.has_answered = True
            endpoint.unreachable_since = None
            reply = openai.decode(raw.status, raw.headers, raw.body, wall=sent_at)
            used = reply.usage.prompt_tokens + reply.usage.completion_tokens or None
        except CallFailed as failure:
            if not failure.possibly_paid:
                used = 0
            else:
                self._store.note_failure(
                    key, CallKind.POSSIBLY_PAID, request_digest=digest, note=_note(failure),
                    endpoint=endpoint.name, tries=tries.made, sent_at=sent_at,
                    latency_s=self._clock.now() - started,
                )  # fmt: skip
            raise
        except BaseException:
            # Cancelled in the air: the server may be at work on it and charge for it.
            if used is None:
                self._store.note_failure(
                    key, CallKind.POSSIBLY_PAID, request_digest=digest, note=b"cancelled",
                    endpoint=endpoint.name, tries=tries.made, sent_at=sent_at,
                    latency_s=self._clock.now() - started,
                )  # fmt: skip
            raise
        finally:
            if used == 0:
                permit.refund()
            else:
                permit.settle(used)
        latency_s = self._clock.now() - started
        seq = await self._store.append_reply(
            key, request_digest=digest, reply=raw.body, endpoint=endpoint.name, tries=tries.made,
            sent_at=sent_at, latency_s=latency_s, usage=reply.usage,
        )  # fmt: skip
        counts = self.counts
        counts.replies += 1
        counts.usage += reply.usage
        return Answer(reply, seq)

    def _wait_after(
        self, failure: CallFailed, key: CallKey, endpoint: Endpoint, tries: Tries, digest: bytes
    ) -> float:
        """Seconds to wait before the next try; raises where there is none."""
        counts = self.counts
        counts.last_failure = SECRETS.hide(f"{endpoint.name}: {failure}")
        jitter = Random(f"{self._run_seed}/{key}/{tries.made}")
        decision = decide(failure, tries, attempts=self._attempts, random=jitter)
        match decision:
            case Wait():
                counts.retries[failure.reason] = counts.retries.get(failure.reason, 0) + 1
                if isinstance(failure, TransportFailed) and failure.reason == "connect":
                    self._stop_if_unreachable(endpoint, failure)
                return decision.seconds
            case StopRun():
                self._drain.request(_stopping_error(endpoint, failure))
                raise Draining("the run is stopping") from failure
            case _:
                counts.failed += 1
                if not failure.possibly_paid:
                    self._store.note_failure(
                        key, CallKind.FAILED, request_digest=digest, note=_note(failure),
                        endpoint=endpoint.name, tries=tries.made, sent_at=self._clock.wall(), latency_s=0.0,
                    )  # fmt: skip
                raise failure

    def _stop_if_unreachable(self, endpoint: Endpoint, failure: TransportFailed) -> None:
        now = self._clock.now()
        if endpoint.unreachable_since is None:
            endpoint.unreachable_since = now
        patience_s = (
            self._unreachable_after_s
            if endpoint.has_answered
            else min(_NEVER_ANSWERED_S, self._unreachable_after_s)
        )
        if now - endpoint.unreachable_since >= patience_s:
            self._drain.request(
                Stopped(
                    f"endpoint {endpoint.name}: nothing answers at {endpoint.url} ({failure}). Is the server "
                    "running, and is the base URL right? Nothing is lost: `engine resume` goes on from here."
                )
            )
            raise Draining("the run is stopping") from failure

    def __repr__(self) -> str:
        counts = self.counts
        return (
            f"Caller({counts.replies} replies, {counts.replayed} replayed, {counts.failed} failed, "
            f"{counts.backing_off} backing off)"
        )


def call_seed(run_seed: int, key: CallKey) -> int:
    """31 bits from the run's seed and the call's own identity: other calls do not enter it (P8)."""
    text = f"{run_seed}/{key.stage}/{key.item}/{key.step}/{key.attempt}"
    return int.from_bytes(blake2b(text.encode(), digest_size=4).digest(), "big") >> 1


def _stopping_error(endpoint: Endpoint, failure: CallFailed) -> EngineError:
    where = f"endpoint {endpoint.name} ({endpoint.url}) answered: {failure}."
    match failure.reason:
        case "key_refused":
            return KeyRefused(
                f"{where} The key was refused: check the variable or file that the configuration names. "
                "Nothing is lost: `engine resume` goes on from here."
            )
        case "quota":
            return Stopped(
                f"{where} The account's money or quota is used up. Nothing is lost: add credit, then "
                "`engine resume` goes on from here."
            )
        case _:
            return ConfigError(
                f"{where} The base URL or the model's name is wrong: the URL is everything before "
                "/chat/completions, and GET <base URL>/models lists the models."
            )


def _note(failure: CallFailed) -> bytes:
    # A server may quote the key that it refuses.
    return SECRETS.hide(str(failure)).encode("utf-8", "replace")


def failure_status(failure: CallFailed) -> Mapping[str, object]:
    """What an outcome keeps of the failure that ended its conversation."""
    note: dict[str, object] = {"reason": failure.reason, "message": SECRETS.hide(str(failure))}
    if isinstance(failure, ServerFailed):
        note["status"] = failure.status
    return note
