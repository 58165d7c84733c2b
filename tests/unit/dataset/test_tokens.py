from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.dataset.tokens import count_tokens


def test_known_counts() -> None:
    # Examples that the encoding's authors publish with their counts.
    assert count_tokens("tiktoken is great!") == 6
    assert count_tokens("お誕生日おめでとう") == 9
    assert count_tokens("2 + 2 = 4") == 7
    assert count_tokens("antidisestablishmentarianism") == 6
    assert count_tokens("") == 0


def test_name_of_a_special_token_is_ordinary_text() -> None:
    assert count_tokens("<|endoftext|>") > 1


def test_lone_surrogate_is_counted_as_its_replacement() -> None:
    assert count_tokens("a\ud800b") == count_tokens("a?b")


@given(st.text(max_size=200))
def test_a_count_lies_between_none_and_one_per_byte(text: str) -> None:
    size = len(text.encode("utf-8"))
    assert (size > 0) <= count_tokens(text) <= size
