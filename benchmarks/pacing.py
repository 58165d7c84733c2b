"""`python -m benchmarks.pacing`: what aiolimiter does with a limit per minute, beside the engine's admission.

Virtual time, so the figures are exact and the same everywhere. Callers always wait, for 3 minutes. `most` is
what was sent in the worst 60 s, as a share of the limit: above 1, a sliding window at the server refuses.
`used` is the share over minutes 2 and 3. The large request is half of the limit, asked for after 5 s among
small ones of 1 %: how long it waited.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from aiolimiter import AsyncLimiter
from tests.doubles.sent import WINDOW_S, most_in_a_window
from tests.doubles.virtual_clock import VirtualClock, in_virtual_time

from engine.llm.limits import Admission, Limits

PER_MIN = 12_000
SMALL, LARGE = PER_MIN // 100, PER_MIN // 2
CALLERS = 20
SECONDS = 3 * WINDOW_S
Acquire = Callable[[int], Awaitable[object]]


def measure(
    name: str, make: Callable[[VirtualClock], Acquire], small: int = SMALL, large: int = LARGE
) -> str:
    """One line of the table."""
    sent: list[tuple[float, int]] = []
    waited: list[float] = []
    started = 0.0

    async def main(clock: VirtualClock) -> None:
        nonlocal started
        acquire, started = make(clock), clock.now()

        async def keep_asking() -> None:
            while True:
                await acquire(small)
                sent.append((clock.now(), small))

        async def ask_once() -> None:
            await clock.sleep(5.0)
            asked_at = clock.now()
            await acquire(large)
            sent.append((clock.now(), large))
            waited.append(clock.now() - asked_at)

        tasks = [asyncio.ensure_future(keep_asking()) for _ in range(CALLERS)]
        if large:
            tasks.append(asyncio.ensure_future(ask_once()))
        await clock.sleep(SECONDS)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    in_virtual_time(main)
    later = sum(amount for at, amount in sent if at - started >= WINDOW_S)
    wait = "" if not large else f"{waited[0]:.0f} s" if waited else f"not within {SECONDS - 5:.0f} s"
    most = most_in_a_window(sent) / PER_MIN
    return f"| {name} | {most:.3f} | {later / (PER_MIN * (SECONDS - WINDOW_S) / WINDOW_S):.3f} | {wait} |"


def by_limiter(amount: float, seconds: float) -> Callable[[VirtualClock], Acquire]:
    """aiolimiter with a bucket of `amount` that fills in `seconds`."""
    return lambda clock: AsyncLimiter(amount, seconds).acquire


def by_admission(*, tokens: bool) -> Callable[[VirtualClock], Acquire]:
    """The engine's, for tokens or requests a minute."""

    def make(clock: VirtualClock) -> Acquire:
        limits: Limits = {"tokens_per_min": PER_MIN} if tokens else {"requests_per_min": PER_MIN}
        admission = Admission(clock, **limits)

        async def acquire(amount: int) -> None:
            (await admission.acquire(amount)).settle(amount)

        return acquire

    return make


def main() -> None:
    """Print the table."""
    print("| tokens a minute | most | used | the large request waited |\n|---|---|---|---|")
    print(measure("AsyncLimiter(n, 60)", by_limiter(PER_MIN, 60)))
    print(measure("AsyncLimiter(n / 100, 0.6), large in parts", by_parts()))
    print(measure("the engine", by_admission(tokens=True)))
    print("\n| requests a minute | most | used | |\n|---|---|---|---|")
    print(measure("AsyncLimiter(n, 60)", by_limiter(PER_MIN, 60), 1, 0))
    print(measure("AsyncLimiter(n / 60, 1)", by_limiter(PER_MIN / 60, 1), 1, 0))
    print(measure("AsyncLimiter(n / 100, 0.6)", by_limiter(PER_MIN / 100, 0.6), 1, 0))
    print(measure("the engine, which adds a window to the last", by_admission(tokens=False), 1, 0))


def by_parts() -> Callable[[VirtualClock], Acquire]:
    """A bucket of 1 %, from which a larger request is taken in parts, as it holds no more at a time."""

    def make(clock: VirtualClock) -> Acquire:
        limiter = AsyncLimiter(PER_MIN / 100, 0.6)

        async def acquire(amount: int) -> None:
            while amount > 0:
                part = min(amount, PER_MIN // 100)
                await limiter.acquire(part)
                amount -= part

        return acquire

    return make


if __name__ == "__main__":
    main()
