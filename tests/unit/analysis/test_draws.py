"""Samples that do not depend on order, and means with intervals over users."""

from __future__ import annotations

import random
from dataclasses import replace

from tests.unit.analysis.made_up import conversation

from engine.analysis.draws import UserDraws, draw_sample, ordered_by_digest, user_of
from engine.schema.dataset import ProfileText


def test_a_sample_does_not_depend_on_the_order_and_grows_by_keeping() -> None:
    found = [conversation("u", "a", conversation_id=f"c{i}") for i in range(50)]
    small = draw_sample("d", found, 10)
    random.Random(1).shuffle(found)
    assert draw_sample("d", found, 10).conversations == small.conversations
    ids = [each.conversation_id for each in draw_sample("d", found, 20).conversations]
    assert ids[:10] == [each.conversation_id for each in small.conversations]
    assert (small.of, len(draw_sample("d", found, 99).conversations)) == (50, 50)


def test_a_sample_holds_no_source_bytes() -> None:
    each = replace(conversation("u", "a"), source_bytes=b"x" * 100)
    assert draw_sample("d", [each], 5).conversations[0].source_bytes == b""


def test_users_are_people_then_profiles_then_conversations() -> None:
    each = conversation("u", "a", conversation_id="c7")
    assert user_of(each) == "profile a profile"
    assert user_of(replace(each, person="p1")) == "person p1"
    assert user_of(replace(each, profile=ProfileText())) == "conversation c7"


def test_intervals_are_of_users_not_of_values() -> None:
    values = [1.0] * 30 + [0.0] * 30
    few = UserDraws(["a"] * 30 + ["b"] * 30).mean(values)
    many = UserDraws([str(i) for i in range(60)]).mean(values)
    assert few is not None
    assert many is not None
    assert few.value == many.value == 0.5
    assert (few.low, few.high) == (0.0, 1.0)
    assert many.low is not None
    assert 0.3 < many.low < 0.5


def test_missing_values_count_for_nothing() -> None:
    found = UserDraws(["a", "b", "c"]).mean([None, 2.0, 4.0])
    assert found is not None
    assert (found.value, found.n) == (3.0, 2)
    assert UserDraws(["a", "b"]).mean([None, None]) is None


def test_one_user_has_no_interval() -> None:
    found = UserDraws(["a", "a"]).mean([1.0, 2.0])
    assert found is not None
    assert found.low is None


def test_an_order_that_nobody_chose() -> None:
    assert ordered_by_digest(["b", "a", "b"]) == ordered_by_digest(["a", "b"])
