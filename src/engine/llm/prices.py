"""What calls cost, in whole picodollars (1e-12 USD): sums are exact, in whatever order they are made.

A model's price is what the configuration says; else what the kept table (the extra `prices`) has for the
provider at the endpoint's address, for prompts of ordinary length; else nobody knows, which is said and never
taken for nothing. A server of one's own costs what the configuration says, since no table can know it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from decimal import ROUND_CEILING, Decimal

import orjson

from engine.config.endpoint_settings import EndpointSettings
from engine.config.model_settings import ModelSettings
from engine.config.settings import PriceSettings, RunConfig
from engine.schema.call import Usage

USD = 10**12
# Where a run's journal keeps, in its `meta`, the prices that its sessions counted with.
PRICES = "prices"
# A price in USD per million tokens is so many picodollars a token.
_PER_MILLION = 10**6
# Far below where any provider's long prompts begin to cost more.
_SAMPLE = 1_000
_CONFIGURED = "configuration"


@dataclass(frozen=True, slots=True)
class Price:
    """Picodollars per token: of a prompt, of its part that a cache held or now holds, and of a reply.

    `source` says where the price is from.
    """

    input: int
    cached_input: int
    cache_write: int
    output: int
    source: str = _CONFIGURED

    def cost(self, usage: Usage) -> int:
        """What `usage` cost. What no cache held counts as written to one where that costs more."""
        cached = min(usage.cached_tokens, usage.prompt_tokens)
        fresh = (usage.prompt_tokens - cached) * max(self.input, self.cache_write)
        return fresh + cached * self.cached_input + usage.completion_tokens * self.output

    def most(self, input_tokens: int, output_tokens: int) -> int:
        """The most that so many tokens can cost: as if no cache held any."""
        return (
            input_tokens * max(self.input, self.cache_write, self.cached_input) + output_tokens * self.output
        )

    def dearer_of(self, other: Price) -> Price:
        """The higher of both for each kind of token: whichever endpoint answers, it costs no more."""
        return Price(
            max(self.input, other.input), max(self.cached_input, other.cached_input),
            max(self.cache_write, other.cache_write), max(self.output, other.output),
            self.source if self.source == other.source else f"{self.source}; {other.source}",
        )  # fmt: skip


def configured_price(settings: PriceSettings) -> Price:
    """The price that a configuration names."""
    cached = settings.input if settings.cached_input is None else settings.cached_input
    write = settings.input if settings.cache_write is None else settings.cache_write
    return Price(_pico(settings.input), _pico(cached), _pico(write), _pico(settings.output))


def prices_of(
    config: RunConfig, models: Iterable[ModelSettings], endpoints: Mapping[str, EndpointSettings]
) -> dict[str, Price]:
    """The price of each of `models` by its name, as far as one is known."""
    found = {name: configured_price(settings) for name, settings in config.prices.items()}
    for settings in models:
        if settings.model in config.prices:
            continue
        at = [endpoints[name] for name in settings.endpoint_names if name in endpoints]
        kept = [kept_price(settings.model, endpoint) for endpoint in at]
        for price in kept:
            if price is None:  # one endpoint of several that nobody has a price for
                found.pop(settings.model, None)
                break
            before = found.get(settings.model)
            found[settings.model] = price if before is None else before.dearer_of(price)
    return found


def kept_price(model: str, endpoint: EndpointSettings) -> Price | None:
    """What the kept table says of a model at a provider's address; None where it knows neither."""
    try:
        from genai_prices import Usage as Tokens
        from genai_prices import __version__, calc_price
    except ImportError:  # the extra `prices` is not installed
        return None

    def each(tokens: Tokens) -> int:
        found = calc_price(tokens, model, provider_api_url=endpoint.base_url)
        return _ceiling(found.total_price / _SAMPLE * USD)

    try:
        fresh = each(Tokens(input_tokens=_SAMPLE))
        price = Price(
            fresh,
            each(Tokens(input_tokens=_SAMPLE, cache_read_tokens=_SAMPLE)),
            # Only the Anthropic format asks for it, and only with the cache's hint.
            each(Tokens(input_tokens=_SAMPLE, cache_write_tokens=_SAMPLE))
            if endpoint.format == "anthropic" and endpoint.cache_hint
            else fresh,
            each(Tokens(output_tokens=_SAMPLE)),
            f"genai-prices {__version__}",
        )
    except (LookupError, ValueError):
        return None
    return price if price.input or price.output else None


def encode_prices(prices: Mapping[str, Price]) -> str:
    """Prices as a run's journal keeps them: picodollars a token."""
    document = {model: asdict(price) for model, price in prices.items()}
    return orjson.dumps(document, option=orjson.OPT_SORT_KEYS).decode()


def decode_prices(text: str | None) -> dict[str, Price]:
    """The reverse of `encode_prices`; no price where there is no text."""
    return {model: Price(**fields) for model, fields in orjson.loads(text or "{}").items()}


def usd(cost: int) -> float:
    """A cost in USD, for people and files."""
    return cost / USD


def describe_usd(cost: int) -> str:
    """A cost in words, with as many digits as a small one needs."""
    dollars = cost / USD
    return f"{dollars:,.2f} USD" if dollars >= 100 else f"{dollars:.4f} USD"


def per_million(price: int) -> float:
    """A price of a token in USD per million."""
    return price / _PER_MILLION


def pico_of(dollars: float) -> int:
    """USD in picodollars, rounded down: a limit is never larger than what was written."""
    return int(Decimal(str(dollars)) * USD)


def _pico(per_million: float) -> int:
    return _ceiling(Decimal(str(per_million)) * _PER_MILLION)


def _ceiling(amount: Decimal) -> int:
    return int(amount.to_integral_value(ROUND_CEILING))
