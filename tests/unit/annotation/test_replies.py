"""Replies: what is read, and that whatever a model writes raises Unusable alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.annotation.replies import (
    Unusable,
    read_flag,
    read_labels,
    read_list,
    read_object,
    read_phrases,
    read_text,
    read_whole,
)
from engine.annotation.synonyms import read_groups

LABELS = ("Search", "Search & Recommendation", "Others")
READERS: list[Callable[[Mapping[str, object]], object]] = [
    lambda data: read_text(data, "a"),
    lambda data: read_flag(data, "a"),
    lambda data: read_whole(data, "a", 0, 2),
    lambda data: read_list(data, "a"),
    lambda data: read_labels(data, "a", LABELS, is_multi=True),
    lambda data: read_phrases(data, "a", 1, 3),
    lambda data: read_groups({"groups": data.get("a")}),
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["a", "name", "same"]), inner),
    max_leaves=8,
)


@given(st.text())
def test_arbitrary_text_gives_an_object_or_the_defined_error(text: str) -> None:
    with suppress(Unusable):
        assert isinstance(read_object(text), dict)


@given(st.dictionaries(st.just("a"), JSON), st.sampled_from(READERS))
def test_arbitrary_values_are_read_or_give_the_defined_error(
    data: dict[str, object], read: Callable[[Mapping[str, object]], object]
) -> None:
    with suppress(Unusable):
        read(data)


@pytest.mark.parametrize("around", ["{}", "```json\n{}\n```", "Here it is:\n{}\nAnything else?", "  {}  "])
def test_a_fence_or_a_sentence_around_the_object_does_not_matter(around: str) -> None:
    body = orjson.dumps({"intent": "Others"}).decode()
    assert read_object(around.replace("{}", body)) == {"intent": "Others"}


@pytest.mark.parametrize("text", ["", "Others", '["Others"]', '{"a": 1} {"a": 2}', '{"a": 1', "{'a': 1}"])
def test_two_objects_half_an_object_or_none_are_unusable(text: str) -> None:
    with pytest.raises(Unusable):
        read_object(text)


def test_labels_are_spelt_as_offered_but_for_case() -> None:
    assert read_labels({"l": " others "}, "l", LABELS, is_multi=False) == ("Others",)
    assert read_labels({"l": ["Search", "Others"]}, "l", LABELS, is_multi=True) == ("Search", "Others")
    for wrong in ("Other", "", [], ["Search", "Nothing"], 3, None):
        with pytest.raises(Unusable):
            read_labels({"l": wrong}, "l", LABELS, is_multi=True)
    with pytest.raises(Unusable):
        read_labels({"l": ["Search", "Others"]}, "l", LABELS, is_multi=False)


@pytest.mark.parametrize("value", ["1", 1.0, True, 3, -1, None])
def test_a_rating_is_a_whole_number_in_its_range(value: object) -> None:
    with pytest.raises(Unusable):
        read_whole({"r": value}, "r", 0, 2)


def test_phrases_are_counted_without_repetition() -> None:
    assert read_phrases({"p": ["a ", "a", "b"]}, "p", 2, 2) == ("a", "b")
    for wrong in (["a", "a"], ["a", "b", "c"], ["a", ""], ["a", "x" * 201], "ab"):
        with pytest.raises(Unusable):
            read_phrases({"p": wrong}, "p", 2, 2)
