"""What a watcher is told: the same whether it looks once or after each row, and never more than it read."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.journal.inputs import encode_plan
from engine.journal.journal import Journal
from engine.journal.reader import Reader
from engine.runner import overview
from engine.runner.overview import Overview, Recent, RunWatch
from engine.schema.call import CallKey, CallKind, Usage
from engine.schema.conversation import STAGE
from engine.schema.plan import Plan

PLANNED = 40


class StepClock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.time = 1_000_000.0

    def now(self) -> float:
        return self.time

    def wall(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += seconds


class Bench:
    """A journal that is written by hand while a watcher reads it."""

    def __init__(self, folder: Path) -> None:
        self.clock = StepClock()
        self.journal = Journal(folder, self.clock)
        self.calls: dict[str, list[int]] = {}

    async def __aenter__(self) -> Bench:
        await self.journal.__aenter__()
        await self.journal.put_meta("plan", encode_plan(Plan(("p",), (("t", 0),), PLANNED)))
        await self.journal.begin_session(concurrency=1, settings="{}")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.journal.__aexit__(None, None, None)

    async def reply(self, item: str) -> None:
        calls = self.calls.setdefault(item, [])
        key = CallKey(STAGE, item, f"user-{len(calls)}")
        seq = await self.journal.append_reply(
            key, request_digest=b"d", reply=b"r", endpoint="e", tries=1,
            sent_at=self.clock.time, latency_s=0.0, usage=Usage(10, 2, 1),
        )  # fmt: skip
        calls.append(seq)

    def fail(self, item: str, note: bytes = b"HTTP 500", kind: CallKind = CallKind.FAILED) -> None:
        self.journal.note_failure(
            CallKey(STAGE, item, "user-9"), kind, request_digest=b"d", note=note, endpoint="e", tries=1,
            sent_at=self.clock.time, latency_s=0.0,
        )  # fmt: skip

    async def end(self, item: str, result: str = "goodbye", note: str = "") -> None:
        await self.journal.append_outcome(
            STAGE, item, result=result, note=note, rounds=1, calls=self.calls.get(item, [])
        )

    def look(self, watch: RunWatch, *, is_held: bool = True) -> Overview:
        return watch.look(self.clock.time, is_held=is_held)


def watch_of(bench: Bench) -> RunWatch:
    return RunWatch(Reader(bench.journal.reader.path))


actions = st.lists(
    st.tuples(st.sampled_from(["reply", "reply", "fail", "end", "end failed", "look"]), st.integers(0, 4)),
    max_size=40,
)


@settings(max_examples=25)
@given(actions, st.sampled_from([1, 3, 1_000]))
def test_looking_often_and_looking_once_say_the_same(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]], rows_a_look: int
) -> None:
    async def main() -> None:
        folder = tmp_path_factory.mktemp("run")
        async with Bench(folder) as bench:
            often = watch_of(bench)
            for action, number in steps:
                item = f"t-0-p-{number}"
                bench.clock.time += 1
                if action == "reply":
                    await bench.reply(item)
                elif action == "fail":
                    bench.fail(item)
                elif action == "look":
                    bench.look(often)
                else:
                    await bench.end(item, "failed" if "failed" in action else "goodbye")
            await bench.journal.put_meta("x", "")  # behind all that was not waited for
            once = watch_of(bench)
            while (seen := bench.look(once)).counted < 1:
                pass
            while (seen_often := bench.look(often)).counted < 1:
                pass
            assert seen == seen_often
            assert set(bench.journal.unfinished_items(STAGE)) == {slow.item for slow in seen.slowest}

    before = overview._CALLS_A_LOOK
    overview._CALLS_A_LOOK = rows_a_look
    try:
        asyncio.run(main())
    finally:
        overview._CALLS_A_LOOK = before


@pytest.mark.asyncio
async def test_facts_of_a_small_run(tmp_path: Path) -> None:
    async with Bench(tmp_path / "run") as bench:
        watch = watch_of(bench)
        first = bench.look(watch)
        assert (first.planned, first.ended, first.eta_s, first.counted) == (PLANNED, 0, None, 1.0)
        for number in range(12):
            await bench.reply(f"t-0-p-{number}")
        bench.clock.time += 100
        for number in range(10):
            await bench.end(f"t-0-p-{number}")
        bench.fail("t-0-p-10", b"HTTP 500: later")
        await bench.reply("t-0-p-10")
        bench.fail("t-0-p-11", b"cut", CallKind.POSSIBLY_PAID)
        await bench.end("t-0-p-11", "failed", '{"step": "user-9", "message": "gave up"}')
        facts = bench.look(watch)
        assert (facts.ended, facts.unfinished) == (11, 1)
        assert facts.end_reasons == {"failed": 1, "goodbye": 10}
        assert facts.conversations_per_min == pytest.approx(11 * 60 / 100)
        assert facts.eta_s == pytest.approx((PLANNED - 11) * 100 / 11)
        (slow,) = facts.slowest
        assert (slow.item, slow.age_s, slow.turns) == ("t-0-p-10", 100, 2)
        assert {mishap.text for mishap in facts.mishaps} == {"HTTP 500: later", "cut"}
        assert (facts.calls, facts.failed_calls, facts.possibly_paid_calls) == (13, 1, 1)
        assert (facts.prompt_tokens, facts.completion_tokens, facts.cached_tokens) == (130, 26, 13)
        # Taken up again and ended well: it counts once, as what it is now.
        await bench.end("t-0-p-11")
        assert bench.look(watch).end_reasons == {"goodbye": 11}
        assert bench.look(watch, is_held=False).state == "killed"


@pytest.mark.asyncio
async def test_a_paused_run_has_no_eta(tmp_path: Path) -> None:
    async with Bench(tmp_path / "run") as bench:
        await bench.reply("t-0-p-1")
        await bench.end("t-0-p-1")
        await bench.journal.put_meta("paused", "yes")
        facts = bench.look(watch_of(bench))
        assert (facts.state, facts.eta_s) == ("paused", None)


def test_a_rate_is_taken_over_the_shortest_span_that_holds_enough() -> None:
    recent = Recent()
    assert recent.per_s(10_000.0) is None
    for second in range(9_400, 10_000, 100):  # six in ten minutes
        recent.add(float(second))
    assert recent.per_s(10_000.0) == pytest.approx(6 / 3600)
    for second in range(9_800, 10_000, 10):
        recent.add(float(second))
    assert recent.per_s(10_000.0) == pytest.approx((20 + 3) / 300)
    recent.per_s(20_000.0)
    assert recent.slots == {}


def test_a_rate_does_not_reach_back_before_what_is_known() -> None:
    recent = Recent(begin=9_900.0)
    for second in range(9_000, 10_000, 5):
        recent.add(float(second))
    assert recent.per_s(10_000.0) == pytest.approx(20 / 100)
    recent.known_since = 9_950.0
    assert recent.per_s(10_000.0) == pytest.approx(10 / 50)
