"""Synonyms: proposals count as far as they hold, whatever they say."""

from __future__ import annotations

import orjson
from hypothesis import given
from hypothesis import strategies as st

from engine.annotation.prompts import load_prompts
from engine.annotation.synonyms import Merging, item_id, merge
from engine.schema.call import Reply, Usage

WORD = st.sampled_from("abcdefgh")
GROUPS = st.lists(st.tuples(WORD, st.lists(WORD)))


@given(st.sets(WORD, min_size=1), st.lists(GROUPS, max_size=3))
def test_any_proposal_leaves_each_phrase_with_one_name_of_the_list(
    phrases: set[str], proposals: list[list[tuple[str, list[str]]]]
) -> None:
    merging = Merging({phrase: phrase for phrase in phrases})
    for groups in proposals:
        merging.apply(groups, merging.names)
    assert merging.becomes.keys() == phrases
    assert set(merging.becomes.values()) <= phrases
    assert all(merging.becomes[name] == name for name in merging.becomes.values())


def test_the_first_group_that_names_a_phrase_has_it() -> None:
    merging = Merging({phrase: phrase for phrase in "abcd"})
    merging.apply([("a", ["b"]), ("b", ["c"]), ("d", ["nowhere"])], "abcd")
    assert merging.becomes == {"a": "a", "b": "a", "c": "c", "d": "d"}
    assert (merging.invented, merging.doubled) == (1, 1)


def test_many_phrases_are_shown_a_part_at_a_time_and_what_is_left_once_more() -> None:
    phrases = [f"phrase {number:03}" for number in range(320)]
    steps = merge(load_prompts("synonyms", None, None), "gifts", phrases)
    asked = []
    question = next(steps)
    try:
        while True:
            asked.append(question.step)
            shown = question.messages[1][1].split("<phrases>\n")[1].split("\n</phrases>")[0].split("\n")
            assert len(shown) <= 150
            groups = [{"name": shown[0], "same": shown[1:2]}]
            question = steps.send(Reply(orjson.dumps({"groups": groups}).decode(), "stop", Usage(), "m"))
    except StopIteration as stop:
        note = orjson.loads(stop.value.note)
    assert asked == ["first-1", "first-2", "first-3", "again-1", "again-2", "again-3"]
    assert (note["phrases"], note["left"]) == (320, 314)
    assert len(note["merged"]) == 6


def test_other_phrases_are_another_item() -> None:
    assert item_id("gifts", ["a", "b"]) == item_id("gifts", ["a", "b"])
    assert item_id("gifts", ["a", "b"]) != item_id("gifts", ["a", "c"])
