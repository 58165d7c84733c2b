"""Input and output tokens limited apart, and limits that a server's headers name."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from benchmarks.server_limits import Allowance, SlidingWindow, TokenBucket
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.doubles.sent import WINDOW_S, most_in_a_window
from tests.doubles.virtual_clock import VirtualClock, in_virtual_time

from engine.errors import ConfigError
from engine.llm.adaptive import Governor
from engine.llm.limits import Admission
from engine.llm.rate_headers import SeenLimits

NONE: dict[str, int | None] = {"requests_per_min": None, "tokens_per_min": None, "max_in_flight": None}


sizes = st.tuples(st.integers(0, 500), st.integers(0, 500), st.sampled_from([0.0, 0.3, 1.0]))


@settings(deadline=None, max_examples=60)
@given(st.lists(sizes, min_size=1, max_size=60), st.sampled_from([500, 2_000]), st.sampled_from([600, 5_000]))
def test_neither_kind_is_ever_over_and_order_is_kept(
    calls: list[tuple[int, int, float]], inputs: int, outputs: int
) -> None:
    async def main(clock: VirtualClock) -> None:
        admission = Admission(clock, input_tokens_per_min=inputs, output_tokens_per_min=outputs)
        sent: list[tuple[float, int, int]] = []
        order: list[int] = []

        async def ask(number: int, call: tuple[int, int, float]) -> None:
            prompt, most_output, share = call
            permit = await admission.acquire(prompt + most_output, most_output)
            order.append(number)
            output = int(most_output * share)
            sent.append((clock.now(), prompt, output))
            await clock.sleep(1.0)
            permit.settle(prompt + output, output)

        async with asyncio.TaskGroup() as group:
            for number, call in enumerate(calls):
                group.create_task(ask(number, call))
        assert order == list(range(len(calls)))
        assert most_in_a_window([(time, prompt) for time, prompt, _ in sent]) <= inputs
        assert most_in_a_window([(time, output) for time, _, output in sent]) <= outputs
        await clock.sleep(WINDOW_S + 1)
        assert f" 0 of {inputs:,} input tokens/min" in repr(admission)
        assert f" 0 of {outputs:,} output tokens/min" in repr(admission)

    in_virtual_time(main)


@pytest.mark.parametrize("make", [TokenBucket, SlidingWindow])
@pytest.mark.parametrize("kind", ["requests", "tokens", "input", "output"])
def test_a_server_with_that_limit_is_used_in_full_and_refuses_nothing(
    kind: str, make: Callable[[int], Allowance]
) -> None:
    per_min = 600 if kind == "requests" else 60_000
    amount = {"requests": 1, "tokens": 150, "input": 100, "output": 50}[kind]
    name = f"{kind}_per_min" if kind in ("requests", "tokens") else f"{kind}_tokens_per_min"

    async def main(clock: VirtualClock) -> None:
        server = make(per_min)
        admission = Admission(clock)
        admission.set_limits(**{**NONE, name: per_min})
        started = clock.now()
        served: list[float] = []
        refused = 0

        async def keep_asking() -> None:
            nonlocal refused
            while True:
                permit = await admission.acquire(100 + 400, 400)
                if server.wait_s(clock.now(), amount) > 0:
                    refused += 1
                server.take(clock.now(), amount)
                served.append(clock.now())
                await clock.sleep(0.7)
                permit.settle(150, 50)

        tasks = [asyncio.ensure_future(keep_asking()) for _ in range(80)]
        await clock.sleep(5 * WINDOW_S)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        assert refused == 0
        later = sum(time >= started + WINDOW_S for time in served)
        # What calls in the air have reserved and will not use cannot be used by others meanwhile.
        reserved = {"requests": 1, "tokens": 500, "input": 100, "output": 400}[kind]
        attainable = 1 / (1 + 0.7 * (reserved - amount) / (WINDOW_S * amount))
        assert later * amount >= 0.98 * attainable * 4 * per_min

    in_virtual_time(main)


def test_a_request_that_neither_kind_can_hold_is_refused() -> None:
    async def main(clock: VirtualClock) -> None:
        admission = Admission(clock, output_tokens_per_min=100)
        with pytest.raises(ConfigError, match="output_tokens_per_min"):
            admission.try_acquire(300, 200)
        assert admission.try_acquire(300, 100) is not None

    in_virtual_time(main)


def test_a_kind_that_is_limited_later_counts_what_was_sent() -> None:
    async def main(clock: VirtualClock) -> None:
        admission = Admission(clock)
        (await admission.acquire(90, 40)).settle(90, 40)
        admission.set_limits(
            requests_per_min=None, tokens_per_min=None, max_in_flight=None, output_tokens_per_min=100
        )
        started = clock.now()
        await admission.acquire(20, 20)
        assert clock.now() - started == pytest.approx(60.5, abs=0.1)

    in_virtual_time(main)


class TestHeaders:
    def test_a_limit_that_is_named_paces_at_once_and_counts_what_was_sent(self) -> None:
        async def main(clock: VirtualClock) -> None:
            admission = Admission(clock, governor=Governor())
            for _ in range(6):
                (await admission.acquire(10)).settle(10)
            admission.follow(SeenLimits(requests_per_min=10, remaining_requests=4))
            started = clock.now()
            for _ in range(5):
                (await admission.acquire(10)).settle(10)
            assert clock.now() - started >= 59
            assert admission.limits["requests_per_min"] is None

        in_virtual_time(main)

    def test_what_others_use_is_left_to_them(self) -> None:
        async def main(clock: VirtualClock) -> None:
            admission = Admission(clock)
            admission.follow(SeenLimits(requests_per_min=100, remaining_requests=60))
            assert "of 60 requests/min" in repr(admission)
            admission.follow(SeenLimits(requests_per_min=100, remaining_requests=100))
            assert "of 100 requests/min" in repr(admission)

        in_virtual_time(main)

    def test_kinds_that_are_named_apart_are_used_in_full_apart(self) -> None:
        """Prompts are ten times as long as replies: the smaller limit for both would leave most unused."""

        async def main(clock: VirtualClock) -> None:
            admission = Admission(clock, governor=Governor(64))
            admission.follow(SeenLimits(input_tokens_per_min=60_000, output_tokens_per_min=12_000))
            sent: list[tuple[float, int, int]] = []

            async def keep_asking() -> None:
                while True:
                    permit = await admission.acquire(1_000 + 200, 200)
                    sent.append((clock.now(), 1_000, 100))
                    await clock.sleep(0.5)
                    permit.settle(1_100, 100)

            tasks = [asyncio.ensure_future(keep_asking()) for _ in range(8)]
            await clock.sleep(3 * WINDOW_S)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            assert most_in_a_window([(time, prompt) for time, prompt, _ in sent]) <= 60_000
            assert len(sent) >= 0.95 * 3 * 60

        in_virtual_time(main)

    def test_what_others_use_of_either_kind_is_left_to_them(self) -> None:
        async def main(clock: VirtualClock) -> None:
            admission = Admission(clock)
            admission.follow(
                SeenLimits(
                    input_tokens_per_min=10_000, remaining_input_tokens=10_000,
                    output_tokens_per_min=1_000, remaining_output_tokens=600,
                )
            )  # fmt: skip
            assert "of 10,000 input tokens/min" in repr(admission)
            assert "of 600 output tokens/min" in repr(admission)

        in_virtual_time(main)

    def test_what_is_configured_wins(self) -> None:
        async def main(clock: VirtualClock) -> None:
            admission = Admission(clock, requests_per_min=50, output_tokens_per_min=1_000)
            admission.follow(SeenLimits(requests_per_min=10, tokens_per_min=500, input_tokens_per_min=500))
            assert "of 50 requests/min" in repr(admission)
            assert "of 500 " not in repr(admission)

        in_virtual_time(main)

    def test_a_limit_below_one_request_ends_no_run(self) -> None:
        async def main(clock: VirtualClock) -> None:
            admission = Admission(clock)
            (await admission.acquire(2_000)).settle(2_000)
            admission.follow(SeenLimits(tokens_per_min=1_000))
            await admission.acquire(2_000)
            (await admission.acquire(2_000, 500)).settle(2_000)
            admission.follow(SeenLimits(input_tokens_per_min=1_000, output_tokens_per_min=100))
            await admission.acquire(2_000, 500)

        in_virtual_time(main)
