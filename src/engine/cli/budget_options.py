"""`--max-cost` and `--max-tokens`: what a run may spend in all.

What is typed wins over the configuration, and that over what the run was told before: a limit does not vanish
because a later command, or another configuration, does not repeat it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click
from pydantic import ValidationError

from engine.config.settings import BudgetSettings, RunConfig
from engine.errors import EngineError, UsageError
from engine.runner.run_folder import RunFolder

CommandT = TypeVar("CommandT", bound=Callable[..., Any])


def budget_options(command: CommandT) -> CommandT:
    """The options; they reach the command as `max_cost` and `max_tokens`."""
    cost = click.option(
        "--max-cost", type=float, metavar="USD", help="Stop, resumable, before the run has cost more in all."
    )
    tokens = click.option(
        "--max-tokens", type=int, metavar="N", help="Stop, resumable, before the run has used more in all."
    )
    return cost(tokens(command))


def with_budget(
    config: RunConfig, folder: RunFolder | None, max_cost: float | None, max_tokens: int | None
) -> RunConfig:
    """`config` with the limits that hold for the run in `folder`; None for runs that keep no settings.

    Raises UsageError for what is no limit.
    """
    earlier = BudgetSettings() if folder is None else _earlier(folder)
    typed = {"max_cost_usd": max_cost, "max_tokens": max_tokens}
    limits = {
        name: next(
            (
                value
                for value in (typed[name], getattr(config.budget, name), getattr(earlier, name))
                if value is not None
            ),
            None,
        )
        for name in typed
    }
    try:
        return config.model_copy(update={"budget": BudgetSettings.model_validate(limits)})
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        option = "--max-cost" if name == "max_cost_usd" else "--max-tokens"
        must = "must be above 0" if first["type"] == "greater_than" else "is no limit that could be reached"
        raise UsageError(
            f"{option} (it is {limits[name]}): {must}. To take a limit away, set "
            f"`budget.{name}: null` in the run's run.yaml and in the configuration."
        ) from None


def _earlier(folder: RunFolder) -> BudgetSettings:
    if not folder.settings.is_file():
        return BudgetSettings()
    try:
        return folder.read_settings()[0].budget
    except EngineError:  # the run's own commands say what is wrong with it
        return BudgetSettings()
