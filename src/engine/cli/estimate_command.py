"""`engine estimate`: what a run will take, from a pilot of its own conversations, before it is paid for."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, replace
from typing import Any

import click
from rich import box
from rich.console import Console
from rich.table import Table

from engine.cli.display import describe_duration
from engine.cli.planned_run import PlannedRun, plan_options, planned_run
from engine.cli.readiness import check_same_run
from engine.cli.run_commands import hold_and_build
from engine.cli.section_tables import print_table, table_console
from engine.cli.shared_options import disk_option, json_option
from engine.config.matrix import cells_of, config_of_cell, variants_of
from engine.dataset.costs import Costs, read_costs
from engine.errors import BadInput, EngineError
from engine.journal.reader import open_if_begun
from engine.llm.prices import PRICES, decode_prices, per_million, prices_of, usd
from engine.runner.estimate import COVERAGE, FEW, Basis, Range, RunEstimate, estimate_run


@click.command()
@plan_options
@click.option(
    "--pilot", type=click.IntRange(min=1), metavar="N",
    help="Hold the plan's first N conversations first; they are paid for and stay in the run.",
)  # fmt: skip
@disk_option
@json_option
def estimate(pilot: int | None, guards_disk: bool, as_json: bool, **options: Any) -> int:
    """What the rest of a run will take: tokens, money and time, with an interval.

    It rests on the run's conversations that have ended. Takes what `engine run` takes; without --pilot
    nothing is sent.
    """
    planned = planned_run(**options)
    check_same_run(planned.folder, planned.inputs)
    if pilot is not None and (code := _hold_pilot(planned, pilot, guards_disk=guards_disk)):
        return code
    inputs, config = planned.inputs, planned.inputs.config
    found: dict[str, RunEstimate | None] = {}
    if (reader := open_if_begun(planned.folder.journal)) is not None:
        with closing(reader):
            prices = decode_prices(reader.meta(PRICES))
            models = [variant.settings for variant in variants_of(config)]
            prices |= prices_of(config, models, config.endpoints)
            for name, cell in cells_of(config).items():
                found[name] = estimate_run(
                    reader, inputs.plan.of_cell(name), config_of_cell(config, cell), config.endpoints, prices
                )
            costs = read_costs(reader, is_held=planned.folder.is_held())
    known = {name: each for name, each in found.items() if each is not None}
    if not known or len(known) < len(found):
        which = f" in cell {next(iter(found.keys() - known))}" if known else ""
        raise BadInput(
            f"run {planned.folder.name} has no conversation yet{which} that has ended, so there is nothing "
            "to estimate from. `engine estimate --pilot 22` (with the run's own options) holds the plan's "
            "first 22; they stay in the run and are not paid for twice."
        )
    if "" in known:
        whole = known[""]
        if as_json:
            click.echo(json.dumps(_document(planned, whole, costs)))
        else:
            _print(planned, whole, costs)
    elif as_json:
        cells = {name: _document(planned, each, None) for name, each in known.items()}
        click.echo(
            json.dumps({"run": planned.folder.name, "cells": cells, "cost_so_far": costs.as_summary()})
        )
    else:
        _print_cells(planned, known, costs)
    return 0


def _hold_pilot(planned: PlannedRun, pilot: int, *, guards_disk: bool) -> int:
    """Hold the plan's first conversations; an exit code where that was interrupted."""
    inputs = planned.inputs
    limit = min(pilot, inputs.plan.job_count)
    part = replace(
        inputs,
        plan=replace(inputs.plan, limit=limit),
        config=inputs.config.model_copy(update={"limit": limit}),
    )
    end, stopped_by, _ = hold_and_build(
        planned.folder, part, planned.config_dir, as_json=True, retry_failed=False, guards_disk=guards_disk
    )
    if isinstance(stopped_by, EngineError):
        raise stopped_by
    return end.exit_code if stopped_by is not None else 0


def _print(planned: PlannedRun, found: RunEstimate, costs: Costs) -> None:
    console = Console(highlight=False, soft_wrap=True, markup=False)
    left = found.planned - found.ended
    click.echo(
        f"run {planned.folder.name}: {found.ended} of {found.planned} conversations have ended, {left} are "
        f"to come. What these will take, with a {COVERAGE:.0%} interval:"
    )
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("")
    for side in found.sides:
        table.add_column(f"{side.stage} ({side.model})", justify="right")
    table.add_row("calls", *(_count(side.calls) for side in found.sides))
    table.add_row("tokens in", *(_count(side.prompt_tokens) for side in found.sides))
    table.add_row("of them cached", *(_count(side.cached_tokens) for side in found.sides))
    table.add_row("tokens out", *(_count(side.completion_tokens) for side in found.sides))
    table.add_row("USD", *("?" if side.cost_usd is None else _money(side.cost_usd) for side in found.sides))
    if not console.is_terminal:
        console.width = max(console.width, 120)
    console.print(table)
    spent = f"{usd(costs.cost):.4f} USD" if costs.is_known else "an unknown amount"
    if costs.possibly:
        spent += f" (and up to {usd(costs.possibly):.4f} possibly)"
    if found.cost_usd is not None:
        total = Range(*(usd(costs.cost) + part for part in found.cost_usd))
        click.echo(f"cost: {spent} so far, {_money(found.cost_usd)} USD to come, {_money(total)} USD in all")
    else:
        unknown = ", ".join(dict.fromkeys(side.model for side in found.sides if side.price is None))
        click.echo(
            f"cost: {spent} so far; nobody knows the price of {unknown}: write it under `prices` in the "
            "configuration, or pip install 'recsim-engine[prices]'"
        )
    for side in found.sides:
        if side.price is not None:
            price = side.price
            rates = [per_million(each) for each in (price.input, price.cached_input, price.output)]
            click.echo(
                f"price of {side.model}: {rates[0]:g} in, {rates[1]:g} cached, {rates[2]:g} out, USD per "
                f"million tokens ({price.source})"
            )
    first, *others = found.paces
    click.echo(f"time: {describe_duration(first.seconds)} at least, because of {first.limit}")
    for pace in others:
        click.echo(f"      {describe_duration(pace.seconds)} because of {pace.limit}")
    click.echo(_rests_on(found.basis))


def _rests_on(basis: Basis) -> str:
    text = (
        f"It rests on {basis.conversations} ended conversations of {basis.profiles} profiles, and on "
        f"latencies as they were in them. Of {basis.scenarios} scenarios {basis.own} are taken like their "
        "own conversations"
    )
    if basis.by_task:
        text += f", {basis.by_task} with fewer than three like those of their task"
    if basis.by_all:
        text += f", {basis.by_all} like all"
    text += ". Conversations that have begun count as still to come; tries that fail are not foreseen."
    if basis.conversations < FEW:
        text += f" With fewer than {FEW} conversations the interval is too narrow: hold more with --pilot N."
    return text


def _count(amount: Range) -> str:
    return f"{amount.mean:,.0f} ({amount.low:,.0f}-{amount.high:,.0f})"


def _money(amount: Range) -> str:
    return f"{amount.mean:.4f} ({amount.low:.4f}-{amount.high:.4f})"


def _print_cells(planned: PlannedRun, found: Mapping[str, RunEstimate], costs: Costs) -> None:
    """A line for each cell of a matrix, and what they come to together."""
    planned_in_all, ended = (
        sum(getattr(each, key) for each in found.values()) for key in ("planned", "ended")
    )
    click.echo(
        f"run {planned.folder.name}: {ended} of {planned_in_all} conversations have ended. What the others "
        f"will take in each cell, with a {COVERAGE:.0%} interval:"
    )
    rows = [
        (
            name, f"{each.planned - each.ended:,}", _count(_added([side.calls for side in each.sides])),
            _count(_added([side.prompt_tokens for side in each.sides])),
            _count(_added([side.completion_tokens for side in each.sides])),
            "?" if each.cost_usd is None else _money(each.cost_usd),
        )
        for name, each in found.items()
    ]  # fmt: skip
    print_table(table_console(), ("cell", "to come", "calls", "tokens in", "tokens out", "USD"), rows)
    spent = f"{usd(costs.cost):.4f} USD" if costs.is_known else "an unknown amount"
    to_come = [each.cost_usd for each in found.values() if each.cost_usd is not None]
    if len(to_come) == len(found):
        click.echo(f"cost: {spent} so far, {_money(_added(to_come))} USD to come (all ends added: too wide)")
    else:
        click.echo(f"cost: {spent} so far; of some models nobody knows the price")
    seconds: dict[str, float] = {}
    for each in found.values():
        for pace in each.paces:
            seconds[pace.limit] = seconds.get(pace.limit, 0.0) + pace.seconds
    limit, longest = max(seconds.items(), key=lambda pace: pace[1])
    click.echo(f"time: {describe_duration(longest)} at least, because of {limit}")


def _added(parts: Sequence[Range]) -> Range:
    return Range(*(sum(column) for column in zip(*parts, strict=True)))


def _document(planned: PlannedRun, found: RunEstimate, costs: Costs | None) -> dict[str, object]:
    return {
        "run": planned.folder.name,
        "planned": found.planned,
        "ended": found.ended,
        "coverage": COVERAGE,
        "to_come": {
            side.stage: {
                "model": side.model, "calls": side.calls._asdict(),
                "prompt_tokens": side.prompt_tokens._asdict(), "cached_tokens": side.cached_tokens._asdict(),
                "completion_tokens": side.completion_tokens._asdict(),
                "cost_usd": side.cost_usd and side.cost_usd._asdict(),
                "price_source": side.price and side.price.source,
            }
            for side in found.sides
        },
        "cost_usd_to_come": found.cost_usd and found.cost_usd._asdict(),
        **({} if costs is None else {"cost_so_far": costs.as_summary()}),
        "seconds_at_limits": {pace.limit: pace.seconds for pace in found.paces},
        "rests_on": asdict(found.basis),
    }  # fmt: skip
