"""Screens show what could steer them as text."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.cli.plain_text import plain


def test_what_steers_is_written_out() -> None:
    assert plain("a\x1b[31mred\x9b0m\u202eb\u2069\r\x7f") == "a\\x1b[31mred\\x9b0m\\u202eb\\u2069\\r\\x7f"


@given(st.text(st.characters(categories=["L", "M", "N", "P", "S", "Zs"])) | st.just("line\n\ttab"))
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert plain(text) == text
