"""Profile phrases become sentences in the first person, or notes; the assistant speaks them back."""

from __future__ import annotations

import pytest

from engine.rehearsal.recall import recall
from engine.rehearsal.tastes import lower_first, statements
from engine.rehearsal.vocabulary.catalogue import LANGUAGES

HOBBIES = "daily_interests_and_hobbies"


def said_of(value: str, language: str = "en", gender: str = "Female") -> list[tuple[str, bool]]:
    found = statements((("gender", gender), (HOBBIES, value)), (HOBBIES,), language)
    return [(statement.text, statement.is_note) for statement in found]


@pytest.mark.parametrize(
    ("value", "sentences"),
    [
        ("Restores old clocks and follows chess; dislikes noise.",
         ["I restore old clocks", "I follow chess", "I dislike noise"]),
        ("Pays cash, watches films, and lends too much to her cousins",
         ["I pay cash", "I watch films", "I lend too much to my cousins"]),
        ("Has a cat, is allergic to nuts and never swears",
         ["I have a cat", "I am allergic to nuts", "I never swear"]),
        ("Shares a flat with her mother, who teases her", ["I share a flat with my mother, who teases me"]),
        ("Loves cold drinks and maps of the coast", ["I love cold drinks and maps of the coast"]),
        ("Holds grudges longer than she admits", ["I hold grudges longer than I admit"]),
        ("Tries yoga, studies law, goes out and fixes bikes",
         ["I try yoga", "I study law", "I go out", "I fix bikes"]),
    ],
)  # fmt: skip
def test_verbs_become_sentences_of_ones_own(value: str, sentences: list[str]) -> None:
    assert said_of(value) == [(sentence, False) for sentence in sentences]


def test_other_words_stay_a_note() -> None:
    assert said_of("Halal only, fond of flatbread") == [("halal only, fond of flatbread", True)]
    assert said_of("Korean dramas; Fish on Sundays") == [("Korean dramas", True), ("fish on Sundays", True)]
    assert said_of("他爱吃面，从不分期。工资高", "zh") == [
        ("我爱吃面", False), ("我从不分期", False), ("工资高", True)
    ]  # fmt: skip


def test_another_persons_pronoun_is_kept() -> None:
    assert said_of("Hides receipts from her", gender="Male") == [("I hide receipts from her", False)]


def test_names_keep_their_capital() -> None:
    assert [lower_first(text) for text in ("Cheese pie", "Japanese tea", "TV shows", "Vegan")] == [
        "cheese pie", "Japanese tea", "TV shows", "vegan"
    ]  # fmt: skip


@pytest.mark.parametrize("language", ["en", "zh"])
def test_assistant_finds_every_frame_again(language: str) -> None:
    words = LANGUAGES[language]
    sentence, back = ("I love my tea", "you love your tea") if language == "en" else ("我爱喝茶", "你爱喝茶")
    before = "Hello! " if language == "en" else "你好！"
    for frame in words.tastes:
        assert [each.taste for each in recall(before + frame.format(taste=sentence), language)] == [back]
    about = words.about[HOBBIES]
    for frame in words.notes:
        (found,) = recall(before + frame.format(about=about, taste="abc"), language)
        assert found == ("abc", about.replace("my", "your").replace("我", "你"))


def test_long_statement_is_cut_at_a_comma() -> None:
    turn = "To be honest, I love pepper soup, grilled fish and very hot sauces from roadside stalls."
    assert recall(turn, "en")[0].taste == "you love pepper soup"
