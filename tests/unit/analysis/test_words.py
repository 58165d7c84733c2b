"""Units of texts in scripts with and without spaces."""

from __future__ import annotations

from engine.analysis.words import content_units, is_without_spaces, ngrams, units


def test_words_and_single_characters() -> None:
    assert units("I don't like Paris, 2 days!") == ["i", "don't", "like", "paris", "2", "days"]
    assert units("我想去Paris玩3天") == ["我", "想", "去", "paris", "玩", "3", "天"]


def test_ngrams() -> None:
    assert list(ngrams(["a", "b", "c"], 2)) == [("a", "b"), ("b", "c")]
    assert list(ngrams(["a"], 2)) == []


def test_content_leaves_out_what_carries_no_meaning() -> None:
    assert content_units("I always enjoy visiting the museums") == {"visit", "museum"}
    assert content_units("博物馆") == {"博物", "物馆"}


def test_scripts() -> None:
    assert is_without_spaces("我想去 Paris 玩三天，看博物馆")
    assert not is_without_spaces("I would like 面条")
    assert not is_without_spaces("")
