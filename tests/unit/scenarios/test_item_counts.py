from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from engine.scenarios.item_counts import LAST_TURN, ItemTally, recall_by_turn

IDS = st.sampled_from("abcdef")


def test_recall_counts_the_first_k_items_named_so_far() -> None:
    said = [["a", "b"], [], ["b", "c"], ["d"]]
    assert recall_by_turn(said, ["c", "a"], 1)[:5] == [0.5, 0.5, 0.5, 0.5, 0.5]
    assert recall_by_turn(said, ["c", "a"], 3)[:5] == [0.5, 0.5, 1.0, 1.0, 1.0]
    assert recall_by_turn(said, ["d"], 3)[:5] == [0.0] * 5
    assert recall_by_turn(said, ["d"], 4)[:5] == [0.0, 0.0, 0.0, 1.0, 1.0]
    assert recall_by_turn([], ["d"], 4) == [0.0] * LAST_TURN


@given(st.lists(st.lists(IDS, max_size=4), max_size=12), st.lists(IDS, min_size=1, max_size=3, unique=True))
def test_recall_never_falls_with_turns_or_k(said: list[list[str]], targets: list[str]) -> None:
    rows = [recall_by_turn(said, targets, k) for k in range(1, 8)]
    assert all(a <= b for row in rows for a, b in pairwise(row))
    assert all(a <= b for low, high in pairwise(rows) for a, b in zip(low, high, strict=True))
    assert all(0 <= share <= 1 for row in rows for share in row)


def test_the_tally_means_over_conversations_with_targets_alone() -> None:
    tally = ItemTally((1, 2))
    roles = ["user", "assistant", "user", "assistant"]
    named = [{"turn": 0, "side": "user", "ids": ["z"]}, {"turn": 1, "side": "assistant", "ids": ["a", "b"]}]
    tally.add("one", {"targets": ["b"], "named": named, "leaked": []}, roles)
    tally.add("two", {"targets": ["z"], "named": named, "leaked": ["z"]}, roles)
    tally.add("three", {"targets": [], "named": named, "leaked": []}, roles[:2])
    assert (tally.conversations, tally.turns, tally.turns_with_item, tally.with_targets) == (3, 5, 3, 2)
    assert tally.recommended == {"a": 3, "b": 3}
    assert (tally.leaked, tally.leaks) == (1, ["two"])
    assert (tally.recall(1, 1), tally.recall(2, 1), tally.recall(2, LAST_TURN)) == (0.0, 0.5, 0.5)
    assert tally.as_summary()["recall"] == {"1": [0.0] * LAST_TURN, "2": [0.5] * LAST_TURN}
    assert ItemTally().recall(1, 1) is None
