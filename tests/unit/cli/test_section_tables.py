from __future__ import annotations

import io

import pytest
from rich.console import Console

from engine.analysis.sections import section
from engine.cli.section_tables import print_section

TASKS = ("preparing gifts", "skills learning planning", "travel planning (both travel tasks merged)")


def printed(width: int, columns: tuple[str, ...], *rows: tuple[str, ...], title: str = "T") -> str:
    file = io.StringIO()
    print_section(Console(file=file, width=width, highlight=False), section(title, columns, rows))
    return file.getvalue()


@pytest.mark.parametrize("width", [10, 20, 40, 60, 80, 100, 110, 120, 200])
def test_no_number_is_ever_cut(width: int) -> None:
    numbers = [("1.2381", "1.8264", "17.7301 [16.1111, 18.2222]"), ("0.0199", "12345678", "-")]
    names = ("Preference Alignment", "Role-Playing Completeness")
    text = printed(width, ("", *TASKS), *((n, *row) for n, row in zip(names, numbers, strict=True)))
    for row in numbers:
        assert " ".join(row) in " ".join(text.split())


def test_words_among_the_numbers_wrap() -> None:
    text = printed(80, ("", "AUC", "signs"), ("wording", "1.000", "'please', " * 20))
    assert max(map(len, text.splitlines())) <= 80
    assert "1.000" in text


def test_names_are_no_markup_and_steer_no_terminal() -> None:
    text = printed(80, ("[/]", "[red]n"), ("[/b] \x1b[2J\u202e", "1"), ("two\nlines", "2"), title="[/i]\x1b")
    for name in ("[/]", "[red]n", r"[/b] \x1b[2J\u202e", "two lines", r"[/i]\x1b"):
        assert name in text
    assert "\x1b" not in text
