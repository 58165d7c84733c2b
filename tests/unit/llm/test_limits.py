"""Admission: never over, nearly full, first come first served, nothing lost."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.doubles.sent import WINDOW_S, most_in_a_window
from tests.doubles.virtual_clock import VirtualClock, in_virtual_time

from engine.errors import ConfigError
from engine.llm.limits import Admission


@dataclass
class Call:
    """One generated call: `used` None = unknown, `patience_s` = cancelled when it has waited so long."""

    gap_s: float
    tokens: int
    service_s: float
    used_share: float | None
    patience_s: float | None


calls_lists = st.lists(
    st.builds(
        Call,
        gap_s=st.sampled_from([0.0, 0.0, 0.01, 1.0, 30.0]),
        tokens=st.integers(0, 1_000),
        service_s=st.sampled_from([0.0, 0.5, 7.0, 90.0]),
        used_share=st.none() | st.sampled_from([0.0, 0.3, 1.0]),
        patience_s=st.none() | st.sampled_from([0.0, 0.3, 5.0, 100.0]),
    ),
    min_size=1,
    max_size=60,
)
maybe_requests = st.none() | st.sampled_from([1, 7, 60, 3_000])
maybe_tokens = st.none() | st.sampled_from([1_000, 5_000, 100_000])
maybe_in_flight = st.none() | st.integers(1, 5)


class TestLaws:
    @settings(deadline=None, max_examples=150)
    @given(calls_lists, maybe_requests, maybe_tokens, maybe_in_flight)
    def test_limits_hold_order_is_kept_and_nothing_leaks(
        self, calls: list[Call], requests: int | None, tokens: int | None, in_flight: int | None
    ) -> None:
        async def main(clock: VirtualClock) -> None:
            admission = Admission(
                clock, requests_per_min=requests, tokens_per_min=tokens, max_in_flight=in_flight
            )
            sends: list[tuple[float, int]] = []
            order: list[int] = []
            cancelled = 0

            async def run(number: int, call: Call) -> None:
                permit = await admission.acquire(call.tokens)
                order.append(number)
                used = call.tokens if call.used_share is None else int(call.tokens * call.used_share)
                sends.append((clock.now(), used))
                assert in_flight is None or admission.in_flight <= in_flight
                await clock.sleep(call.service_s)
                permit.settle(None if call.used_share is None else used)

            async def run_with_patience(number: int, call: Call) -> None:
                nonlocal cancelled
                task = asyncio.ensure_future(run(number, call))
                if call.patience_s is not None:
                    await clock.sleep(call.patience_s)
                    if number not in order:
                        task.cancel()
                await asyncio.wait([task])
                cancelled += task.cancelled()
                if not task.cancelled():
                    task.result()

            running = []
            for number, call in enumerate(calls):
                await clock.sleep(call.gap_s)
                running.append(asyncio.ensure_future(run_with_patience(number, call)))
                await asyncio.sleep(0)
                await asyncio.sleep(0)
            await asyncio.gather(*running)

            assert order == sorted(order)
            assert len(order) + cancelled == len(calls)
            if requests is not None:
                assert most_in_a_window([(time, 1) for time, _ in sends]) <= requests
            if tokens is not None:
                assert most_in_a_window(sends) <= tokens
            assert (admission.in_flight, admission.waiting) == (0, 0)
            await clock.sleep(WINDOW_S + 1)
            if requests is not None:
                assert f" 0 of {requests:,} requests/min" in repr(admission)
            if tokens is not None:
                assert f" 0 of {tokens:,} tokens/min" in repr(admission)

        in_virtual_time(main)

    @settings(deadline=None, max_examples=12)
    @given(
        st.sampled_from([30, 600, 3_000]),
        st.sampled_from([None, 10_000, 100_000, 1_000_000]),
        st.integers(1, 50),
        st.sampled_from([None, 0.25]),
    )
    def test_a_saturated_limit_is_used_nearly_in_full(
        self, requests: int, tokens: int | None, size: int, used_share: float | None
    ) -> None:
        async def main(clock: VirtualClock) -> None:
            admission = Admission(clock, requests_per_min=requests, tokens_per_min=tokens)
            started = clock.now()
            used = size if used_share is None else int(size * used_share)
            sent = charged = 0

            async def keep_asking() -> None:
                nonlocal charged, sent
                while True:
                    permit = await admission.acquire(size)
                    if clock.now() >= started + WINDOW_S:
                        sent += 1
                        charged += used
                    permit.settle(used)

            tasks = [asyncio.ensure_future(keep_asking()) for _ in range(20)]
            await clock.sleep(4 * WINDOW_S)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            token_use = 0.0 if tokens is None else charged / (3 * tokens)
            assert max(sent / (3 * requests), token_use) >= 0.98

        in_virtual_time(main)


class TestOrder:
    def test_a_large_request_is_not_starved_by_small_ones(self) -> None:
        async def main(clock: VirtualClock) -> None:
            admission = Admission(clock, tokens_per_min=1_000)
            order: list[int] = []

            async def ask(tokens: int) -> None:
                (await admission.acquire(tokens)).settle(None)
                order.append(tokens)

            sizes = [400, 5, 1_000, 6, 7, 8]
            async with asyncio.TaskGroup() as group:
                for tokens in sizes:
                    group.create_task(ask(tokens))
            assert order == sizes

        in_virtual_time(main)

    def test_try_acquire_does_not_overtake(self) -> None:
        async def main(clock: VirtualClock) -> None:
            admission = Admission(clock, max_in_flight=1)
            first = admission.try_acquire(1)
            assert first is not None
            waiter = asyncio.ensure_future(admission.acquire(1))
            await asyncio.sleep(0)
            first.settle(1)
            assert admission.try_acquire(1) is None
            (await waiter).settle(1)
            assert admission.try_acquire(1) is not None

        in_virtual_time(main)


class TestBurst:
    def test_no_more_than_a_small_burst_is_admitted_at_the_start(self) -> None:
        async def main(clock: VirtualClock) -> None:
            admission = Admission(clock, tokens_per_min=60_000)
            count = 0
            while admission.try_acquire(10) is not None:
                count += 1
            assert count == 60

        in_virtual_time(main)

    def test_idle_time_stores_no_more_than_a_small_burst(self) -> None:
        async def main(clock: VirtualClock) -> None:
            admission = Admission(clock, requests_per_min=600)
            await clock.sleep(3_600)
            started = clock.now()
            for _ in range(6):
                await admission.acquire(0)
            assert clock.now() == pytest.approx(started, abs=1e-3)
            await admission.acquire(0)
            assert clock.now() == pytest.approx(started + 0.1)

        in_virtual_time(main)


class TestSettling:
    def test_a_refund_is_available_at_once_and_wakes_the_waiter(self) -> None:
        async def main(clock: VirtualClock) -> None:
            admission = Admission(clock, tokens_per_min=6_000)
            permit = await admission.acquire(6_000)
            started = clock.now()
            waiter = asyncio.ensure_future(admission.acquire(3_000))
            await clock.sleep(1)
            permit.refund()
            await waiter
            assert clock.now() == pytest.approx(started + 1)

        in_virtual_time(main)

    @pytest.mark.parametrize(
        ("used", "wait_s"), [(None, 60.5), (6_000, 60.5), (3_000, 30.0), (12_000, 120.0), (0, 0.0)]
    )
    def test_what_was_used_decides_how_long_the_next_waits(self, used: int | None, wait_s: float) -> None:
        async def main(clock: VirtualClock) -> None:
            admission = Admission(clock, tokens_per_min=6_000)
            started = clock.now()
            (await admission.acquire(6_000)).settle(used)
            await admission.acquire(3_000)
            assert clock.now() - started == pytest.approx(wait_s, abs=0.1)

        in_virtual_time(main)

    def test_ending_twice_counts_once(self) -> None:
        async def main(clock: VirtualClock) -> None:
            admission = Admission(clock, max_in_flight=2)
            permit = await admission.acquire(1)
            other = await admission.acquire(1)
            permit.settle(1)
            permit.refund()
            assert admission.in_flight == 1
            other.settle(None)
            assert admission.in_flight == 0

        in_virtual_time(main)

    def test_a_reply_later_than_the_window_leaves_no_trace(self) -> None:
        async def main(clock: VirtualClock) -> None:
            admission = Admission(clock, tokens_per_min=6_000)
            permit = await admission.acquire(6_000)
            await clock.sleep(300)
            permit.settle(100)
            assert " 0 of 6,000 tokens/min" in repr(admission)

        in_virtual_time(main)


class TestEdges:
    def test_a_request_that_can_never_fit_is_refused(self) -> None:
        async def main(clock: VirtualClock) -> None:
            admission = Admission(clock, tokens_per_min=1_000)
            with pytest.raises(ConfigError, match="tokens_per_min is 1,000"):
                await admission.acquire(1_001)
            with pytest.raises(ConfigError):
                admission.try_acquire(1_001)
            assert (admission.in_flight, admission.waiting) == (0, 0)

        in_virtual_time(main)

    def test_sends_of_an_earlier_process_count(self) -> None:
        async def main(clock: VirtualClock) -> None:
            admission = Admission(clock, requests_per_min=3, tokens_per_min=1_000)
            admission.prefill([(10.0, 1), (20.0, 1), (30.0, 300), (90.0, 1_000)])
            assert "3 of 3 requests/min, 302 of 1,000 tokens/min" in repr(admission)
            started = clock.now()
            await admission.acquire(5)  # the pace would let it go; the window holds three
            assert clock.now() - started == pytest.approx(30.5, abs=0.1)
            assert "3 of 3 requests/min, 7 of 1,000 tokens/min" in repr(admission)

        in_virtual_time(main)

    def test_without_limits_all_are_admitted_and_counted(self) -> None:
        async def main(clock: VirtualClock) -> None:
            admission = Admission(clock)
            permits = [admission.try_acquire(10**9) for _ in range(3)]
            assert repr(admission) == "Admission(3 in flight, 0 waiting)"
            for permit in permits:
                assert permit is not None
                permit.settle(1)
            assert admission.in_flight == 0

        in_virtual_time(main)


@dataclass
class Change:
    """Limits from `after_s` seconds after the one before on; `is_paused` with them."""

    after_s: float
    requests: int | None
    tokens: int | None
    in_flight: int | None
    is_paused: bool


changes_lists = st.lists(
    st.builds(
        Change,
        after_s=st.sampled_from([0.0, 0.02, 1.0, 29.0, 61.0]),
        requests=maybe_requests,
        tokens=maybe_tokens,
        in_flight=maybe_in_flight,
        is_paused=st.booleans(),
    ),
    min_size=1,
    max_size=6,
)


def set_all(admission: Admission, change: Change) -> None:
    admission.set_limits(
        requests_per_min=change.requests, tokens_per_min=change.tokens, max_in_flight=change.in_flight
    )
    if change.is_paused:
        admission.pause()
    else:
        admission.go_on()


class TestChanges:
    @settings(deadline=None, max_examples=150)
    @given(calls_lists, changes_lists)
    def test_nothing_is_sent_beyond_the_limits_of_that_moment(
        self, calls: list[Call], changes: list[Change]
    ) -> None:
        async def main(clock: VirtualClock) -> None:
            admission = Admission(clock)
            now = Change(0, None, None, None, False)
            sends: list[tuple[float, int]] = []
            order: list[int] = []

            async def run(number: int, call: Call) -> None:
                permit = await admission.acquire(call.tokens)
                order.append(number)
                used = call.tokens if call.used_share is None else int(call.tokens * call.used_share)
                sends.append((clock.now(), used))
                window = [amount for time, amount in sends if time > clock.now() - WINDOW_S]
                assert not now.is_paused
                assert now.requests is None or len(window) <= now.requests
                assert now.tokens is None or sum(window) <= now.tokens
                assert now.in_flight is None or admission.in_flight <= now.in_flight
                await clock.sleep(call.service_s)
                permit.settle(None if call.used_share is None else used)

            async def change_limits() -> None:
                nonlocal now
                for change in changes:
                    await clock.sleep(change.after_s)
                    now = change
                    set_all(admission, change)
                await clock.sleep(1.0)
                now = Change(0, now.requests, now.tokens, now.in_flight, False)
                admission.go_on()

            async with asyncio.TaskGroup() as group:
                group.create_task(change_limits())
                for number, call in enumerate(calls):
                    await clock.sleep(call.gap_s)
                    group.create_task(run(number, call))
                    await asyncio.sleep(0)
            assert order == sorted(order)
            assert len(order) == len(calls)
            assert (admission.in_flight, admission.waiting) == (0, 0)

        in_virtual_time(main)

    def test_what_was_sent_without_a_limit_counts_against_a_new_one(self) -> None:
        async def main(clock: VirtualClock) -> None:
            admission = Admission(clock)
            for _ in range(10):
                (await admission.acquire(100)).settle(100)
            started = clock.now()
            admission.set_limits(requests_per_min=5, tokens_per_min=None, max_in_flight=None)
            await admission.acquire(100)
            assert clock.now() - started == pytest.approx(60.5, abs=0.1)

        in_virtual_time(main)

    @pytest.mark.parametrize("kind", ["requests_per_min", "tokens_per_min", "max_in_flight"])
    def test_a_raised_limit_is_used_at_once_by_who_waits(self, kind: str) -> None:
        async def main(clock: VirtualClock) -> None:
            none = {"requests_per_min": None, "tokens_per_min": None, "max_in_flight": None}
            low = {"requests_per_min": 1, "tokens_per_min": 100, "max_in_flight": 1}[kind]
            admission = Admission(clock)
            admission.set_limits(**{**none, kind: low})
            held = await admission.acquire(100)
            waiter = asyncio.ensure_future(admission.acquire(100))
            await clock.sleep(1)
            assert not waiter.done()
            admission.set_limits(**{**none, kind: low * 1_000})
            started = clock.now()
            (await waiter).settle(None)
            assert clock.now() - started < 0.2  # a pace of tokens first works off its debt
            held.settle(None)

        in_virtual_time(main)

    def test_a_raised_pace_frees_who_waits_for_the_old_one(self) -> None:
        async def main(clock: VirtualClock) -> None:
            admission = Admission(clock, requests_per_min=2)
            (await admission.acquire(0)).settle(0)
            waiter = asyncio.ensure_future(admission.acquire(0))
            await clock.sleep(1)
            assert not waiter.done()
            admission.set_limits(requests_per_min=6_000, tokens_per_min=None, max_in_flight=None)
            started = clock.now()
            await waiter
            assert clock.now() - started < 0.1

        in_virtual_time(main)

    def test_a_lower_limit_refuses_who_waits_and_could_never_go(self) -> None:
        async def main(clock: VirtualClock) -> None:
            admission = Admission(clock, tokens_per_min=1_000)
            await admission.acquire(1_000)
            waiter = asyncio.ensure_future(admission.acquire(1_000))
            await clock.sleep(1)
            admission.set_limits(requests_per_min=None, tokens_per_min=999, max_in_flight=None)
            with pytest.raises(ConfigError, match="tokens_per_min is 999"):
                await waiter

        in_virtual_time(main)

    def test_a_pause_says_so_and_keeps_what_is_in_the_air(self) -> None:
        async def main(clock: VirtualClock) -> None:
            admission = Admission(clock)
            permit = await admission.acquire(1)
            admission.pause()
            assert admission.try_acquire(1) is None
            assert repr(admission) == "Admission(1 in flight, 0 waiting, paused)"
            waiter = asyncio.ensure_future(admission.acquire(1))
            await clock.sleep(1)
            permit.settle(1)
            await clock.sleep(3_600)
            assert not waiter.done()
            admission.go_on()
            (await waiter).settle(1)

        in_virtual_time(main)
