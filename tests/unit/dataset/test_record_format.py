"""Records are parsed leniently where nothing is lost, and ids made where there are none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.dataset.messages import OPENAI
from engine.dataset.record_format import NotARecord, Place, decode, id_of, parse, text_of


def test_what_strict_readers_refuse_is_read() -> None:
    assert str(parse(b'{"a": NaN}')["a"]) == "nan"
    assert parse(rb'{"a": "x\ud83d"}') == {"a": "x?"}


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"{", "no JSON"),
        (b"\xff{}", "no JSON"),
        (b"[1]", "array"),
        (b'"a"', "string"),
        (b"null", "null"),
        (b"3", "number"),
    ],
)
def test_anything_but_an_object_is_named(raw: bytes, reason: str) -> None:
    with pytest.raises(NotARecord, match=reason):
        parse(raw)


@given(st.binary(max_size=200))
def test_arbitrary_bytes_raise_only_the_format_error(raw: bytes) -> None:
    try:
        found = decode(OPENAI, raw, Place("f.jsonl", 1))
    except NotARecord:
        return
    assert found.source_bytes == raw


def test_an_id_that_cannot_be_one_is_made_from_the_place() -> None:
    place = Place("chats.jsonl.gz", 3)
    assert id_of("a-1", place) == "a-1"
    assert id_of(17, place) == "17"
    assert id_of(None, place) == "chats-000003"
    assert id_of("two\nlines", place) == "chats-000003"
    assert id_of("x" * 201, place) == "chats-000003"


def test_a_text_is_any_value_that_stands_where_one_belongs() -> None:
    assert [text_of(value) for value in ("a", None, 3, ["b"])] == ["a", "", "3", '["b"]']
