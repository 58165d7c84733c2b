from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.dataset.tables import ShapeRow, ShapeTally
from engine.schema.conversation import Role

U, A = Role.USER, Role.ASSISTANT
Conversation = tuple[list[tuple[Role, str]], tuple[str, int]]


def tally(*conversations: Conversation) -> ShapeTally:
    made = ShapeTally(count=len)
    for turns, scenario in conversations:
        made.add(turns, scenario)
    return made


def test_means_are_per_conversation_and_per_utterance() -> None:
    made = tally(
        ([(U, "ab"), (A, "abcd"), (U, "abcd"), (A, "ab")], ("gifts", 0)),
        ([(U, "abcdef"), (A, "abcdef")], ("recipe", 3)),
    )
    assert made.row() == ShapeRow(
        scenarios=2,
        conversations=2,
        mean_utterances=3.0,
        mean_rounds=1.5,
        mean_tokens=12.0,
        mean_user_tokens=4.0,
        mean_assistant_tokens=4.0,
    )
    assert made.rows_by_task()["recipe"].mean_tokens == 12.0
    assert made.row(without_tasks=["recipe"]).conversations == 1


@pytest.mark.parametrize(
    ("roles", "rounds"),
    [
        ((U, A, U, A), 2.0),
        ((A, U, A), 1.0),
        ((U, A, U), 1.0),
        ((A,), 0.0),
        ((), 0.0),
    ],
)
def test_a_round_is_a_user_turn_that_is_answered(roles: tuple[Role, ...], rounds: float) -> None:
    assert tally(([(role, "x") for role in roles], ("gifts", 0))).row().mean_rounds == rounds


def test_nothing_counted_gives_a_row_of_noughts() -> None:
    assert tally().row() == ShapeRow(0, 0, 0.0, 0.0, 0.0, 0.0, 0.0)


def test_same_scenario_number_of_two_tasks_is_two_scenarios() -> None:
    made = tally(([(U, "x")], ("gifts", 1)), ([(U, "x")], ("recipe", 1)), ([(U, "x")], ("gifts", 1)))
    assert made.row().scenarios == 2
    assert repr(made) == "ShapeTally(3 conversations, 2 scenarios)"


conversations = st.lists(
    st.tuples(
        st.lists(st.tuples(st.sampled_from(Role), st.text(max_size=5)), max_size=6),
        st.tuples(st.sampled_from(["gifts", "recipe"]), st.integers(0, 3)),
    ),
    max_size=12,
)


@given(conversations, st.integers(0, 12))
def test_merging_parts_equals_counting_at_once(all_of_them: list[Conversation], cut: int) -> None:
    left, right = tally(*all_of_them[:cut]), tally(*all_of_them[cut:])
    before = right.row()
    left.merge(right)
    assert left.row() == tally(*all_of_them).row()
    assert left.rows_by_task() == tally(*all_of_them).rows_by_task()
    assert right.row() == before
