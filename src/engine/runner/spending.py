"""Opens a session's budget: prices for its models, and what earlier sessions spent, from the journal alone.

Refused before any call: a limit in money without a price for every model that is asked, or was. A killed
session may have paid for as many calls as it could have in the air, each at the largest bound on record. The
prices that a session counted with stay in the journal, so that `status` and the summary count alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path

from anyio import to_thread

from engine.config.endpoint_settings import EndpointSettings
from engine.config.matrix import variants_of
from engine.config.model_settings import ModelSettings
from engine.config.settings import RunConfig
from engine.errors import ConfigError
from engine.journal.journal import Journal
from engine.journal.reader import Reader
from engine.journal.usage import in_flight_at_kills, largest_calls, read_usage, reservation_key
from engine.llm.budget import Budget, Spent
from engine.llm.prices import PRICES as PRICES
from engine.llm.prices import Price, decode_prices, encode_prices, pico_of, prices_of
from engine.schema.call import Usage


async def open_budget(
    journal: Journal,
    config: RunConfig,
    models: Iterable[ModelSettings],
    endpoints: Mapping[str, EndpointSettings],
    *,
    again: str,
) -> Budget:
    """The budget of a session that will ask `models`; also where there is no limit yet, since one may come.

    For before the session begins. Raises ConfigError where a price is missing.
    """
    asked = list(models)
    limits = config.budget
    stored = decode_prices(journal.reader.meta(PRICES))
    prices = stored | prices_of(config, asked, endpoints)
    check_prices(config, asked, prices)
    if prices != stored:
        await journal.put_meta(PRICES, encode_prices(prices))
    # Every row is read for this: without a limit nobody needs to know at the start.
    spent = spent_before(journal.reader, prices, config) if limits.is_set else Spent()
    return Budget(
        prices,
        max_cost=None if limits.max_cost_usd is None else pico_of(limits.max_cost_usd),
        max_tokens=limits.max_tokens,
        spent=spent,
        again=again,
    )


async def change_budget(budget: Budget, journal: Journal, config: RunConfig) -> None:
    """Give a session's budget the limits of `config`, while its calls go on.

    A budget that had no limit knows nothing of earlier sessions: every row is then read. Raises ConfigError
    where a price is missing; nothing is changed then.
    """
    limits, before = config.budget, None
    check_prices(config, [variant.settings for variant in variants_of(config)], budget.prices)
    if limits.is_set and budget.max_cost is None and budget.max_tokens is None:
        counted = Spent(budget.cost, budget.tokens, budget.possibly)
        # Rows are written in order: whatever was counted so far is on disk once this one is.
        await journal.put_meta(PRICES, encode_prices(budget.prices))
        on_record = await to_thread.run_sync(_read_spent, journal.reader.path, budget.prices, config)
        # What lands meanwhile is in both, which counts it twice: too much, and never too little.
        before = Spent(
            max(0, on_record.cost - counted.cost),
            max(0, on_record.tokens - counted.tokens),
            max(0, on_record.possibly - counted.possibly),
        )
    budget.change(
        max_cost=None if limits.max_cost_usd is None else pico_of(limits.max_cost_usd),
        max_tokens=limits.max_tokens,
        before=before,
    )


def _read_spent(journal: Path, prices: Mapping[str, Price], config: RunConfig) -> Spent:
    with closing(Reader(journal)) as reader:
        return spent_before(reader, prices, config, is_held=True)


def check_prices(config: RunConfig, models: Iterable[ModelSettings], prices: Mapping[str, Price]) -> None:
    """Raise ConfigError where money is limited and the price of one of `models` is not known."""
    _refuse_unpriced(config, {settings.model for settings in models} - prices.keys(), "is asked")


def spent_before(
    reader: Reader, prices: Mapping[str, Price], config: RunConfig, *, is_held: bool = False
) -> Spent:
    """What all calls on record cost, and may have cost. Raises ConfigError as `check_prices`.

    `is_held`: the last session is at work, and counts what it has in the air itself.
    """
    sources = read_usage(reader)
    largest = largest_calls(reader)
    models = {each.source.model for each in sources if each.replies + each.possibly_paid}
    _refuse_unpriced(config, models - prices.keys(), "was asked in this run")
    cost = possibly = tokens = 0
    for each in sources:
        price = prices.get(each.source.model)
        lost = each.lost
        tokens += _total(each.usage) + _total(lost)
        if price is not None:
            cost += price.cost(each.usage)
            possibly += price.most(lost.prompt_tokens, lost.completion_tokens)
    lost_calls = in_flight_at_kills(reader.sessions(), is_held=is_held)
    if lost_calls and largest:
        tokens += lost_calls * max(_total(usage) for _, usage in largest)
        possibly += lost_calls * max(
            prices[source.model].most(usage.prompt_tokens, usage.completion_tokens)
            if source.model in prices
            else 0
            for source, usage in largest
        )
    return Spent(cost + possibly, tokens, possibly)


def merged_accounts(readers: Iterable[Reader]) -> dict[str, str]:
    """What several runs' journals have in `meta` of prices and largest calls, for a run made of them all."""
    prices: dict[str, Price] = {}
    largest: dict[str, int] = {}
    for reader in readers:
        prices |= decode_prices(reader.meta(PRICES))
        for source, usage in largest_calls(reader):
            key = reservation_key(source.key)
            largest[key] = max(largest.get(key, 0), _total(usage))
    return {
        **({PRICES: encode_prices(prices)} if prices else {}),
        **{key: str(tokens) for key, tokens in largest.items()},
    }


def _total(usage: Usage) -> int:
    return usage.prompt_tokens + usage.completion_tokens


def _refuse_unpriced(config: RunConfig, models: Iterable[str], why: str) -> None:
    unknown = sorted(models)
    if config.budget.max_cost_usd is not None and unknown:
        example = "{input: 0.15, cached_input: 0.075, output: 0.6}"
        raise ConfigError(
            f"a limit in money needs the price of every model, and nobody knows that of {unknown[0]!r}, "
            f"which {why}: write it into the configuration (a run's own is in its run.yaml), in USD per "
            f"million tokens (0 for a server of your own): `prices: {{{unknown[0]}: {example}}}`; or install "
            "the table of known prices, pip install 'recsim-engine[prices]'. Or limit tokens: --max-tokens N."
        )
