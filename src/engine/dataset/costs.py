"""What a run cost, from its journal alone: its calls' tokens at the prices that its sessions counted with.

Possibly paid calls are kept apart, at their upper bound. A model without a price is named: nobody knows what
its calls cost, so no total is given that leaves them out in silence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from engine.journal.reader import Reader
from engine.journal.usage import in_flight_at_kills, largest_calls, read_usage
from engine.llm.prices import PRICES, Price, decode_prices, per_million, usd


@dataclass(frozen=True, slots=True)
class CostRow:
    """One stage's (or one side's) calls of one model. Costs are in picodollars; None: no price is known."""

    stage: str
    side: str
    model: str
    calls: int
    possibly_paid: int
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    cost: int | None
    possibly: int | None
    cell: str = ""


@dataclass(frozen=True, slots=True)
class Costs:
    """All rows. `at_kills` bounds what killed sessions had in the air, in picodollars."""

    rows: tuple[CostRow, ...]
    prices: Mapping[str, Price]
    at_kills: int

    @property
    def is_known(self) -> bool:
        """Whether there is a price for anything."""
        return any(row.cost is not None for row in self.rows)

    @property
    def unpriced(self) -> list[str]:
        """Models that were asked and have no price."""
        return sorted({row.model for row in self.rows if row.cost is None})

    @property
    def cost(self) -> int:
        """What is certain, of models with a price."""
        return sum(row.cost or 0 for row in self.rows)

    @property
    def possibly(self) -> int:
        """What may have been paid beside that, at most."""
        return sum(row.possibly or 0 for row in self.rows) + self.at_kills

    def as_summary(self) -> dict[str, object]:
        """For JSON: USD, and prices in USD per million tokens."""
        return {
            "usd": usd(self.cost) if self.is_known and not self.unpriced else None,
            "usd_of_priced_models": usd(self.cost) if self.is_known else None,
            "possibly_usd_at_most": usd(self.possibly) if self.is_known else None,
            "models_without_price": self.unpriced,
            "by_model": [
                {
                    **{
                        key: value for key, value in asdict(row).items()
                        if key not in ("cost", "possibly") and (key != "cell" or value)
                    },
                    "usd": None if row.cost is None else usd(row.cost),
                    "possibly_usd_at_most": None if row.possibly is None else usd(row.possibly),
                }
                for row in self.rows
            ],
            "prices_usd_per_million": {
                model: {
                    "input": per_million(price.input), "cached_input": per_million(price.cached_input),
                    "cache_write": per_million(price.cache_write), "output": per_million(price.output),
                    "source": price.source,
                }
                for model, price in self.prices.items()
            },
        }  # fmt: skip


def read_costs(reader: Reader, *, is_held: bool = False) -> Costs:
    """What the calls on record cost; reads every row once. `is_held` as for `in_flight_at_kills`."""
    prices = decode_prices(reader.meta(PRICES))
    rows = []
    for each in read_usage(reader):
        price = prices.get(each.source.model)
        lost = each.lost
        rows.append(
            CostRow(
                each.source.stage, each.source.side, each.source.model, each.replies, each.possibly_paid,
                each.usage.prompt_tokens, each.usage.cached_tokens, each.usage.completion_tokens,
                None if price is None else price.cost(each.usage),
                None if price is None else price.most(lost.prompt_tokens, lost.completion_tokens),
                each.cell,
            )
        )  # fmt: skip
    lost_calls = in_flight_at_kills(reader.sessions(), is_held=is_held)
    worst = [
        prices[source.model].most(bound.prompt_tokens, bound.completion_tokens)
        for source, bound in largest_calls(reader)
        if source.model in prices
    ]
    used = {row.model for row in rows}
    shown = {model: price for model, price in sorted(prices.items()) if model in used}
    return Costs(tuple(rows), shown, lost_calls * max(worst, default=0))
