"""A profile's printed lines."""

from __future__ import annotations

from engine.schema.profile import ASPECTS, Profile

ASPECT_TEXTS = {aspect.key: f"about {aspect.key}" for aspect in ASPECTS}


def test_render_numbers_the_nine_aspects_in_order() -> None:
    lines = Profile("p1", ASPECT_TEXTS).render().split("\n")
    assert lines[0] == "1. Gender: about gender"
    assert lines[4] == "5. Daily Interests and Hobbies: about daily_interests_and_hobbies"
    assert lines[8] == "9. Other Aspects: about other_aspects"
    assert len(lines) == 9


def test_render_follows_the_order_of_the_aspects_not_of_the_mapping() -> None:
    backwards = dict(reversed(ASPECT_TEXTS.items()))
    assert Profile("p1", backwards).render() == Profile("p1", ASPECT_TEXTS).render()


def test_render_in_chinese_uses_chinese_labels() -> None:
    lines = Profile("z1", ASPECT_TEXTS).render("zh").split("\n")
    assert lines[0] == "1. 性别: about gender"
    assert lines[8] == "9. 其他方面: about other_aspects"


def test_render_gives_a_kept_text_back_unchanged() -> None:
    text = " 1. Gender:  Female \r\n"
    assert Profile("p1", ASPECT_TEXTS, text).render("zh") == text


def test_aspects_have_distinct_keys_and_labels() -> None:
    for column in zip(*ASPECTS, strict=True):
        assert len(set(column)) == len(ASPECTS) == 9
