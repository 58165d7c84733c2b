"""Personal data is found by form and check digit, counted once, and replaced everywhere."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.analysis.made_up import conversation

from engine.dataset.personal_data import Scan, find_personal_data, redacted


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("write to Ann.Lee+x@mail.example.org.", ["email"]),
        ("邮箱ann@example.com，谢谢", ["email"]),
        ("ann＠example．com", ["email"]),
        ("call +44 20 7946 0958 now", ["phone number"]),
        ("(212) 555-0147 or 212-555-0147", ["phone number", "phone number"]),
        ("手机13800138000，座机010-62770001", ["phone number", "phone number"]),
        ("１３８００１３８０００", ["phone number"]),
        ("身份证11010519491231002X", ["identity number"]),
        ("SSN 219-09-9999", ["identity number"]),
        ("4111 1111 1111 1111", ["card number"]),
        ("378282246310005", ["card number"]),
        ("110105194912310021", []),  # the check digit does not hold
        ("4111 1111 1111 1112", []),
        ("4444444444444444444", []),
        ("ISBN 9787111128069, 12,500,000 people, $1,299.99, 2024-05-19", []),
        ("0.13800138000 of 1.5e10; order 7003-1234-99", []),
        ("https://example.org/a/13-20-2024 @home", []),
    ],
)
def test_forms_are_found_and_other_numbers_pass(text: str, kinds: list[str]) -> None:
    assert [found.kind for found in find_personal_data(text)] == kinds


@given(st.text(alphabet="0123456789 -+().@aZ，x\n９", max_size=80))
def test_pieces_lie_apart_in_order_and_none_is_left_behind(text: str) -> None:
    found = find_personal_data(text)
    assert all(a.end <= b.start for a, b in pairwise(found))
    assert all(0 <= each.start < each.end <= len(text) for each in found)


def test_a_scan_counts_and_clears_every_place() -> None:
    mail = "ann@example.com"
    made = conversation(f"I am {mail}", "Noted 13800138000.", rating={"Diversity": 1})
    made = replace(
        made,
        person=mail,
        extra={mail: [13800138000, {"deep": mail}], "price": 1299999},
        source_bytes=orjson.dumps({"history": [{"content": mail}], "phone": 13800138000}),
    )
    scan = Scan()
    cleared = scan.look(made)
    assert scan.in_utterances == {"email": 1, "phone number": 1}
    assert scan.elsewhere == {"email": 3, "phone number": 1}
    assert scan.conversations == 1
    assert "example.com" not in repr(cleared)
    assert "13800138000" not in repr(cleared)
    assert cleared.turns[0].content == "I am [EMAIL]"
    assert cleared.extra["price"] == 1299999
    assert orjson.loads(cleared.source_bytes) == {"history": [{"content": "[EMAIL]"}], "phone": "[PHONE]"}
    clean = conversation("Hi", "Ho")
    assert Scan().look(clean) is clean


def test_json_keeps_its_shape() -> None:
    value = {"a": [None, True, 1.5, "x"], "b": {"c": "d"}}
    assert redacted(value) == value
