"""Table 3: labels of user utterances by task, position and part of a split."""

from __future__ import annotations

from tests.unit.analysis.made_up import conversation

from engine.analysis.intents import Intents


def counted(**options: object) -> Intents:
    intents = Intents(**options)  # type: ignore[arg-type]
    intents.add(conversation("a", "b", "c", "d", "e", "f", "g", intents=["Planning", "Search", "", "Others"]))
    intents.add(conversation("a", "b", intents=[["Search", "Planning"]], task="t", conversation_id="one"))
    return intents


def test_labels_are_counted_and_utterances_without_one_as_well() -> None:
    intents = counted()
    assert (intents.utterances, intents.labelled, intents.several) == (5, 4, 1)
    assert intents.ordered(intents.totals) == {"Search": 2, "Planning": 2, "Others": 1}
    assert intents.by_task["t"] == {"Search": 1, "Planning": 1}


def test_an_only_turn_is_a_first_one() -> None:
    assert counted().by_position == {
        "first": {"Planning": 2, "Search": 1},
        "middle": {"Search": 1},
        "last": {"Others": 1},
    }


def test_a_split_names_the_part_of_each_user_turn() -> None:
    intents = counted(split={"c": "tte", "one": "v"})
    assert intents.utterances_by_part == {"train": 2, "validation": 1, "test": 1}
    assert intents.by_part["train"] == {"Planning": 1, "Search": 1}
    assert intents.by_part["validation"] == {"Planning": 1, "Search": 1}
    assert intents.by_part["test"] == {}


def test_labels_of_no_set_come_last() -> None:
    intents = counted()
    assert list(intents.ordered({"zzz": 1, "Others": 2, "aaa": 3})) == ["Others", "aaa", "zzz"]
