"""`engine status RUN --watch`: a screen that renews itself, narrow enough for a phone.

It lives in a process of its own and reads the journal, so that it can be left and taken up at any time. It
ends by itself when no process works on the run any more.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import asdict

import click
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.live import Live
from rich.text import Text

from engine.cli.display import describe_duration
from engine.errors import BadInput
from engine.journal.inputs import stored_plan
from engine.journal.reader import Reader
from engine.runner.overview import Overview, RunWatch
from engine.runner.run_folder import RunFolder

WIDTH = 48
_EVERY_S = 3.0
_EVERY_LINE_S = 30.0
_BAR = 30


def watch(folder: RunFolder, *, every_s: float | None, as_json: bool) -> int:
    """Show the run until no process works on it, or until Ctrl+C; the exit code."""
    console = Console(highlight=False)
    is_screen = console.is_terminal and not as_json
    every_s = every_s or (_EVERY_S if is_screen else _EVERY_LINE_S)
    reader = Reader(folder.journal)
    try:
        if stored_plan(reader) is None:
            raise BadInput(f"run {folder.name} was never started: its journal holds no plan.")
        looks = _looks(folder, reader, every_s)
        if not is_screen:
            for facts in looks:
                line = _as_json(folder, facts) if as_json else one_line(folder.name, facts)
                click.echo(line)
            return 0
        with Live(console=console, auto_refresh=False) as live:
            for facts in looks:
                live.update(_picture(folder.name, facts, min(console.width, WIDTH)), refresh=True)
    except KeyboardInterrupt:
        return 0
    finally:
        reader.close()
    return 0


def _looks(folder: RunFolder, reader: Reader, every_s: float) -> Iterator[Overview]:
    run_watch = RunWatch(reader)
    while True:
        is_held = folder.is_held()  # asked first, so that the last look sees the end
        yield run_watch.look(time.time(), is_held=is_held)
        if not is_held:
            return
        time.sleep(every_s)


def _as_json(folder: RunFolder, facts: Overview) -> str:
    return json.dumps({"run": folder.name, **asdict(facts)})


def one_line(name: str, facts: Overview) -> str:
    """The facts as one line of a log."""
    parts = [f"{facts.ended}/{facts.planned} conversations"]
    if facts.calls_per_s is not None:
        parts.append(f"{facts.calls_per_s:.1f} calls/s")
    if facts.eta_s is not None:
        parts.append(f"ETA {describe_duration(facts.eta_s)}")
    parts += [f"{count} {result}" for result, count in facts.end_reasons.items()]
    if facts.cost_usd is not None:
        parts.append(f"{facts.cost_usd:,.4f} USD")
    if facts.slowest:
        oldest = facts.slowest[0]
        parts.append(f"slowest {oldest.item} {describe_duration(oldest.age_s)}")
    return f"{time.strftime('%H:%M:%S')} {name} {facts.state} · " + " · ".join(parts)


def screen_lines(name: str, facts: Overview, width: int) -> list[str]:
    """The screen, no line of it wider than `width` (40 or more) columns."""
    share = facts.ended / facts.planned if facts.planned else 1.0
    bar = "#" * int(_BAR * share)
    lines = [
        f"{name}: {facts.state}",
        f"[{bar:.<{_BAR}}] {100 * share:.0f} %",
        f"{facts.ended:,} of {facts.planned:,} ended, {facts.unfinished:,} begun",
    ]
    if facts.conversations_per_min is not None:
        lines.append(f"{facts.conversations_per_min:.1f} a minute, {facts.calls_per_s or 0:.1f} calls/s")
    if facts.eta_s is not None:
        ends_at = time.strftime("%a %H:%M", time.localtime(time.time() + facts.eta_s))
        lines.append(f"ETA {describe_duration(facts.eta_s)} ({ends_at})")
    lines += [f"  {result:<14}{count:>9,}" for result, count in facts.end_reasons.items()]
    of_all = "" if facts.counted >= 1 else f" ({100 * facts.counted:.0f} % counted)"
    lines.append(f"calls {facts.calls:,}{of_all}")
    lines.append(f"  {facts.failed_calls:,} failed, {facts.possibly_paid_calls:,} possibly paid")
    lines.append(f"tokens {_short(facts.prompt_tokens)} in, {_short(facts.completion_tokens)} out")
    lines.append(f"  {_short(facts.cached_tokens)} of those in were cached")
    if facts.cost_usd is not None:
        lines.append(f"cost {facts.cost_usd:,.4f} USD{of_all}")
    if facts.slowest:
        lines.append("slowest")
        for slow in facts.slowest:
            tail = f" {describe_duration(slow.age_s):>12} {slow.turns:>3} turns"
            lines.append(f"  {_cut(slow.item, width - 2 - len(tail)):<{width - 2 - len(tail)}}{tail}")
    if facts.mishaps:
        lines.append("last errors")
        for mishap in facts.mishaps:
            at = time.strftime("%H:%M", time.localtime(mishap.at))
            lines.append(f"  {at} {mishap.item} {mishap.step}")
            lines.append(f"    {mishap.text}")
    return [_cut(line, width) for line in lines]


def _picture(name: str, facts: Overview, width: int) -> Text:
    return Text("\n".join(screen_lines(name, facts, width)), no_wrap=True, overflow="ellipsis")


def _cut(text: str, width: int) -> str:
    """`text` on one line of at most `width` columns; a server's words may hold anything."""
    line = "".join(letter if letter.isprintable() else " " for letter in text)
    return line if cell_len(line) <= width else set_cell_size(line, max(0, width - 1)) + "~"


def _short(count: int) -> str:
    for size, unit in ((1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k")):
        if count >= max(size, 10_000):
            return f"{count / size:.1f} {unit}"
    return f"{count:,}"
