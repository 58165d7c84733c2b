"""Replies as models write them: what is said is taken, what is broken is counted, nothing is guessed."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.doubles.profile_texts import SIX, block, person, read

ONE = dict(person())
GENDER_AND_AGE = "1. Gender: some gender\n2. Age: some age"
TWO = f"{block()}\n\n{block('Profile 2')}"


def reasons(text: str, finish_reason: str = "stop") -> list[str]:
    return [piece.reason for piece in read(text, finish_reason).unread]


@pytest.mark.parametrize(
    ("text", "oddities"),
    [
        (TWO, set()),
        (TWO.replace("\n", "\r\n"), set()),
        (f"{block('')}\n\n{block('')}", set()),
        (f"{block('')}\n{block('')}", set()),  # no blank line: the first aspect begins the next profile
        (f"{block()}\n\n{block('Profile 2', start=7)}", {"numbering_runs_on"}),
        (f"```\n{TWO}\n```", {"fence"}),
        (TWO.replace("Gender:", "**Gender:**"), {"emphasis"}),
        (TWO.replace("Gender:", "**Gender**:").replace("Profile", "## Profile"), {"emphasis"}),
        (f"Sure! Here you are:\n\n{TWO}\n\nTell me if you need more!", {"chatter"}),
        (TWO.replace("1. ", "- ").replace("2. ", "* "), set()),
        (TWO.replace("2. Age", "\n2. Age"), set()),
        (TWO.replace("Profile", "User Profile #"), set()),
        (TWO.replace("Daily Interests and Hobbies", "daily interests & hobbies"), set()),
        (f"{block()}\n---\n{block('')}", set()),
        (orjson.dumps({"profiles": [ONE, ONE]}).decode(), set()),
        (orjson.dumps([ONE, ONE]).decode(), set()),
        (f"```json\n{orjson.dumps([ONE, ONE]).decode()}\n```", {"fence"}),
        (f"Here: {orjson.dumps([ONE, ONE]).decode()} Enjoy!", {"chatter"}),
    ],
)
def test_what_changes_nothing_of_what_is_said_is_read_through(text: str, oddities: set[str]) -> None:
    found = read(text)
    assert list(found.profiles) == [person(), person()]
    assert found.unread == ()
    assert found.tolerated == oddities


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (block().replace("2. Age: some age\n", ""), "missing_aspect"),
        (block().replace(GENDER_AND_AGE, "1. Gender and Age: Female, 30"), "merged_aspects"),
        (block().replace(GENDER_AND_AGE, "1. Gender/Age: Female, 30"), "merged_aspects"),
        (block(gender="Female, Age: 30"), "merged_aspects"),
        (block(age=""), "empty_aspect"),
        (block(age="N/A"), "empty_aspect"),
        (block(age="[...]"), "empty_aspect"),
        (block(age="4\x000"), "odd_characters"),
        (block() + "\n7. Shoe Size: 42", "unknown_aspect"),
        (block().replace("2. Age: some age", "2. Age: some age\n   and more of it"), "stray_line"),
        (block().replace("3. Personality", "2. Age: 31\n3. Personality"), "aspect_twice"),
    ],
)  # fmt: skip
def test_a_broken_profile_is_counted_and_the_next_one_is_read(broken: str, reason: str) -> None:
    found = read(f"{broken}\n\n{block('Profile 2')}")
    assert list(found.profiles) == [person()]
    assert [piece.reason for piece in found.unread] == [reason]
    assert found.unread[0].text


@pytest.mark.parametrize(
    ("element", "reason"),
    [
        ({**ONE, "age": None}, "wrong_type"),
        ({**ONE, "age": ["30"]}, "wrong_type"),
        ({**ONE, "age": ""}, "empty_aspect"),
        ({**ONE, "age": "3\n0"}, "odd_characters"),
        ({**ONE, "shoe": "42"}, "unknown_aspect"),
        ({"age": "30"}, "missing_aspect"),
        ("somebody", "wrong_type"),
    ],
)
def test_a_broken_element_is_counted_and_the_next_one_is_read(element: object, reason: str) -> None:
    found = read(orjson.dumps({"profiles": [element, ONE]}).decode())
    assert list(found.profiles) == [person()]
    assert [piece.reason for piece in found.unread] == [reason]


def test_a_number_is_the_same_text_without_quotes() -> None:
    assert read(orjson.dumps([{**ONE, "age": 30}]).decode()).profiles == (person(age="30"),)


@pytest.mark.parametrize("text", [TWO, orjson.dumps([ONE, ONE]).decode()])
def test_a_reply_that_ends_anywhere_never_brings_a_profile_that_was_not_finished(text: str) -> None:
    for end in range(len(text)):
        found = read(text[:end], "length")
        assert len(found.profiles) <= 1 + (text[0] == "[")
        assert all(profile == person() for profile in found.profiles)
        if not found.profiles:
            assert found.unread


@pytest.mark.parametrize(
    ("text", "finish_reason", "reason"),
    [
        ("I'm sorry, but I can't help with that.", "stop", "refused"),
        ("抱歉，我无法提供。", "stop", "refused"),
        (block(), "content_filter", "refused"),
        ("", "stop", "empty"),
        ("It depends on what you mean.", "stop", "no_profile"),
        ('{"profiles": []}', "stop", "no_profile"),
        ('{"profiles": [{"gender": }]}', "stop", "not_json"),
    ],
)
def test_a_reply_without_a_profile_is_unread_as_a_whole(text: str, finish_reason: str, reason: str) -> None:
    assert read(text, finish_reason).profiles == ()
    assert reasons(text, finish_reason) == [reason]


def test_labels_of_both_languages_and_wide_signs_are_known() -> None:
    text = "\n".join(f"{i}．{a.label_zh}：值" for i, a in enumerate(SIX.aspects, 1))
    assert read(text).profiles == (dict.fromkeys(SIX.keys, "值"),)


@given(st.text(alphabet='12.:*-#`{}[]"\n Gender Age, Profile 性别：') | st.text())
def test_whatever_comes_is_read_without_an_error(text: str) -> None:
    found = read(text)
    assert found.profiles or found.unread
