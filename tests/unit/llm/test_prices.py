"""What calls cost: exact sums, discounts counted, an upper bound above any use, and unknown when unknown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.config.endpoint_settings import EndpointSettings
from engine.config.model_settings import ModelSettings
from engine.config.settings import PriceSettings, RunConfig
from engine.llm.prices import (
    USD,
    Price,
    configured_price,
    decode_prices,
    encode_prices,
    kept_price,
    pico_of,
    prices_of,
)
from engine.schema.call import Usage

TOKENS = st.integers(0, 10**6)
RATES = st.integers(0, 10**8)
PRICES = st.builds(Price, RATES, RATES, RATES, RATES)
OPENAI = EndpointSettings(base_url="https://api.openai.com/v1")
HOME = EndpointSettings(base_url="http://127.0.0.1:8000/v1")


def test_a_million_tokens_cost_what_the_configuration_says_and_cached_ones_less() -> None:
    price = configured_price(PriceSettings(input=2.5, cached_input=1.25, output=10))
    assert price.cost(Usage(1_000_000, 0)) == 2.5 * USD
    assert price.cost(Usage(1_000_000, 0, 400_000)) == (0.6 * 2.5 + 0.4 * 1.25) * USD
    assert price.cost(Usage(0, 1_000_000)) == 10 * USD
    assert configured_price(PriceSettings(input=2.5, output=10)).cost(Usage(10, 0, 10)) == 25_000_000


def test_what_a_cache_did_not_hold_counts_as_written_to_it() -> None:
    price = configured_price(PriceSettings(input=3, cached_input=0.3, cache_write=3.75, output=15))
    assert price.cost(Usage(1_000_000, 0, 0)) == 3.75 * USD
    assert price.most(1_000_000, 0) == 3.75 * USD


@given(PRICES, st.lists(st.tuples(TOKENS, TOKENS, TOKENS), max_size=5))
def test_sums_are_exact_and_never_above_the_bound(price: Price, calls: list[tuple[int, int, int]]) -> None:
    usages = [Usage(asked, said, min(cached, asked)) for asked, said, cached in calls]
    whole = Usage()
    for usage in usages:
        assert 0 <= price.cost(usage) <= price.most(usage.prompt_tokens, usage.completion_tokens)
        whole = whole.plus(usage)
    assert price.cost(whole) == sum(price.cost(usage) for usage in usages)


def test_more_cached_than_asked_is_no_discount_on_nothing() -> None:
    price = Price(10, 1, 10, 0)
    assert price.cost(Usage(5, 0, 100)) == 5


@given(st.dictionaries(st.text(), PRICES))
def test_prices_come_back_from_a_journal_as_they_were(prices: dict[str, Price]) -> None:
    assert decode_prices(encode_prices(prices)) == prices
    assert decode_prices(None) == {}


@given(st.floats(1e-6, 1e6))
def test_a_limit_is_never_larger_than_what_was_written(dollars: float) -> None:
    assert pico_of(dollars) / USD <= dollars * (1 + 1e-15)


def model(name: str, *endpoints: str) -> ModelSettings:
    return ModelSettings(model=name, endpoint=endpoints or "lab")


def test_a_server_of_ones_own_costs_what_the_configuration_says_or_nobody_knows() -> None:
    config = RunConfig(prices={"free": PriceSettings(input=0, output=0)})
    found = prices_of(config, [model("free"), model("gpt-4o-mini")], {"lab": HOME})
    assert set(found) == {"free"}


def test_the_kept_table_knows_providers_by_their_address() -> None:
    pytest.importorskip("genai_prices")
    price = kept_price("gpt-4o-mini", OPENAI)
    assert price is not None
    assert 0 < price.cached_input <= price.input < price.output
    assert price.source.startswith("genai-prices ")
    assert kept_price("gpt-4o-mini", HOME) is None
    assert kept_price("no-such-model-at-all", OPENAI) is None


def test_the_configuration_wins_over_the_kept_table_and_the_dearer_endpoint_counts() -> None:
    pytest.importorskip("genai_prices")
    mine = PriceSettings(input=1, output=1)
    config = RunConfig(prices={"gpt-4o-mini": mine})
    at = {"openai": OPENAI, "lab": HOME}
    assert prices_of(config, [model("gpt-4o-mini", "openai")], at)["gpt-4o-mini"] == configured_price(mine)
    # A server that nobody has a price for may answer: then nobody knows.
    assert prices_of(RunConfig(), [model("gpt-4o-mini", "openai", "lab")], at) == {}
    cheap, dear = Price(1, 1, 5, 2, "a"), Price(2, 0, 4, 1, "b")
    assert cheap.dearer_of(dear) == Price(2, 1, 5, 2, "a; b")


def test_only_where_a_cache_is_asked_for_its_writing_counts() -> None:
    pytest.importorskip("genai_prices")
    at = {"base_url": "https://api.anthropic.com/v1", "format": "anthropic"}
    with_cache = kept_price("claude-sonnet-4-5", EndpointSettings.model_validate(at))
    without = kept_price("claude-sonnet-4-5", EndpointSettings.model_validate(at | {"cache_hint": False}))
    assert with_cache is not None
    assert without is not None
    assert with_cache.cache_write > with_cache.input == without.input == without.cache_write
