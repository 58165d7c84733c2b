"""The caller's promises, with a scripted transport, a store in memory and a clock that only sleeps move."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import anyio
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import (
    CallFailed,
    ConfigError,
    IdentityChanged,
    KeyRefused,
    ReplyUnusable,
    ServerFailed,
    Stopped,
    TransportFailed,
)
from engine.llm.caller import Caller
from engine.llm.drain import Drain, Draining
from engine.llm.endpoint import Endpoint
from engine.llm.history import History
from engine.llm.limits import Admission
from engine.llm.pool import EndpointPool, Model
from engine.llm.transport import RawReply
from engine.schema.call import CUT_OFF, NO_USAGE, CallKey, CallKind, CallRecord, Usage, call_seed
from engine.wire.message_log import MessageLog
from engine.wire.openai import RequestForm

KEY = CallKey("conversation", "travel-1-p001-0", "user-1")
FORM = RequestForm("m", temperature=0.5, top_p=None, max_tokens=100)
OK = RawReply(
    200,
    {},
    orjson.dumps(
        {
            "model": "m-served",
            "choices": [{"message": {"content": "hello"}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 10, "completion_tokens": 5},
        }
    ),
)
Scripted = RawReply | CallFailed


class SleepingClock:
    """Time moves only by sleeping."""

    def __init__(self) -> None:
        self.time = 1000.0
        self.slept: list[float] = []

    def now(self) -> float:
        return self.time

    def wall(self) -> float:
        return 1_700_000_000 + self.time

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds
        await anyio.lowlevel.checkpoint()


class ScriptedTransport:
    """Answers from a script; the last entry repeats."""

    def __init__(self, script: list[Scripted]) -> None:
        self.script = script
        self.bodies: list[bytes] = []
        self.held_at_send: list[int] = []
        self.admission: Admission | None = None

    async def post(self, url: str, headers: Mapping[str, str], body: bytes, *, deadline_s: float) -> RawReply:
        self.bodies.append(body)
        entry = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        await anyio.lowlevel.checkpoint()
        if isinstance(entry, CallFailed):
            raise entry
        return entry

    async def aclose(self) -> None:
        pass


@dataclass
class MemoryStore:
    """Keeps what the caller writes; `is_durable` says whether the last reply was acknowledged."""

    replies: list[tuple[CallKey, bytes]] = field(default_factory=list)
    failures: list[tuple[CallKind, bytes]] = field(default_factory=list)
    tries: list[int] = field(default_factory=list)
    bounds: list[Usage] = field(default_factory=list)

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
    ) -> int:
        await anyio.lowlevel.checkpoint()
        self.replies.append((key, reply))
        self.tries.append(tries)
        return len(self.replies)

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
    ) -> None:
        self.failures.append((kind, note))
        self.bounds.append(usage)


class Bench:
    """A caller with all of its parts at hand."""

    def __init__(self, *script: Scripted, attempts: int = 8, max_in_flight: int | None = None) -> None:
        self.clock = SleepingClock()
        self.transport = ScriptedTransport(list(script))
        self.admission = Admission(
            self.clock, requests_per_min=None, tokens_per_min=None, max_in_flight=max_in_flight
        )
        self.endpoint = Endpoint(
            "default", "http://127.0.0.1:1/v1/chat/completions", {}, self.transport, self.admission, 600.0
        )
        self.store = MemoryStore()
        self.drain = Drain()
        self.caller = Caller(
            self.store, self.clock, self.drain, run_seed=7, attempts=attempts, give_up_after_s=60
        )

    async def ask(self, history: History | None = None, key: CallKey = KEY) -> str:
        log = MessageLog()
        log.extend([("user", "hi")])
        answer = await self.caller.ask(
            key,
            Model(FORM, EndpointPool([self.endpoint])),
            log,
            cache_key="c/simulator",
            history=History() if history is None else history,
        )
        return answer.reply.text


def server_failed(status: int, reason: str, retry_after_s: float | None = None) -> RawReply:
    headers = {} if retry_after_s is None else {"retry-after": str(retry_after_s)}
    return RawReply(status, headers, b'{"error": {"message": "%s"}}' % reason.encode())


def record_of(body: bytes, digest: bytes, kind: str = CallKind.REPLY) -> CallRecord:
    return CallRecord(3, *KEY, kind, digest, body, "default", 1, 1, 0.0, 0.0)


def digest_of(text: str) -> bytes:
    log = MessageLog()
    log.extend([("user", text)])
    return FORM.digest(log, seed=call_seed(7, KEY))


@pytest.mark.asyncio
async def test_reply_is_journalled_before_it_is_returned() -> None:
    bench = Bench(OK)
    assert await bench.ask() == "hello"
    assert bench.store.replies == [(KEY, OK.body)]
    sent = orjson.loads(bench.transport.bodies[0])
    assert sent["messages"] == [{"role": "user", "content": "hi"}]
    assert sent["prompt_cache_key"] == "c/simulator"
    assert sent["seed"] == call_seed(7, KEY)


@pytest.mark.asyncio
async def test_recorded_reply_is_returned_without_a_request() -> None:
    bench = Bench(OK)
    history = History([record_of(OK.body, digest_of("hi"))])
    assert await bench.ask(history) == "hello"
    assert bench.transport.bodies == []
    assert bench.caller.counts.replayed == 1


@pytest.mark.asyncio
async def test_recorded_failure_is_asked_again() -> None:
    bench = Bench(OK)
    history = History([record_of(b"500", digest_of("hi"), CallKind.POSSIBLY_PAID)])
    assert await bench.ask(history) == "hello"
    assert len(bench.transport.bodies) == 1


@pytest.mark.asyncio
async def test_other_request_than_the_recorded_one_is_refused_by_name() -> None:
    bench = Bench(OK)
    with pytest.raises(IdentityChanged, match="user-1: the messages"):
        await bench.ask(History([record_of(OK.body, digest_of("bye"))]))
    other = RequestForm("other", temperature=0.5, top_p=None, max_tokens=100)
    log = MessageLog()
    log.extend([("user", "hi")])
    with pytest.raises(IdentityChanged, match="user-1: the model or parameters"):
        await bench.ask(History([record_of(OK.body, other.digest(log, seed=call_seed(7, KEY)))]))
    assert bench.transport.bodies == []


@pytest.mark.asyncio
@pytest.mark.parametrize("attempts", [1, 3, 8])
async def test_transient_failures_are_tried_exactly_as_often_as_configured(attempts: int) -> None:
    bench = Bench(server_failed(500, "broken"), attempts=attempts)
    with pytest.raises(ServerFailed):
        await bench.ask()
    assert len(bench.transport.bodies) == attempts
    kinds = [kind for kind, _ in bench.store.failures]
    assert kinds == [CallKind.RETRIED] * (attempts - 1) + [CallKind.FAILED]


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", [CallKind.RETRIED, CallKind.POSSIBLY_PAID])
@pytest.mark.parametrize(("before", "left"), [(0, 4), (1, 3), (3, 1), (4, 1), (9, 1)])
async def test_tries_of_earlier_sessions_count(kind: CallKind, before: int, left: int) -> None:
    bench = Bench(server_failed(500, "broken"), attempts=4)
    history = History([record_of(b"no", digest_of("hi"), kind)] * before)
    with pytest.raises(ServerFailed):
        await bench.ask(history)
    assert len(bench.transport.bodies) == left


@pytest.mark.asyncio
async def test_a_call_that_a_stop_cut_off_is_no_failure_of_its_own() -> None:
    bench = Bench(server_failed(500, "broken"), attempts=4)
    with pytest.raises(ServerFailed):
        await bench.ask(History([record_of(CUT_OFF, digest_of("hi"), CallKind.POSSIBLY_PAID)] * 9))
    assert len(bench.transport.bodies) == 4


@pytest.mark.asyncio
async def test_a_broken_connection_is_free_once_in_all_sessions() -> None:
    lost = TransportFailed("reset", "nothing came", possibly_paid=True)
    for before, sent in ((0, 3), (1, 1)):
        bench = Bench(lost, attempts=2)
        history = History([record_of(b"lost", digest_of("hi"), CallKind.POSSIBLY_PAID)] * before)
        with pytest.raises(TransportFailed):
            await bench.ask(history)
        assert len(bench.transport.bodies) == sent


@pytest.mark.asyncio
async def test_throttling_never_fails_and_waits_at_least_the_hint() -> None:
    bench = Bench(*[server_failed(429, "slow down", 3.0)] * 50, OK, attempts=2)
    assert await bench.ask() == "hello"
    assert len(bench.transport.bodies) == 51
    assert all(3.0 <= seconds <= 3.3 for seconds in bench.clock.slept)
    assert bench.store.tries == [51]
    assert bench.store.failures == []


@pytest.mark.asyncio
async def test_unknown_outcome_is_noted_as_possibly_paid_each_time() -> None:
    lost = TransportFailed("deadline", "nothing came", possibly_paid=True)
    bench = Bench(lost, lost, OK)
    assert await bench.ask() == "hello"
    assert [kind for kind, _ in bench.store.failures] == [CallKind.POSSIBLY_PAID] * 2


@pytest.mark.asyncio
async def test_unusable_reply_is_tried_again_and_counted_as_paid() -> None:
    bench = Bench(RawReply(200, {}, b"<html>"), OK)
    assert await bench.ask() == "hello"
    assert [kind for kind, _ in bench.store.failures] == [CallKind.POSSIBLY_PAID]
    with pytest.raises(ReplyUnusable):
        await Bench(RawReply(200, {}, b"{}"), attempts=2).ask()


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (server_failed(401, "bad key"), KeyRefused),
        (server_failed(404, "no such model"), ConfigError),
        (server_failed(402, "pay first"), Stopped),
        (server_failed(429, "insufficient_quota"), Stopped),
    ],
)
async def test_hopeless_endpoint_stops_the_run(reply: RawReply, error: type[Exception]) -> None:
    bench = Bench(reply)
    with pytest.raises(Draining):
        await bench.ask()
    assert isinstance(bench.drain.cause, error)
    assert len(bench.transport.bodies) == 1
    with pytest.raises(Draining):
        await bench.ask()
    assert len(bench.transport.bodies) == 1


@pytest.mark.asyncio
async def test_endpoint_that_never_speaks_the_format_stops_the_run() -> None:
    bench = Bench(RawReply(200, {}, b"<html>welcome</html>"))
    with pytest.raises(Draining):
        await bench.ask()
    assert isinstance(bench.drain.cause, ConfigError)
    assert "not in the OpenAI" in str(bench.drain.cause)
    assert len(bench.transport.bodies) == 3


@pytest.mark.asyncio
async def test_one_poison_conversation_is_set_aside_and_does_not_stop_the_run() -> None:
    late = TransportFailed("deadline", "late", possibly_paid=True)

    class Slow(ScriptedTransport):
        async def post(
            self, url: str, headers: Mapping[str, str], body: bytes, *, deadline_s: float
        ) -> RawReply:
            bench.clock.time += 600.0
            return await super().post(url, headers, body, deadline_s=deadline_s)

    bench = Bench(OK)
    bench.endpoint.transport = Slow([OK, *[late] * 9])
    await bench.ask()
    with pytest.raises(CallFailed):
        await bench.ask(key=KEY._replace(item="poison"))
    assert not bench.drain.is_requested
    assert bench.store.failures == [(CallKind.POSSIBLY_PAID, b"late")] * 8
    with pytest.raises(Draining):
        await bench.ask(key=KEY._replace(item="another"))
    assert isinstance(bench.drain.cause, Stopped), "two in a row speak against the endpoint"


@pytest.mark.asyncio
async def test_refused_connections_wait_and_then_stop_the_run() -> None:
    refused = TransportFailed("connect", "refused", possibly_paid=False)
    bench = Bench(refused)
    with pytest.raises(Draining):
        await bench.ask()
    assert isinstance(bench.drain.cause, Stopped)
    assert "Is the server running" in str(bench.drain.cause)
    assert 5 <= sum(bench.clock.slept) < 60

    bench = Bench(OK, refused)
    await bench.ask()
    with pytest.raises(Draining):
        await bench.ask()
    assert sum(bench.clock.slept) >= 60, "an endpoint that has answered is given longer"


@pytest.mark.asyncio
async def test_no_slot_is_held_while_backing_off() -> None:
    bench = Bench(server_failed(429, "later", 10.0), OK, max_in_flight=1)
    held: list[str] = []
    sleep = bench.clock.sleep

    async def watched(seconds: float) -> None:
        held.append(repr(bench.admission))
        permit = bench.admission.try_acquire(1)
        assert permit is not None, "the slot is free while the call waits"
        permit.settle(None)
        await sleep(seconds)

    bench.clock.sleep = watched  # type: ignore[method-assign]
    assert await bench.ask() == "hello"
    assert len(held) == 1


@pytest.mark.asyncio
async def test_stop_request_ends_a_back_off_at_once() -> None:
    bench = Bench(server_failed(429, "later", 10_000.0))
    started = anyio.Event()

    async def sleep(seconds: float) -> None:
        started.set()
        await anyio.sleep_forever()

    bench.clock.sleep = sleep  # type: ignore[method-assign]

    async def stop() -> None:
        await started.wait()
        bench.drain.request()

    async with anyio.create_task_group() as group:
        group.start_soon(stop)
        with pytest.raises(Draining):
            await bench.ask()


@pytest.mark.asyncio
async def test_call_cancelled_in_the_air_is_possibly_paid_and_frees_its_slot() -> None:
    bench = Bench(OK, max_in_flight=1)
    flying = anyio.Event()

    async def post(url: str, headers: Mapping[str, str], body: bytes, *, deadline_s: float) -> RawReply:
        flying.set()
        await anyio.sleep_forever()
        raise AssertionError

    bench.transport.post = post  # type: ignore[method-assign]
    async with anyio.create_task_group() as group:
        group.start_soon(bench.ask)
        await flying.wait()
        group.cancel_scope.cancel()
    assert bench.store.failures == [(CallKind.POSSIBLY_PAID, b"cancelled")]
    assert bench.admission.try_acquire(1) is not None


def test_seed_depends_on_the_call_alone() -> None:
    keys = [
        CallKey(stage, item, step, attempt)
        for stage in ("a", "b") for item in ("x", "y") for step in ("s", "t") for attempt in (0, 1)
    ]  # fmt: skip
    seeds = [call_seed(1, key) for key in keys]
    assert len(set(seeds)) == len(keys)
    assert seeds == [call_seed(1, key) for key in keys]
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert call_seed(2, keys[0]) != seeds[0]


failures = st.one_of(
    st.sampled_from([429, 500, 502, 503, 529, 408]).map(lambda status: server_failed(status, "x")),
    st.sampled_from(["reset", "deadline", "protocol"]).map(
        lambda reason: TransportFailed(reason, "lost", possibly_paid=True)
    ),
    st.just(RawReply(200, {}, b"not json")),
)


@given(st.lists(failures, max_size=30))
def test_any_run_of_failures_ends_in_a_reply_or_in_exactly_the_attempts(script: list[Scripted]) -> None:
    bench = Bench(*script, OK, attempts=4)
    bench.endpoint.has_answered = True
    try:
        assert anyio.run(bench.ask) == "hello"
        assert len(bench.store.replies) == 1
    except CallFailed:
        assert bench.store.replies == []
        assert len(bench.transport.bodies) <= len(script)
    used = script[: len(bench.transport.bodies)]
    paid = sum(not isinstance(entry, RawReply) or entry.status in (200, 408, 502) for entry in used)
    noted = [kind for kind, _ in bench.store.failures if kind == CallKind.POSSIBLY_PAID]
    assert len(noted) == paid
