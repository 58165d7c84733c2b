"""Sections of the analysis as tables of a terminal."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from engine.analysis.sections import Section


def print_section(console: Console, section: Section) -> None:
    """The title, what it means, and the table; names wrap, numbers never do."""
    console.print(f"[bold]{escape(section.title)}[/bold]")
    if section.note:
        console.print(f"[dim]{escape(section.note.replace('*', ''))}[/dim]")
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for index, column in enumerate(section.columns):
        table.add_column(escape(column), justify="right" if index else "left", overflow="fold")
    for row in section.rows:
        table.add_row(*map(escape, row))
    console.print(table)
