"""What a person sees of a run: a line that moves on a terminal, log lines elsewhere, a report at the end.

The display samples the run's state a few times a second and is told nothing, so that it cannot slow the
run down; results go to stdout, progress to stderr.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from contextlib import suppress

import anyio
import click
from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from engine.cli.plain_text import plain
from engine.config.run_address import run_address
from engine.dataset.build import DatasetCounts
from engine.dataset.record import ConversationRecord
from engine.llm.budget import Budget
from engine.llm.prices import describe_usd, usd
from engine.runner.overview import Mishap
from engine.runner.progress import RunProgress, RunResult
from engine.runner.run_folder import RunFolder
from engine.schema.conversation import Role

_REFRESH_S = 0.25
_LOG_EVERY_S = 10.0
_SAMPLE_CHARS = 280
_SAMPLE_TURNS = 6


class Display:
    """Shows a run's progress until it is cancelled."""

    def __init__(self, name: str, progress: RunProgress) -> None:
        self._name = name
        self._progress = progress
        self._console = Console(stderr=True)

    async def show(self) -> None:
        """Show until cancelled; the last state stays on the screen."""
        with suppress(OSError):  # the terminal was closed: that stops the run in order, by its signal
            await self._show()

    async def _show(self) -> None:
        if self._console.is_terminal:
            with Live(console=self._console, auto_refresh=False) as live:
                try:
                    while True:
                        live.update(self._picture(), refresh=True)
                        await anyio.sleep(_REFRESH_S)
                finally:
                    live.update(self._picture(), refresh=True)
        else:
            while True:
                await anyio.sleep(_LOG_EVERY_S)
                click.echo(f"{time.strftime('%H:%M:%S')} {self._name} {self._status()}", err=True)

    def _picture(self) -> Table:
        progress = self._progress
        table = Table.grid(padding=(0, 1))
        bar = ProgressBar(total=max(1, progress.planned), completed=progress.done, width=30)
        table.add_row(Text(self._name, style="bold"), bar, Text(self._status()))
        return table

    def _status(self) -> str:
        progress, calls = self._progress, self._progress.calls
        elapsed = max(1e-9, time.monotonic() - progress.started_at)
        parts = [f"{progress.done}/{progress.planned} {progress.noun}"]
        parts.append(f"{calls.replies / elapsed:.0f} calls/s")
        in_flight = sum(endpoint.in_flight for endpoint in progress.endpoints.values())
        parts.append(f"{in_flight} in flight")
        if cached := calls.cached_tokens:
            parts.append(f"{cached / max(1, calls.prompt_tokens):.0%} of tokens in cached")
        if (budget := progress.budget) is not None and budget.is_of_use:
            parts += _spending(budget)
        if calls.backing_off:
            parts.append(f"{calls.backing_off} waiting")
        if retries := sum(calls.retries.values()):
            parts.append(f"{retries} retries")
        if failed := progress.ended.get("failed", 0):
            parts.append(f"{failed} failed")
        ended = sum(progress.ended.values())
        if ended and progress.planned > progress.done:
            parts.append(f"ETA {describe_duration((progress.planned - progress.done) * elapsed / ended)}")
        if progress.live is not None and progress.live.is_paused:
            parts.append("paused")
        if progress.drain is not None and progress.drain.is_requested:
            parts.append("stopping: calls in the air land (again to cut them off)")
        return " · ".join(parts)


def _spending(budget: Budget) -> list[str]:
    """What is spent: of the limit and over all sessions where there is one, else in this session."""
    parts = []
    if budget.max_cost is not None:
        parts.append(f"{usd(budget.cost):.4f} of {usd(budget.max_cost):g} USD")
    elif budget.prices:
        parts.append(describe_usd(budget.cost))
    if budget.max_tokens is not None:
        parts.append(f"{budget.tokens:,} of {budget.max_tokens:,} tokens")
    return parts


def print_report(
    folder: RunFolder,
    counts: DatasetCounts,
    summary: Mapping[str, object],
    result: RunResult,
    *,
    is_first: bool,
    last_failure: Mishap | None,
    as_json: bool,
) -> None:
    """What came out: a sample, Table 1's rows, and where everything lies."""
    if as_json:
        stopped = None if result.stopped_by is None else str(result.stopped_by)
        click.echo(
            json.dumps({"run": folder.name, "folder": str(folder.path), "stopped_by": stopped, **summary})
        )
        return
    # No markup: a server's words may hold brackets of their own.
    console = Console(highlight=False, soft_wrap=True, markup=False)
    is_complete = counts.conversations >= counts.planned
    if counts.sample is not None and result.ended and is_first:
        print_sample(console, counts.sample)
    if counts.conversations:
        console.print(shape_table(counts))
    if counts.dropped_because:
        reasons = ", ".join(f"{reason} {count}" for reason, count in counts.dropped_because.most_common())
        console.print(f"dropped because: {reasons}")
    if counts.gates.asked_again:
        fired = ", ".join(f"{gate} {turns}" for gate, turns in counts.gates.turns.most_common())
        console.print(f"gates: {counts.gates.asked_again} replies asked for again; turns by gate: {fired}")
    if is_complete and not result.ended:
        console.print(f"run {folder.name} is complete; nothing was sent.")
    else:
        done = sum(result.ended.values())
        console.print(
            f"run {folder.name}: {counts.conversations} of {counts.planned} conversations, "
            f"{done} of them now, in {describe_duration(result.duration_s)}"
        )
    if cost := describe_cost(summary):
        console.print(f"cost: {cost}")
    if counts.served_model_changed:
        served = "; ".join(
            f"{side}: " + ", ".join(f"{name} ({count} conversations)" for name, count in names.items())
            for side, names in counts.served_models.items()
        )
        console.print(f"the served model changed: {plain(served)}", style="bold")
    if failed := counts.end_reasons["failed"]:
        console.print(f"{failed} conversation{'' if failed == 1 else 's'} failed")
        if last_failure is not None:
            console.print(f"the last of them: {describe_failure(last_failure)}")
        retry = f"engine resume {run_address(folder.path)} --retry-failed"
        console.print(f"take them up again with: {retry}", style="bold")
    if not is_complete:
        console.print(f"go on with: engine resume {run_address(folder.path)}", style="bold")
    if not counts.conversations:
        return
    for label, path in (
        ("dataset", folder.conversations), ("summary", folder.summary), ("journal", folder.journal),
        ("settings", folder.settings), ("events", folder.events),
    ):  # fmt: skip
        console.print(f"  {label:<9}{path}")


def describe_cost(summary: Mapping[str, object]) -> str:
    """What a run cost in all, from its summary; empty where no price is known."""
    cost = summary.get("cost")
    if not isinstance(cost, Mapping) or cost["usd_of_priced_models"] is None:
        return ""
    text = f"{cost['usd_of_priced_models']:.4f} USD"
    if cost["possibly_usd_at_most"]:
        text += f", and at most {cost['possibly_usd_at_most']:.4f} USD possibly paid"
    if unpriced := cost["models_without_price"]:
        text += f"; without {', '.join(unpriced)}, whose price is not known"
    return text


def shape_table(counts: DatasetCounts) -> Table:
    """Table 1 of the paper: the raw row and the kept row."""
    table = Table(title="Table 1", title_justify="left")
    for column in ("", "scenarios", "conversations", "utterances", "rounds", "cl100k tokens"):
        table.add_column(column, justify="left" if not column else "right")
    for label, row in (("raw", counts.raw().row()), ("kept", counts.kept.row())):
        table.add_row(
            label,
            str(row.scenarios),
            str(row.conversations),
            f"{row.mean_utterances:.2f}",
            f"{row.mean_rounds:.2f}",
            f"{row.mean_tokens:.2f}",
        )
    return table


def print_sample(console: Console, record: ConversationRecord) -> None:
    """The beginning of one conversation, shortened."""
    console.print(f"a conversation ({record.job.job_id}, {record.end_reason}):", style="bold")
    for turn in record.turns[:_SAMPLE_TURNS]:
        speaker = "user" if turn.role is Role.USER else "assistant"
        text = plain(" ".join(turn.content.split()))
        shown = text if len(text) <= _SAMPLE_CHARS else text[:_SAMPLE_CHARS] + "..."
        console.print(Text(f"  {speaker:<10}", style="cyan" if speaker == "user" else "green") + Text(shown))
    if len(record.turns) > _SAMPLE_TURNS:
        console.print(f"  ... and {len(record.turns) - _SAMPLE_TURNS} more turns")
    console.print()


def describe_failure(failure: Mishap) -> str:
    """Which conversation failed at which step, and why, on one line."""
    text = "".join(letter if letter.isprintable() else " " for letter in failure.text)
    return f"{failure.item}, {failure.step}: {text}"


def describe_duration(seconds: float) -> str:
    """A time in words for a person."""
    if not math.isfinite(seconds):
        return "?"
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"
