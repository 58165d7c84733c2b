"""Sections of the analysis as tables of a terminal.

A number that is cut off reads as another number, so cells are never cut, whatever the width: headings and
names wrap, and a table that still is too wide runs on for the terminal to break. Names come from data and
models; they are no markup, and steer no terminal.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from engine.analysis.sections import Section
from engine.cli.plain_text import plain

# What a file or a pipe is written for: it has no width of its own.
_WIDTH = 140
_NARROWEST_NAME = 24
# What is longer is no number, and wraps.
_WIDEST_NUMBER = 40


def table_console() -> Console:
    """A console for tables on stdout."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = max(console.width, _WIDTH)
    return console


def print_section(console: Console, section: Section) -> None:
    """The title, what it means, and the table."""
    console.print(Text(_one_line(section.title), style="bold"))
    if section.note:
        console.print(Text(_one_line(section.note.replace("*", "")), style="dim"))
    print_table(console, section.columns, section.rows)


def print_table(console: Console, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table whose first column holds names and whose others hold numbers."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    cells = [[_one_line(cell) for cell in row] for row in rows]
    for index, heading in enumerate(columns):
        sizes = [len(row[index]) for row in cells if index < len(row)]
        width = max((size for size in sizes if not index or size <= _WIDEST_NUMBER), default=0)
        table.add_column(
            Text(_one_line(heading), overflow="fold"),
            justify="right" if index else "left",
            min_width=width if index else min(width, _NARROWEST_NAME),
            overflow="fold",
        )
    for row in cells:
        table.add_row(
            *(
                Text(cell, no_wrap=bool(index) and len(cell) <= _WIDEST_NUMBER)
                for index, cell in enumerate(row)
            )
        )
    console.print(table, crop=False, soft_wrap=True)


def _one_line(text: str) -> str:
    return plain(" ".join(text.split()) if "\n" in text else text)
