"""The governor and simulated servers: limits found, used nearly in full, followed when they move."""

from __future__ import annotations

import math
from random import Random
from statistics import mean

import pytest
from tests.doubles.simulated_server import (
    Bucket,
    FixedWindow,
    Flaky,
    Gentle,
    InFlightCap,
    Loop,
    Queue,
    Server,
    SlidingWindow,
    fixed,
    lognormal,
)

from engine.llm.adaptive import Governor
from engine.llm.climb import START

SIGMA = 0.6
# Of a lognormal with median 1.
MEAN, P95 = math.exp(SIGMA**2 / 2), math.exp(1.645 * SIGMA)
SEEDS = [1, 2, 3]


def refused_share(loop: Loop) -> float:
    return len(loop.refusals) / (len(loop.refusals) + len(loop.replies))


class TestCapInFlight:
    @pytest.mark.parametrize("seed", SEEDS)
    @pytest.mark.parametrize(
        ("most", "callers", "seconds"), [(4, 64, 0.5), (20, 1_024, 0.5), (100, 1_024, 0.5), (600, 2_000, 2.0)]
    )
    def test_varied_latencies(self, most: int, callers: int, seconds: float, seed: int) -> None:
        loop = Loop(InFlightCap(most), callers, lognormal(seconds, SIGMA), seed)
        loop.run(60)
        assert loop.run(240).rate >= 0.95 * most / (seconds * MEAN)
        assert refused_share(loop) <= 0.01

    @pytest.mark.parametrize(("most", "seconds", "until"), [(4, 0.5, 300), (100, 0.5, 300), (600, 2.0, 300)])
    def test_latencies_all_alike(self, most: int, seconds: float, until: float) -> None:
        loop = Loop(InFlightCap(most), 4_000, fixed(seconds))
        loop.run(60)
        assert loop.run(until).rate >= 0.97 * most / seconds
        assert refused_share(loop) <= 0.01

    def test_two_thousand(self) -> None:
        loop = Loop(InFlightCap(2_000), 4_000, lognormal(3.0, SIGMA))
        loop.run(60)
        assert loop.run(120).rate >= 0.95 * 2_000 / (3.0 * MEAN)
        assert refused_share(loop) <= 0.01

    @pytest.mark.parametrize("seed", SEEDS)
    def test_halved_and_doubled(self, seed: int) -> None:
        server = InFlightCap(100)
        loop = Loop(server, 1_024, lognormal(0.5, SIGMA), seed)
        loop.run(60)
        server.most = 50
        after = loop.run(120)
        assert after.refused_share <= 0.02
        assert after.rate >= 0.9 * 50 / (0.5 * MEAN)
        server.most = 100
        loop.run(180)
        assert loop.run(240).rate >= 0.9 * 100 / (0.5 * MEAN)

    @pytest.mark.parametrize("most", [16, 64, 250])
    def test_is_not_taken_for_a_rate_when_it_falls(self, most: int) -> None:
        halved, doubled = [], []
        for seed in range(1, 9):
            server = InFlightCap(most)
            loop = Loop(server, max(256, 2 * most), lognormal(0.5, 0.4), seed)
            loop.run(90)
            server.most = most // 2
            halved.append(loop.run(180).rate)
            server.most = most
            loop.run(210)
            doubled.append(loop.run(270).rate)
        allowed = most / (0.5 * math.exp(0.4**2 / 2))
        assert mean(halved) >= 0.9 * allowed / 2
        assert mean(doubled) >= 0.85 * allowed


class TestChance:
    @pytest.mark.parametrize("seed", SEEDS[:1])
    @pytest.mark.parametrize(
        ("share", "callers", "seconds"),
        [(0.01, 64, 0.05), (0.05, 16, 0.05), (0.05, 64, 1.0), (0.01, 512, 0.5)],
    )
    def test_refusals_at_random_cost_no_throughput(
        self, share: float, callers: int, seconds: float, seed: int
    ) -> None:
        rates = []
        for is_governed in (True, False):
            server = Flaky(share, seed=seed)
            loop = Loop(server, callers, lognormal(seconds, SIGMA), seed, is_governed=is_governed)
            rates.append((loop.run(60).rate, loop.run(120).rate))
        (first, later), (free_first, free_later) = rates
        assert first >= 0.8 * free_first
        assert later >= 0.95 * free_later

    def test_a_cap_beside_them_is_still_found(self) -> None:
        loop = Loop(Flaky(0.02, SlidingWindow(3_000), 1), 128, lognormal(0.5, SIGMA), 1)
        loop.run(60)
        after = loop.run(240)
        assert after.rate >= 0.9 * 50
        assert after.refused_share <= 0.04


class Storm(Server):
    """Refuses a `share` of the calls until `until`, and nothing afterwards."""

    def __init__(self, share: float, until: float, seed: int) -> None:
        super().__init__()
        self._share, self._until, self._random = share, until, Random(seed)

    def accepts(self, now: float) -> bool:
        return now >= self._until or self._random.random() >= self._share


class TestRecovery:
    """Whatever made the limits too low, minutes later they no longer are."""

    @pytest.mark.parametrize("seed", SEEDS)
    @pytest.mark.parametrize(("callers", "seconds"), [(8, 1.0), (64, 1.0)])
    @pytest.mark.parametrize("outage_s", [5.0, 40.0, 300.0])
    def test_outage_at_the_start(self, outage_s: float, callers: int, seconds: float, seed: int) -> None:
        loop = Loop(Storm(1.0, outage_s, seed), callers, lognormal(seconds, SIGMA), seed)
        loop.run(outage_s + 300)
        assert loop.run(outage_s + 360).rate >= 0.8 * callers / (seconds * MEAN)

    @pytest.mark.parametrize("seed", SEEDS)
    @pytest.mark.parametrize("share", [0.3, 0.6])
    def test_storm_at_the_start(self, share: float, seed: int) -> None:
        loop = Loop(Storm(share, 30.0, seed), 64, lognormal(1.0, SIGMA), seed)
        loop.run(1_500)
        assert loop.run(1_560).rate >= 0.8 * 64 / MEAN

    @pytest.mark.parametrize("seed", SEEDS)
    def test_one_in_seven_refused_for_ever(self, seed: int) -> None:
        rates = []
        for is_governed in (True, False):
            server = Flaky(1 / 7, seed=seed)
            loop = Loop(server, 64, lognormal(1.0, SIGMA), seed, is_governed=is_governed)
            loop.run(600)
            rates.append(loop.run(900).rate)
        assert rates[0] >= 0.9 * rates[1]


class TestCapOnTheRate:
    @pytest.mark.parametrize("seed", SEEDS[:2])
    @pytest.mark.parametrize("has_hint", [False, True])
    @pytest.mark.parametrize("per_min", [1_200, 3_000, 20_000])
    @pytest.mark.parametrize("kind", ["second", "minute", "window"])  # the last: sliding
    def test_any_window(self, kind: str, per_min: int, has_hint: bool, seed: int) -> None:
        server = (
            SlidingWindow(per_min, has_hint=has_hint)
            if kind == "window"
            else Bucket(per_min, 1 if kind == "second" else 60, has_hint=has_hint)
        )
        loop = Loop(server, 1_024, lognormal(0.5, SIGMA), seed)
        loop.run(60)
        first = loop.run(150)
        assert first.rate >= (0.75 if kind == "window" else 0.9) * per_min / 60
        assert first.refused_share <= 0.02
        later = loop.run(300)
        assert later.rate >= 0.95 * per_min / 60
        assert later.refused_share <= 0.01

    @pytest.mark.parametrize("seed", SEEDS[:2])
    @pytest.mark.parametrize("holds_s", [1, 60])
    def test_halved_and_doubled(self, holds_s: int, seed: int) -> None:
        server = Bucket(12_000, holds_s)
        loop = Loop(server, 1_024, lognormal(0.5, SIGMA), seed)
        loop.run(120)
        server.per_min = 6_000
        after = loop.run(180)
        assert after.rate >= 0.8 * 100
        loop.run(240)
        assert loop.run(300).refused_share <= 0.01
        server.per_min = 12_000
        loop.run(390)
        assert loop.run(450).rate >= 0.85 * 200

    @pytest.mark.parametrize("per_min", [60, 300, 600])
    @pytest.mark.parametrize("kind", [SlidingWindow, FixedWindow])
    def test_slow_windows(self, kind: type[SlidingWindow | FixedWindow], per_min: int) -> None:
        loop = Loop(kind(per_min), 64, lognormal(0.5, SIGMA), 1)
        loop.run(60)
        later = loop.run(300)
        assert later.rate >= 0.95 * per_min / 60
        assert later.refused_share <= 0.01

    @pytest.mark.parametrize(("per_min", "holds_s"), [(12_000, 1), (3_600, 60)])
    def test_is_taken_neither_for_chance_nor_for_nothing(self, per_min: int, holds_s: int) -> None:
        rates, halved = [], []
        for seed in range(8):
            server = Bucket(per_min, holds_s)
            loop = Loop(server, 256, lognormal(0.5, 0.4), seed)
            loop.run(60)
            rates.append(loop.run(150).rate)
            server.per_min = per_min / 2
            halved.append(loop.run(240))
        assert mean(rates) >= 0.95 * per_min / 60
        assert min(rates) >= 0.9 * per_min / 60
        assert min(seen.rate for seen in halved) >= 0.8 * per_min / 120
        assert mean(seen.refused_share for seen in halved) <= 0.01

    def test_a_bucket_of_a_second_from_the_start_halved_and_doubled(self) -> None:
        phases = []
        for seed in range(1, 13):
            server = Bucket(3_600, 1)
            loop = Loop(server, 256, lognormal(0.5, 0.4), seed)
            first = loop.run(90)
            server.per_min = 1_800
            halved = loop.run(180)
            loop.run(270)
            server.per_min = 3_600
            phases.append((first, halved, loop.run(360)))
        for (seen, used), per_min in zip(
            ((0, 0.93), (1, 0.93), (2, 0.8)), (3_600, 1_800, 3_600), strict=True
        ):
            assert mean(phase[seen].rate for phase in phases) >= used * per_min / 60
            assert mean(phase[seen].refused_share for phase in phases) <= 0.01

    def test_a_slow_bucket(self) -> None:
        later = []
        for seed in range(1, 13):
            loop = Loop(Bucket(300, 1), 64, lognormal(0.5, SIGMA), seed)
            loop.run(90)
            later.append(loop.run(300))
        assert mean(seen.rate for seen in later) >= 0.88 * 5
        assert mean(seen.refused_share for seen in later) <= 0.01

    def test_a_large_window_that_opens_slowly(self) -> None:
        loop = Loop(SlidingWindow(60_000), 1_500, lognormal(0.5, SIGMA), 1)
        loop.run(60)
        second = loop.run(90)
        assert second.rate >= 0.75 * 1_000
        assert second.refused_share <= 0.01

    def test_one_that_fell_is_not_taken_for_chance_for_long(self) -> None:
        shares = []
        for seed in range(12):
            server = Bucket(3_600, 1)
            loop = Loop(server, 256, lognormal(0.5, 0.4 if seed % 2 else SIGMA), seed)
            loop.run(150)
            server.per_min = 1_800
            loop.run(240)
            shares.append(loop.run(300).refused_share)
        assert mean(shares) <= 0.01

    def test_the_rate_is_told(self) -> None:
        loop = Loop(Bucket(3_000, 1), 1_024, lognormal(0.5, SIGMA), 1)
        loop.run(240)
        found = loop.governor.requests_per_min
        assert found is not None
        assert 2_700 <= found <= 3_500
        assert "requests/min" in repr(loop.governor)


class TestServersThatOnlySlowDown:
    @pytest.mark.parametrize("seed", SEEDS)
    @pytest.mark.parametrize("width", [16, 64, 200, 600])
    def test_queue(self, width: int, seed: int) -> None:
        loop = Loop(Queue(width), 1_024, lognormal(0.5, SIGMA), seed)
        loop.run(60)
        seen = loop.run(240)
        assert seen.rate >= 0.9 * width / (0.5 * MEAN)
        assert seen.p95_s <= 2 * 0.5 * P95

    @pytest.mark.parametrize("width", [64, 200, 600])
    def test_queue_with_latencies_all_alike(self, width: int) -> None:
        loop = Loop(Queue(width), 1_024, fixed(0.5))
        loop.run(60)
        seen = loop.run(180)
        assert seen.rate >= 0.95 * width / 0.5
        assert seen.p95_s <= 2.01 * 0.5

    @pytest.mark.parametrize("seed", SEEDS[:2])
    def test_queue_halved_and_doubled(self, seed: int) -> None:
        server = Queue(100)
        loop = Loop(server, 1_024, lognormal(0.5, SIGMA), seed)
        loop.run(90)
        server.set_width(50)
        assert loop.run(180).rate >= 0.95 * 50 / (0.5 * MEAN)
        assert loop.run(240).p95_s <= 2 * 0.5 * P95
        server.set_width(100)
        loop.run(330)
        assert loop.run(390).rate >= 0.9 * 100 / (0.5 * MEAN)

    @pytest.mark.parametrize("seed", SEEDS[:2])
    def test_throughput_that_still_grows_is_not_given_up(self, seed: int) -> None:
        loop = Loop(Gentle(64), 1_024, lognormal(0.5, SIGMA), seed)
        loop.run(120)
        # Twice the calls in flight would bring about 20 % at this share of what no number could exceed.
        assert loop.run(300).rate >= 0.7 * 64 / (0.5 * MEAN)

    def test_no_limit_at_all(self) -> None:
        loop = Loop(Server(), 1_024, fixed(0.5))
        loop.run(5)
        assert loop.governor.in_flight_limit == 1_024
        assert loop.run(60).rate >= 0.99 * 1_024 / 0.5

    @pytest.mark.parametrize("seed", SEEDS)
    def test_no_limit_and_varied_latencies(self, seed: int) -> None:
        loop = Loop(Server(), 1_024, lognormal(0.5, SIGMA), seed)
        loop.run(15)
        assert loop.run(90).rate >= 0.95 * 1_024 / (0.5 * MEAN)


class TestNoiseAndIdleness:
    def test_a_quiet_time_changes_nothing(self) -> None:
        loop = Loop(InFlightCap(100), 1_024, lognormal(0.5, SIGMA))
        loop.run(60)
        loop.set_callers(5)
        loop.run(80)
        before = loop.governor.in_flight_limit
        loop.run(200)
        assert loop.governor.in_flight_limit == before >= 98
        loop.set_callers(1_024)
        after = loop.run(230)
        assert after.rate >= 0.95 * 100 / (0.5 * MEAN)
        assert after.refused_share <= 0.01

    def test_low_load_from_the_start_does_not_grow_the_limit(self) -> None:
        loop = Loop(Server(), 1_024, fixed(0.5))
        loop.set_callers(0)
        loop.run(5)
        governor = Governor()
        for number in range(1_000):
            governor.on_send(number)
            governor.on_reply(number + 0.5, latency_s=0.5, output_tokens=9, in_service=0, is_saturated=False)
        assert governor.in_flight_limit == START
        assert governor.requests_per_min is None

    @pytest.mark.parametrize("every_s", [30.0, 1_000.0])
    def test_stray_refusals_cost_little(self, every_s: float) -> None:
        class Stray(Server):
            next_at = 50.0

            def accepts(self, now: float) -> bool:
                if now < self.next_at:
                    return True
                self.next_at += every_s
                return False

        loop = Loop(Stray(), 512, lognormal(0.5, SIGMA))
        loop.run(49)
        assert loop.run(70).rate >= 0.95 * 512 / (0.5 * MEAN)
        assert loop.run(150).rate >= 0.9 * 512 / (0.5 * MEAN)

    def test_slow_outliers_cost_little(self) -> None:
        def work(random: Random) -> float:
            return 20.0 if random.random() < 0.001 else 0.5

        loop = Loop(Server(), 256, work)
        loop.run(30)
        assert loop.run(150).rate >= 0.95 * 256 / (0.5 + 0.001 * 19.5)

    def test_failures_are_no_news(self) -> None:
        governor = Governor()
        for number in range(100):
            governor.on_send(number)
            governor.on_failure(number)
        assert governor.in_flight_limit == START
        assert governor.wait_s(100.0) == 0


def test_hint_is_kept_when_nothing_is_served() -> None:
    governor = Governor()
    governor.on_send(0.0)
    governor.on_throttle(0.02, sent_at=0.0, in_service=0, retry_after_s=30.0)
    assert governor.wait_s(1.0) == pytest.approx(29.02)
    assert governor.held_until == pytest.approx(30.02)


def test_at_most_what_is_allowed() -> None:
    assert Governor(most=3).in_flight_limit == 3
    loop = Loop(Server(), 50, fixed(0.1))
    loop.run(30)
    assert loop.governor.in_flight_limit == 50
