"""Limits of single models beside those of their endpoint."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.doubles.sent import WINDOW_S, most_in_a_window
from tests.doubles.virtual_clock import VirtualClock, in_virtual_time

from engine.errors import ConfigError
from engine.llm.adaptive import Governor
from engine.llm.limits import Admission
from engine.llm.rate_headers import SeenLimits

calls_lists = st.lists(
    st.tuples(
        st.integers(0, 1),  # the model
        st.integers(0, 500),  # tokens
        st.sampled_from([0.0, 0.3, 1.0]),  # of them used
        st.sampled_from([0.0, 0.01, 5.0]),  # seconds after the call before
        st.none() | st.sampled_from([0.3, 30.0]),  # cancelled when it has waited so long
    ),
    min_size=1,
    max_size=60,
)
maybe_requests = st.none() | st.sampled_from([1, 7, 60])
maybe_tokens = st.none() | st.sampled_from([500, 2_000, 20_000])
maybe_in_flight = st.none() | st.integers(1, 4)
limits = st.tuples(maybe_requests, maybe_tokens, maybe_in_flight)


@settings(deadline=None, max_examples=100)
@given(calls_lists, limits, limits, limits)
def test_neither_a_model_nor_the_endpoint_is_ever_over_and_models_keep_their_order(
    calls: list[tuple[int, int, float, float, float | None]],
    whole: tuple[int | None, int | None, int | None],
    first: tuple[int | None, int | None, int | None],
    second: tuple[int | None, int | None, int | None],
) -> None:
    async def main(clock: VirtualClock) -> None:
        def admission(limits: tuple[int | None, ...], within: Admission | None) -> Admission:
            requests, tokens, in_flight = limits
            return Admission(
                clock,
                requests_per_min=requests,
                tokens_per_min=tokens,
                max_in_flight=in_flight,
                within=within,
            )

        endpoint = admission(whole, None)
        models = [admission(first, endpoint), admission(second, endpoint)]
        sent: list[tuple[int, float, int]] = []
        order: tuple[list[int], list[int]] = ([], [])
        cancelled = 0

        async def ask(number: int, model: int, tokens: int, share: float) -> None:
            permit = await models[model].acquire(tokens)
            order[model].append(number)
            sent.append((model, clock.now(), int(tokens * share)))
            for limit, admitted in ((whole, endpoint), ((first, second)[model], models[model])):
                assert limit[2] is None or admitted.in_flight <= limit[2]
            await clock.sleep(1.0)
            permit.settle(int(tokens * share))

        async def ask_with_patience(number: int, patience_s: float | None) -> None:
            nonlocal cancelled
            model, tokens, share, _, _ = calls[number]
            task = asyncio.ensure_future(ask(number, model, tokens, share))
            if patience_s is not None:
                await clock.sleep(patience_s)
                if number not in order[model]:
                    task.cancel()
            await asyncio.wait([task])
            cancelled += task.cancelled()
            if not task.cancelled():
                task.result()

        running = []
        for number, (*_, gap_s, patience_s) in enumerate(calls):
            await clock.sleep(gap_s)
            running.append(asyncio.ensure_future(ask_with_patience(number, patience_s)))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        await asyncio.gather(*running)

        assert all(numbers == sorted(numbers) for numbers in order)
        assert len(sent) + cancelled == len(calls)
        groups = (
            (whole, sent),
            *((own, [s for s in sent if s[0] == m]) for m, own in ((0, first), (1, second))),
        )
        for (requests, tokens, _), calls_sent in groups:
            if requests is not None:
                assert most_in_a_window([(time, 1) for _, time, _ in calls_sent]) <= requests
            if tokens is not None:
                assert most_in_a_window([(time, used) for _, time, used in calls_sent]) <= tokens
        for admitted in (endpoint, *models):
            assert (admitted.in_flight, admitted.waiting) == (0, 0)
        await clock.sleep(WINDOW_S + 1)
        if whole[1] is not None:
            assert f" 0 of {whole[1]:,} tokens/min" in repr(endpoint)

    in_virtual_time(main)


@pytest.mark.parametrize("kind", ["requests_per_min", "tokens_per_min"])
@pytest.mark.parametrize(("whole", "own"), [(None, 600), (900, 600), (900, None), (1_800, 600)])
def test_the_tighter_of_both_is_used_nearly_in_full(kind: str, whole: int | None, own: int | None) -> None:
    """Two models, of which one has a limit of its own, on an endpoint that has one, too."""
    amount = 1 if kind == "requests_per_min" else 10

    async def main(clock: VirtualClock) -> None:
        def limited(limit: int | None) -> dict[str, int]:
            return {} if limit is None else {kind: limit * amount}

        endpoint = Admission(clock)
        endpoint.set_limits(**limited(whole))
        models = [Admission(clock, within=endpoint), Admission(clock, within=endpoint)]
        models[0].set_limits(**limited(own))
        models[1].set_limits(**limited(None if whole is not None else 300))
        started = clock.now()
        served = [0, 0]

        async def keep_asking(model: int) -> None:
            while True:
                permit = await models[model].acquire(amount)
                served[model] += clock.now() >= started + WINDOW_S
                await clock.sleep(0.1)
                permit.settle(amount)

        tasks = [asyncio.ensure_future(keep_asking(number % 2)) for number in range(60)]
        await clock.sleep(3 * WINDOW_S)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        if own is not None:
            # What is left of the endpoint's goes to the heads of both models in turn.
            fair = own if whole is None else min(own, whole / 2)
            assert served[0] / 2 >= 0.98 * fair
        if whole is not None:
            assert sum(served) / 2 >= 0.98 * whole
        else:
            assert served[1] / 2 >= 0.98 * 300

    in_virtual_time(main)


def test_who_waits_for_its_own_model_keeps_no_other_waiting() -> None:
    async def main(clock: VirtualClock) -> None:
        endpoint = Admission(clock, tokens_per_min=100_000)
        slow, fast = (Admission(clock, requests_per_min=n, within=endpoint) for n in (1, 6_000))
        (await slow.acquire(1)).settle(1)
        waiter = asyncio.ensure_future(slow.acquire(1))
        await asyncio.sleep(0)
        started = clock.now()
        for _ in range(50):
            (await fast.acquire(1)).settle(1)
        assert clock.now() - started < 1
        assert not waiter.done()
        waiter.cancel()

    in_virtual_time(main)


def test_a_large_request_of_one_model_is_not_starved_by_small_ones_of_another() -> None:
    async def main(clock: VirtualClock) -> None:
        endpoint = Admission(clock, tokens_per_min=1_000)
        one, other = Admission(clock, within=endpoint), Admission(clock, within=endpoint)
        order: list[int] = []

        async def ask(model: Admission, tokens: int) -> None:
            (await model.acquire(tokens)).settle(None)
            order.append(tokens)

        async with asyncio.TaskGroup() as group:
            for model, tokens in ((one, 400), (one, 990), (other, 5), (other, 6), (other, 7)):
                group.create_task(ask(model, tokens))
        # The other model's head may queue before, the rest of its queue not.
        assert order.index(990) <= 2

    in_virtual_time(main)


def test_what_either_could_never_admit_is_refused_at_once() -> None:
    async def main(clock: VirtualClock) -> None:
        endpoint = Admission(clock, tokens_per_min=1_000)
        model = Admission(clock, tokens_per_min=100, within=endpoint)
        other = Admission(clock, within=endpoint)
        with pytest.raises(ConfigError, match="tokens_per_min is 100"):
            await model.acquire(500)
        with pytest.raises(ConfigError, match="tokens_per_min is 1,000"):
            await other.acquire(5_000)
        assert (endpoint.in_flight, model.in_flight, endpoint.waiting) == (0, 0, 0)

    in_virtual_time(main)


def test_an_endpoint_that_is_limited_later_counts_what_its_models_sent() -> None:
    async def main(clock: VirtualClock) -> None:
        endpoint = Admission(clock)
        models = [Admission(clock, governor=Governor(), within=endpoint) for _ in range(2)]
        for model in models:
            for _ in range(3):
                (await model.acquire(10)).settle(10)
        endpoint.set_limits(requests_per_min=6)
        assert "6 of 6 requests/min" in repr(endpoint)
        assert all(model.governor is None for model in models)
        started = clock.now()
        await models[0].acquire(10)
        assert clock.now() - started >= 59

    in_virtual_time(main)


def test_a_model_that_is_limited_later_counts_what_its_endpoint_sent() -> None:
    async def main(clock: VirtualClock) -> None:
        endpoint = Admission(clock)
        model = Admission(clock, within=endpoint)
        for _ in range(3):
            (await model.acquire(10)).settle(10)
        held = await model.acquire(10)
        model.set_limits(requests_per_min=4, max_in_flight=1)
        assert model.try_acquire(10) is None
        held.settle(10)
        started = clock.now()
        await model.acquire(10)
        assert clock.now() - started >= 59

    in_virtual_time(main)


def test_a_pause_of_the_endpoint_stops_all_its_models() -> None:
    async def main(clock: VirtualClock) -> None:
        endpoint = Admission(clock)
        model = Admission(clock, within=endpoint)
        endpoint.pause()
        waiter = asyncio.ensure_future(model.acquire(1))
        await clock.sleep(3_600)
        assert not waiter.done()
        endpoint.go_on()
        (await waiter).settle(1)

    in_virtual_time(main)


def test_what_headers_say_of_one_model_holds_for_no_other() -> None:
    async def main(clock: VirtualClock) -> None:
        endpoint = Admission(clock)
        one, other = (Admission(clock, governor=Governor(), within=endpoint) for _ in range(2))
        one.follow(SeenLimits(requests_per_min=10, remaining_requests=10))
        assert "of 10 requests/min" in repr(one)
        assert "requests/min" not in repr(other)

    in_virtual_time(main)


def test_sends_of_an_earlier_process_count_for_both() -> None:
    async def main(clock: VirtualClock) -> None:
        endpoint = Admission(clock, tokens_per_min=1_000)
        model = Admission(clock, requests_per_min=2, within=endpoint)
        endpoint.prefill([(10.0, 300), (20.0, 400)])
        model.prefill([(10.0, 300)])
        assert "700 of 1,000 tokens/min" in repr(endpoint)
        assert "1 of 2 requests/min" in repr(model)

    in_virtual_time(main)
