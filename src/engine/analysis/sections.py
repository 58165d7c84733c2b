"""A table with its title and what it means, before anybody decides how it looks: terminal, Markdown, HTML."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Section:
    """`rows` hold as many cells as `columns`; the first column holds names, the others numbers."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


def section(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], note: str = "") -> Section:
    """A section from any sequences."""
    return Section(title, tuple(columns), tuple(tuple(row) for row in rows), note)


def markdown(title: str, sections: Iterable[Section]) -> str:
    """A page of GitHub-flavoured Markdown; what stands in cells cannot break out of them."""
    lines = [f"# {_cell(title)}", ""]
    for each in sections:
        lines += [f"## {_cell(each.title)}", ""]
        if each.note:
            lines += [each.note, ""]
        lines.append("| " + " | ".join(map(_cell, each.columns)) + " |")
        lines.append("| --- |" + " ---: |" * (len(each.columns) - 1))
        lines += ["| " + " | ".join(map(_cell, row)) + " |" for row in each.rows]
        lines.append("")
    return "\n".join(lines)


def _cell(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("`", "\\`")
    return " ".join(escaped.split())


def number(value: float | None, digits: int = 3) -> str:
    """A number as tables show it; a dash where there is none."""
    return "-" if value is None or value != value else f"{value:.{digits}f}"


def within(value: float | None, low: float | None, high: float | None, digits: int = 3) -> str:
    """A number with its interval."""
    if low is None or high is None:
        return number(value, digits)
    return f"{number(value, digits)} [{number(low, digits)}, {number(high, digits)}]"
