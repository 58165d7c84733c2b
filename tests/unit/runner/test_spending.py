"""What earlier sessions spent, from a journal: settled, possibly paid, uncounted, and in the air at kills."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.clock import SystemClock
from engine.config.model_settings import ModelSettings
from engine.config.settings import RunConfig
from engine.dataset.costs import read_costs
from engine.errors import ConfigError
from engine.journal.journal import Journal
from engine.llm.budget import Spent
from engine.llm.prices import PRICES, Price, encode_prices
from engine.runner.reservations import Reservations
from engine.runner.spending import merged_accounts, open_budget, spent_before
from engine.schema.call import CallKey, CallKind, Usage

TALK, JUDGE = "conversation", "intent@j"
SIMULATOR, ASSISTANT, JUDGED = Price(1, 0, 1, 2), Price(10, 5, 10, 20), Price(100, 100, 100, 100)
BY_MODEL = {"s": SIMULATOR, "a": ASSISTANT, "j": JUDGED}
FREE = RunConfig()
LIMITED = RunConfig.model_validate({"budget": {"max_cost_usd": 1}})


async def begin(journal: Journal, concurrency: int = 3) -> Reservations:
    await journal.put_identity(TALK, {
        "simulator.model": '"s"', "simulator.max_tokens": "50", "assistant.model": '"a"',
        "assistant.max_tokens": "60",
    })  # fmt: skip
    await journal.put_identity(JUDGE, {"model.model": '"j"', "model.max_tokens": "7"})
    await journal.begin_session(concurrency=concurrency, settings="{}")
    return Reservations(journal)


async def reply(journal: Journal, stage: str, step: str, usage: Usage) -> None:
    await journal.append_reply(
        CallKey(stage, "item", step), request_digest=b"d", reply=b"{}", endpoint="e", tries=1, sent_at=1.0,
        latency_s=0.0, usage=usage,
    )  # fmt: skip


def lose(journal: Journal, stage: str, step: str, kind: CallKind, usage: Usage) -> None:
    journal.note_failure(
        CallKey(stage, "item", step), kind, request_digest=b"d", note=b"", endpoint="e", tries=1, sent_at=1.0,
        latency_s=0.0, usage=usage,
    )  # fmt: skip


@pytest.mark.asyncio
async def test_all_stages_count_each_side_at_its_own_price_and_cached_tokens_less(tmp_path: Path) -> None:
    async with Journal(tmp_path, SystemClock()) as journal:
        await begin(journal)
        await reply(journal, TALK, "user-1", Usage(10, 5))
        await reply(journal, TALK, "debrief-user-1", Usage(1, 0))
        await reply(journal, TALK, "assistant-1", Usage(10, 5, 4))
        await reply(journal, JUDGE, "turn-1", Usage(2, 1))
        lose(journal, TALK, "user-2", CallKind.FAILED, Usage())
        await journal.end_session("done")
        cost = (11 * 1 + 5 * 2) + (6 * 10 + 4 * 5 + 5 * 20) + 300
        assert spent_before(journal.reader, BY_MODEL, FREE) == Spent(cost, 15 + 1 + 15 + 3, 0)
        assert journal.reader.totals().prompt_tokens == 23


@pytest.mark.asyncio
async def test_what_may_have_been_paid_counts_at_its_bound_and_uncounted_replies_at_the_largest(
    tmp_path: Path,
) -> None:
    async with Journal(tmp_path, SystemClock()) as journal:
        reservations = await begin(journal)
        await reservations.note("user", 80)
        lose(journal, TALK, "user-1", CallKind.POSSIBLY_PAID, Usage(20, 50))
        await reply(journal, TALK, "user-1", Usage(0, 0))
        await journal.end_session("done")
        possibly = (20 + 50 * 2) + (30 + 50 * 2)
        assert spent_before(journal.reader, BY_MODEL, FREE) == Spent(possibly, 70 + 80, possibly)
        totals = journal.reader.totals()
        assert (totals.possibly_paid, totals.prompt_tokens, totals.completion_tokens) == (1, 0, 0)


@pytest.mark.asyncio
async def test_a_killed_session_had_its_whole_concurrency_in_the_air_at_the_dearest_bound(
    tmp_path: Path,
) -> None:
    async with Journal(tmp_path, SystemClock()) as journal:
        reservations = await begin(journal, concurrency=3)
        await reservations.note("user", 1_000)  # large and cheap
        await reservations.note("assistant", 100)
        await reservations.note(JUDGE, 30)  # no call of it came back
        dearest = max(950 + 50 * 2, 40 * 10 + 60 * 20, 30 * 100)
        assert spent_before(journal.reader, BY_MODEL, FREE) == Spent(3 * dearest, 3 * 1_000, 3 * dearest)
        await journal.put_meta(PRICES, encode_prices(BY_MODEL))
        assert read_costs(journal.reader).possibly == 3 * dearest
        assert read_costs(journal.reader, is_held=True).possibly == 0
        # A run that is made of this one, twice, counts with the same prices and bounds.
        kept = merged_accounts([journal.reader, journal.reader])
        assert kept[PRICES] == encode_prices(BY_MODEL)
        assert (kept["largest_reservation.user"], kept[f"largest_reservation.{JUDGE}"]) == ("1000", "30")


@pytest.mark.asyncio
async def test_money_is_not_limited_without_a_price_for_every_model(tmp_path: Path) -> None:
    async with Journal(tmp_path, SystemClock()) as journal:
        await begin(journal)
        await reply(journal, JUDGE, "turn-1", Usage(2, 1))
        with pytest.raises(ConfigError, match=r"'j', which was asked in this run"):
            spent_before(journal.reader, {"s": SIMULATOR}, LIMITED)
        assert spent_before(journal.reader, {}, FREE).tokens == 3 + 0
        with pytest.raises(ConfigError, match=r"'new', which is asked"):
            await open_budget(journal, LIMITED, [ModelSettings(model="new")], {}, again="x")


@pytest.mark.asyncio
async def test_without_prices_and_limits_there_is_no_budget(tmp_path: Path) -> None:
    async with Journal(tmp_path, SystemClock()) as journal:
        idle = await open_budget(journal, FREE, [ModelSettings(model="m")], {}, again="x")
        assert not idle.is_of_use
        priced = RunConfig.model_validate({"prices": {"m": {"input": 1, "output": 1}}})
        budget = await open_budget(journal, priced, [ModelSettings(model="m")], {}, again="x")
        assert budget is not None
        assert (budget.max_cost, budget.max_tokens) == (None, None)
        # Kept, so that later sessions and other commands count alike.
        later = await open_budget(journal, FREE, [ModelSettings(model="m")], {}, again="x")
        assert later is not None
        assert later.prices == budget.prices
